"""So many requests for long, and a burst of them at once: a bucket for each caller, which fills up evenly."""

MOST = 20_000
ROUNDING_S = 1e-6


class Buckets:
    """Each is kept as the moment when it is full again."""

    def __init__(self, *, per_s: float, burst: int, most: int = MOST) -> None:
        self._each_s, self._room_s, self._most = 1 / per_s, (burst - 1) / per_s, most
        self._full_at: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, caller: bytes, now: float) -> float:
        """How long to wait for the next one: 0 when it was there."""
        full_at = self._full_at.get(caller)
        if full_at is None and len(self._full_at) >= self._most:
            self._forget(now)
        full_at = max(full_at or 0.0, now)
        wait_s = full_at - now - self._room_s
        if wait_s > ROUNDING_S:
            return wait_s
        self._full_at[caller] = full_at + self._each_s
        return 0.0

    def _forget(self, now: float) -> None:
        """The idle; and if that does not do, the half that has asked for least."""
        owing = sorted((at, caller) for caller, at in self._full_at.items() if at > now)
        self._full_at = {caller: at for at, caller in owing[-self._most // 2 :]}
