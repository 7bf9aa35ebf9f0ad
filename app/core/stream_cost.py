"""What a held stream costs in bytes: counted in the site's month, and limited when the service starts. Pure."""

# On the wire, IPv4 and TLS 1.3: a line is a packet that is acknowledged by another one. `bench breaks` measures it.
PACKET_BYTES = 52  # IP and TCP headers with timestamps
RECORD_BYTES = 22  # TLS: header, type and tag
DEVICE_LINE_BYTES = 2 * PACKET_BYTES + RECORD_BYTES + 15  # an uptime, as a chunk
SERVER_LINE_BYTES = 2 * PACKET_BYTES + RECORD_BYTES + 7
CONNECTION_BYTES = 12_000  # of both requests: TCP and TLS handshakes, certificates, headers
MAX_MONTHLY_BYTES = 15_000_000
MONTH_S = 30 * 86_400


def monthly_bytes(beat_s: int) -> int:
    """Return the cost of a stream held for 30 days; a line of either side each two beats. 0: no stream."""
    return MONTH_S * (DEVICE_LINE_BYTES + SERVER_LINE_BYTES) // (2 * beat_s) if beat_s else 0
