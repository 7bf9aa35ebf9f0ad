"""Whether what we timed of a push test was the link, and not a proxy that took it all at once: pure."""

BUFFERED = 3.0  # our rate is so many times the agent's
CLEAR_MS = 500  # shorter differences are handshakes and polling


def mbps(size: int, ms: float | None) -> float | None:
    return size * 8 / 1000 / ms if ms else None


def problem(our_bytes: int, our_ms: int | None, agent_bytes: int | None, agent_ms: float | None) -> str | None:
    """`buffered`: something between us and the agent took or gave it at a rate that the link never had."""
    if our_ms is None or not agent_ms or agent_ms - our_ms < CLEAR_MS:
        return None
    ours, agents = mbps(our_bytes, our_ms or 1), mbps(our_bytes if agent_bytes is None else agent_bytes, agent_ms)
    return "buffered" if ours is not None and agents is not None and ours > BUFFERED * agents else None
