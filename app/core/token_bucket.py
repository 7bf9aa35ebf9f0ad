"""Token buckets: a sustained rate and a burst, per caller."""

MAX_CALLERS = 20_000
ROUNDING_S = 1e-6


class TokenBuckets:
    """Each bucket is stored as the time at which it is full again."""

    def __init__(self, *, per_s: float, burst: int, max_callers: int = MAX_CALLERS) -> None:
        self._interval_s, self._burst_s, self._max_callers = 1 / per_s, (burst - 1) / per_s, max_callers
        self._full_at: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, caller: bytes, now: float, tokens: int = 1) -> float:
        """Take so many tokens at once, at most a burst; return 0, or the seconds to wait until there are as many."""
        full_at = self._full_at.get(caller)
        if full_at is None and len(self._full_at) >= self._max_callers:
            self._evict(now)
        full_at = max(full_at or 0.0, now)
        more_s = min((tokens - 1) * self._interval_s, self._burst_s)
        wait_s = full_at + more_s - now - self._burst_s
        if wait_s > ROUNDING_S:
            return wait_s
        self._full_at[caller] = full_at + more_s + self._interval_s
        return 0.0

    def refund(self, caller: bytes) -> None:
        """Put back one token that was taken."""
        if caller in self._full_at:
            self._full_at[caller] -= self._interval_s

    def _evict(self, now: float) -> None:
        """Drop all full buckets, and of the others the fuller half where they are too many."""
        used = sorted((at, caller) for caller, at in self._full_at.items() if at > now)
        self._full_at = {caller: at for at, caller in used[-self._max_callers // 2 :]}
