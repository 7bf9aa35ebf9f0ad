"""The log histogram of round-trip times: its buckets grow by 4%, so that any percentile is within 2% of the exact one.

Bucket b holds the µs above GAMMA**(b-1) up to GAMMA**b; its centre is off by at most (GAMMA-1)/(GAMMA+1) = 1.96%.
Histograms merge by adding: `bars.py` does the same in SQL, over arrays of buckets and running counts.
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
    least: int | None = None
    most: int | None = None

    @classmethod
    def of(cls, rtts_us: Iterable[int]) -> "Histogram":
        rtts = list(rtts_us)
        return cls(Counter(map(bucket_of, rtts)), min(rtts, default=None), max(rtts, default=None))

    def __add__(self, other: "Histogram") -> "Histogram":
        least = [bound for bound in (self.least, other.least) if bound is not None]
        most = [bound for bound in (self.most, other.most) if bound is not None]
        return Histogram(self.counts + other.counts, min(least, default=None), max(most, default=None))

    def quantile(self, q: float) -> float | None:
        """Between the two packets around the place q of 0 to 1, as PostgreSQL's percentile_cont; None without any."""
        if self.least is None:
            return None
        place = q * (self.counts.total() - 1)
        low, high = self._at(math.floor(place)), self._at(math.ceil(place))
        return low + (high - low) * (place % 1)

    def _at(self, rank: int) -> float:
        """The packet of that rank, counted from 0, as its bucket's centre."""
        assert self.least is not None
        assert self.most is not None
        upto = 0
        for bucket in sorted(self.counts):
            upto += self.counts[bucket]
            if upto > rank:
                return min(max(centre_of(bucket), self.least), self.most)
        return self.most
