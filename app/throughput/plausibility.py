"""Detect push tests whose server-side time measured a buffering proxy and not the link. Pure."""

MAX_RATE_RATIO = 3.0  # of the server's rate to the agent's
MAX_NET_RATIO = 1.25  # of the server's rate and figure to the agent's rate without its handshakes
MIN_DIFFERENCE_MS = 500  # shorter differences are handshakes and polling
HANDSHAKE_TRIPS = 4  # round trips for connecting, TLS and the request


def mbps(size: int, ms: float | None) -> float | None:
    return size * 8 / 1000 / ms if ms else None


def is_buffered(
    our_bytes: int,
    our_ms: int | None,
    agent_bytes: int | None,
    agent_ms: float | None,
    *,
    figure_mbps: float | None = None,
    rtt_ms: float | None = None,
) -> bool:
    """Whether something between server and agent took or delivered the data faster than the link can have been.

    False where either time is unknown. `figure_mbps`: the server's rate without the warm-up.
    """
    if our_ms is None or not agent_ms or agent_ms - our_ms < MIN_DIFFERENCE_MS:
        return False
    size = our_bytes if agent_bytes is None else agent_bytes
    ours, agents = mbps(our_bytes, our_ms or 1), mbps(size, agent_ms)
    if ours is not None and agents is not None and ours > MAX_RATE_RATIO * agents:
        return True
    net = mbps(size, max(0.0, agent_ms - MIN_DIFFERENCE_MS - HANDSHAKE_TRIPS * (rtt_ms or 0)))
    if ours is None or net is None or figure_mbps is None:
        return False
    return min(ours, figure_mbps) > MAX_NET_RATIO * net
