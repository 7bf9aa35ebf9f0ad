"""A log histogram of round-trip times: each bucket is 4% wider than the last, so every percentile is within 2%.

Bucket b holds the µs above GAMMA**(b-1) up to GAMMA**b; its centre is off by at most (GAMMA-1)/(GAMMA+1) = 1.96%.
Histograms are merged by adding counts. `histogram_sql` does the same in SQL, over arrays of
buckets and cumulative counts.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

GAMMA = 1.04
LN_GAMMA = math.log(GAMMA)


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
