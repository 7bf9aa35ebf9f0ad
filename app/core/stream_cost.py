"""What a held stream costs in bytes: counted in the site's month, and limited when the service starts. Pure."""

# On the wire, IPv4 and TLS 1.3: a line is a packet that is acknowledged by another one. `bench breaks` measures it.
PACKET_BYTES = 52  # IP and TCP headers with timestamps
RECORD_BYTES = 22  # TLS: header, type and tag
DEVICE_LINE_BYTES = 2 * PACKET_BYTES + RECORD_BYTES + 15  # an uptime, as a chunk
SERVER_LINE_BYTES = 2 * PACKET_BYTES + RECORD_BYTES + 7
PING_BYTES = 2 * 28  # of an anchor, without a payload: there and back
CONNECTION_BYTES = 12_000  # of both requests: TCP and TLS handshakes, certificates, headers
CROSSINGS_A_ROUND = 5  # of two beats: a line of the device, the measurements, and pings
ROUNDS_A_SERVER_LINE = 4
LONGEST_LINE_S = 600  # between two of the server's
MAX_MONTHLY_BYTES = 15_000_000
MONTH_S = 30 * 86_400


def monthly_bytes(beat_s: int, measured_each_s: int) -> int:
    """Return the cost of a stream held for 30 days by a device that measures so often. 0: no stream."""
    if not beat_s:
        return 0
    server_lines = MONTH_S * SERVER_LINE_BYTES // min(LONGEST_LINE_S, ROUNDS_A_SERVER_LINE * 2 * beat_s)
    lines = MONTH_S * DEVICE_LINE_BYTES // (2 * beat_s) + server_lines
    return lines + pings_bytes(beat_s, measured_each_s, MONTH_S)


def server_lines(first_s: float, beat_s: int, measured_each_s: int) -> tuple[float, int]:
    """Return the seconds between two of our lines, and what one counts as, to a device that asks for the first so late.

    Where that is more than two beats, it pings in between, and these pings are counted with the line.
    """
    if first_s <= 2 * beat_s:
        return 2 * beat_s, SERVER_LINE_BYTES
    return first_s, SERVER_LINE_BYTES + pings_bytes(beat_s, measured_each_s, first_s)


def pings_bytes(beat_s: int, measured_each_s: int, seconds: float) -> int:
    """Return what the pings between lines and measurements cost in so many seconds."""
    a_round = CROSSINGS_A_ROUND - 1 - min(1.0, 2 * beat_s / measured_each_s)
    return int(PING_BYTES * a_round * seconds / (2 * beat_s))
