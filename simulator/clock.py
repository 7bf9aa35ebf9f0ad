"""The simulator's monotonic clock, and its conversion from and to wall-clock timestamps."""

import time
from datetime import UTC, datetime, timedelta

_MIN_STEP_NS = 1_000_000  # a smaller difference is noise between two readings of the clocks
_QUICK_NS = 50_000
_OLDEST_NS = 5_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """Runs on the monotonic clock, so a step of the wall clock neither delays nor hastens an answer."""

    def __init__(self, start_ns: int | None = None) -> None:
        """`start_ns`, returned by `start` in another process, shares that process's time."""
        self._ahead_ns = time.time_ns() - time.monotonic_ns()  # wall clock minus monotonic
        self._start_ns = start_ns

    @property
    def started(self) -> bool:
        return self._start_ns is not None

    def start(self) -> int:
        """Set the script's zero to now, a whole microsecond of the wall clock; return it in monotonic nanoseconds."""
        self.refresh()
        self._start_ns = (time.monotonic_ns() + self._ahead_ns) // 1_000 * 1_000 - self._ahead_ns
        return self._start_ns

    def refresh(self) -> int:
        """Follow a step of the wall clock; return the monotonic time."""
        before = time.monotonic_ns()
        ahead_ns = time.time_ns() - before
        if abs(ahead_ns - self._ahead_ns) > _MIN_STEP_NS and time.monotonic_ns() - before < _QUICK_NS:
            self._ahead_ns = ahead_ns
        return before

    def arrived(self, stamp_ns: int, now_ns: int) -> int:
        """Convert a kernel timestamp to monotonic time; one from before a step of the wall clock counts as now."""
        arrived_ns = stamp_ns - self._ahead_ns
        return arrived_ns if now_ns - _OLDEST_NS < arrived_ns else now_ns

    def since_start(self, monotonic_ns: int) -> float:
        """Return seconds since the start; -1 before it."""
        return -1.0 if self._start_ns is None else (monotonic_ns - self._start_ns) / 1e9

    def monotonic_ns(self, since_start_s: float) -> int:
        assert self._start_ns is not None
        return self._start_ns + round(since_start_s * 1e6) * 1_000

    def moment(self, since_start_s: float) -> datetime:
        wall_ns = self.monotonic_ns(since_start_s) + self._ahead_ns
        return _EPOCH + timedelta(microseconds=round(wall_ns / 1_000))
