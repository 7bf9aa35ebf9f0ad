"""When a device wrote a line, by its own uptime in it: what comes late was held up on the way. Pure."""

DRIFT = 0.0005  # of two clocks that run apart


class BeatClock:
    """Knows the shortest way that a line of this connection ever took; the rest of a line's way is its delay."""

    def __init__(self) -> None:
        self._offset: float | None = None  # our clock minus the device's uptime, over the shortest way
        self._at = 0.0

    def delay_s(self, uptime_s: float, at: float) -> float:
        """Return how much longer than the shortest way a line took that was written at `uptime_s` and read at `at`.

        0 for the first line: nothing is known of its way.
        """
        passed_s, self._at = max(0.0, at - self._at), at
        offset = at - uptime_s
        if self._offset is None:
            self._offset = offset
        self._offset = min(self._offset + DRIFT * passed_s, offset)
        return offset - self._offset
