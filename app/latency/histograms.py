"""Histograms of round-trip times, counted from blocks of readings. Pure.

Bucket b holds the µs above GAMMA**(b-1) up to GAMMA**b: each is 4% wider than the last, and its centre is off by at
most (GAMMA-1)/(GAMMA+1) = 1.96%, so every percentile is within 2%. `histogram_sql` merges what is counted here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from app.latency.cells import Cells, by_cell, first_of_each
from probes.reading_block import FAULT, OK, ReadingBlock

GAMMA = 1.04
LN_GAMMA = math.log(GAMMA)
NOTHING = np.iinfo(np.int32).max  # the least of no round-trip times


@dataclass(frozen=True, slots=True, eq=False)
class Histograms:
    """One a cell, cells in order. `bucket`, `upto`: those of the first cell, then of the second, `buckets` of each."""

    cell: Cells
    sent: Cells
    received: Cells
    rtt_sum: Cells
    rtt_min: Cells
    rtt_max: Cells
    jitter_sum: Cells
    jitter_count: Cells
    buckets: Cells
    bucket: NDArray[np.int16]
    upto: Cells  # how many packets of the cell fell into that bucket or below

    @classmethod
    def concat(cls, histograms: Sequence[Self]) -> Self:
        """Return all of them, one after the other: of a cell there may be several."""
        names, none = cls.__dataclass_fields__, np.zeros(0, np.int64)
        return cls(*(np.concatenate([none, *(getattr(h, name) for h in histograms)]) for name in names))

    def parameters(self) -> dict[str, list[Any]]:
        """Return what `histogram_sql.of_parameters` needs, beside the keys of the cells."""
        high = np.cumsum(self.buckets)
        columns = {name: getattr(self, name) for name in (*SUMS, "bucket", "upto")}
        columns |= {"low": high - self.buckets + 1, "high": high}
        return {f"counted_{name}": column.tolist() for name, column in columns.items()}


SUMS = ("sent", "received", "rtt_sum", "rtt_min", "rtt_max", "jitter_sum", "jitter_count")


def packets_sent(block: ReadingBlock, our_fault: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Return how many packets of each reading count as sent: none of a fault; the answered ones of what we lost."""
    lossy = block.received < block.sent
    sent = np.where(lossy & our_fault, block.received, block.sent)
    return np.where(block.outcome == FAULT, 0, sent)


def count(block: ReadingBlock, sent: NDArray[np.int16], cell: Cells) -> Histograms:
    """Count the readings of each cell: `cell` says which one a reading is in, `sent` how many packets of it count."""
    if np.any(cell[1:] < cell[:-1]):
        order = np.argsort(cell, kind="stable")
        block, sent, cell = block.take(order), sent[order], cell[order]
    firsts = first_of_each(cell)
    received = np.where(block.outcome == OK, block.received, 0).astype(np.int64)
    answered = np.arange(block.rtt_us.shape[1]) < received[:, None]
    rtt = np.where(answered, block.rtt_us, 0)
    differences = np.where(answered[:, 1:], np.abs(np.diff(rtt, axis=1)), 0)
    least = np.where(answered, block.rtt_us, NOTHING).min(axis=1, initial=NOTHING)
    buckets, bucket, upto = _buckets(
        rtt[answered], np.repeat(np.arange(len(firsts)), by_cell(np.add, received, firsts)), len(firsts)
    )
    return Histograms(
        cell=cell[firsts],
        sent=_sums(sent, firsts),
        received=_sums(received, firsts),
        rtt_sum=_sums(rtt.sum(axis=1, dtype=np.int64), firsts),
        rtt_min=by_cell(np.minimum, least, firsts),
        rtt_max=by_cell(np.maximum, rtt.max(axis=1, initial=0), firsts),
        jitter_sum=_sums(differences.sum(axis=1, dtype=np.int64), firsts),
        jitter_count=_sums(np.maximum(received - 1, 0), firsts),
        buckets=buckets,
        bucket=bucket,
        upto=upto,
    )


def bucket_of(rtt_us: NDArray[np.int32]) -> NDArray[np.int64]:
    return np.ceil(np.log(np.maximum(rtt_us, 1)) / LN_GAMMA).astype(np.int64)


def _buckets(rtt_us: NDArray[np.int32], number: Cells, cells: int) -> tuple[Cells, NDArray[np.int16], Cells]:
    """Return how many buckets each cell has, and all their numbers and cumulative packets, given each packet's cell."""
    bucket = bucket_of(rtt_us)
    low, high = int(bucket.min(initial=0)), int(bucket.max(initial=0))
    width = high - low + 1
    packets = np.bincount(number * width + bucket - low, minlength=cells * width)
    used = np.flatnonzero(packets)
    of_cell = np.bincount(used // width, minlength=cells)
    total = np.cumsum(packets[used])
    before = np.concatenate(([0], total))[np.cumsum(of_cell) - of_cell]
    return of_cell, (used % width + low).astype(np.int16), total - np.repeat(before, of_cell)


def _sums(column: NDArray[Any], firsts: Cells) -> Cells:
    return by_cell(np.add, column.astype(np.int64), firsts)
