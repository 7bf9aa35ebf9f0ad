"""A log histogram in Python, against which the SQL of `app.latency.histogram_sql` is tested."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from app.latency.histogram_sql import GAMMA, LN_GAMMA


def bucket_of(rtt_us: int) -> int:
    return math.ceil(math.log(max(rtt_us, 1)) / LN_GAMMA)


def centre_of(bucket: int) -> float:
    return float(2 * GAMMA**bucket / (GAMMA + 1))


@dataclass(frozen=True)
class Histogram:
    counts: Counter[int] = field(default_factory=Counter)
    min_us: int | None = None
    max_us: int | None = None

    @classmethod
    def of(cls, rtts_us: Iterable[int]) -> "Histogram":
        rtts = list(rtts_us)
        return cls(Counter(map(bucket_of, rtts)), min(rtts, default=None), max(rtts, default=None))

    def __add__(self, other: "Histogram") -> "Histogram":
        minima = [bound for bound in (self.min_us, other.min_us) if bound is not None]
        maxima = [bound for bound in (self.max_us, other.max_us) if bound is not None]
        return Histogram(self.counts + other.counts, min(minima, default=None), max(maxima, default=None))

    def quantile(self, q: float) -> float | None:
        """Interpolate at q (0 to 1) between the two nearest packets, like percentile_cont; None without packets."""
        if self.min_us is None:
            return None
        rank = q * (self.counts.total() - 1)
        low, high = self._value_at(math.floor(rank)), self._value_at(math.ceil(rank))
        return low + (high - low) * (rank % 1)

    def _value_at(self, rank: int) -> float:
        """Return the centre of the bucket that holds the packet of this rank (from 0), within the exact bounds."""
        assert self.min_us is not None
        assert self.max_us is not None
        cumulative = 0
        for bucket in sorted(self.counts):
            cumulative += self.counts[bucket]
            if cumulative > rank:
                return min(max(centre_of(bucket), self.min_us), self.max_us)
        return self.max_us
