"""Whether what we timed of a push test was the link, and not a proxy that took it all at once: pure."""

BUFFERED = 3.0  # our rate is so many times the agent's
AHEAD = 1.25  # or so many times what its time without handshakes allows, and our figure with it
CLEAR_MS = 500  # shorter differences are handshakes and polling
TRIPS = 4  # of connecting, TLS and asking


def mbps(size: int, ms: float | None) -> float | None:
    return size * 8 / 1000 / ms if ms else None


def problem(
    our_bytes: int,
    our_ms: int | None,
    agent_bytes: int | None,
    agent_ms: float | None,
    *,
    figure_mbps: float | None = None,
    rtt_ms: float | None = None,
) -> str | None:
    """`buffered`: something between us and the agent took or gave it at a rate that the link never had."""
    if our_ms is None or not agent_ms or agent_ms - our_ms < CLEAR_MS:
        return None
    size = our_bytes if agent_bytes is None else agent_bytes
    ours, agents = mbps(our_bytes, our_ms or 1), mbps(size, agent_ms)
    if ours is not None and agents is not None and ours > BUFFERED * agents:
        return "buffered"
    most = mbps(size, max(0.0, agent_ms - CLEAR_MS - TRIPS * (rtt_ms or 0)))
    if ours is None or most is None or figure_mbps is None:
        return None
    return "buffered" if min(ours, figure_mbps) > AHEAD * most else None
