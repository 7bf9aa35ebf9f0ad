"""A log histogram in Python and one in SQL, against which `app.latency.histograms` is tested."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.latency import histogram_sql
from app.latency.histograms import GAMMA, LN_GAMMA, count
from probes.contract import Outcome, Reading
from probes.reading_block import ReadingBlock

BUCKET = f"ceil(ln((CASE WHEN rtt < 1 THEN 1 ELSE rtt END)::float8) / {LN_GAMMA!r}::float8)::smallint"


def bucket_rows_of_readings(readings: str, keys: str) -> str:
    """Select bucket rows from rows (keys, sent, rtt_us) without empty arrays.

    `sent` is counted once a reading, at its last packet (the one without a next).
    """
    return f"""
        SELECT {keys}, {BUCKET} AS bucket_no, count(rtt) AS packets, sum(sent) FILTER (WHERE next IS NULL) AS sent,
            sum(rtt) AS rtt_sum, min(rtt) AS rtt_min, max(rtt) AS rtt_max, sum(abs(rtt - next)) AS jitter_sum,
            count(next) AS jitter_count
        FROM (SELECT {keys}, sent, unnest(rtt_us) AS rtt, unnest(rtt_us[2:]) AS next FROM {readings} r) packet
        GROUP BY {keys}, bucket_no"""


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


async def summary_of(session: AsyncSession, rtts_us: Sequence[int]) -> Any:
    """Return the figures of a response that these round trips, one a reading, come to."""
    block = ReadingBlock.of(Reading(1, 0, Outcome.OK, 1, (rtt,), 60) for rtt in rtts_us)
    counted = count(block, block.sent, np.ones(len(block), np.int64))
    rows = histogram_sql.histograms_of_parameters({"n": "int"})
    statement = text(f"SELECT {histogram_sql.SUMMARY} FROM ({rows}) counted")
    return (await session.execute(statement, {"n": [1], **counted.parameters()})).one()
