"""Counts looks within fixed round-trip times, exactly: from single readings, never from histograms. Pure.

1. A look's round-trip time is that of its middle packet, in order of arrival; a lost packet never arrives. So half of
   the packets sent or more have to be answered in time. What was lost by our own fault was never sent.
2. Of a site's looks in one minute the slowest counts, so that no device improves its share by looking more often.
3. A claim (a reading that its device reports afterwards, as answered) is no look. A late report of a loss is one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.judging.claims import LATE
from app.latency.cells import Cells, by_cell, cell_of, first_of_each, key_of, time_of
from probes.reading_block import OK, ReadingBlock

# Append only: stored arrays are in this order. A published method's limits have to be among them.
LOOK_BOUNDS_MS = (100, 150, 750)
MINUTE_S, HOUR_MINUTES = 60, 60
NO_LOOK, NEVER = -1, np.iinfo(np.int32).max  # instead of a round-trip time; beyond every bound


@dataclass(frozen=True, slots=True, eq=False)
class LooksByHour:
    """By hour (`cell`: site and hour since 1970) that has a reading; `within`: (hours, LOOK_BOUNDS_MS)."""

    cell: Cells
    looks: Cells
    lost: Cells
    within: NDArray[np.int64]


def count_looks(block: ReadingBlock, sent: NDArray[np.int16]) -> LooksByHour:
    """Count the looks of readings in order of site and slot; `sent` is how many packets of each count as sent."""
    is_claim = np.array([reason == LATE for reason in block.reasons])[block.reason] & (block.outcome == OK)
    rtt = np.where(is_claim | (sent <= 0), NO_LOOK, _middle_rtts(block, sent))
    minute = cell_of(block.key, block.slot // MINUTE_S)
    firsts = first_of_each(minute)
    slowest = by_cell(np.maximum, rtt, firsts)
    answered = by_cell(np.logical_or, (rtt != NO_LOOK) & (block.outcome == OK), firsts)
    minute = minute[firsts]
    hour = cell_of(key_of(minute), time_of(minute) // HOUR_MINUTES)
    firsts = first_of_each(hour)
    is_look = slowest != NO_LOOK
    within = is_look[:, None] & (slowest[:, None] <= 1000 * np.array(LOOK_BOUNDS_MS))
    return LooksByHour(
        cell=hour[firsts],
        looks=_number(is_look, firsts),
        lost=_number(is_look & ~answered, firsts),
        within=_number(within, firsts),
    )


def _middle_rtts(block: ReadingBlock, sent: NDArray[np.int16]) -> NDArray[np.int32]:
    """Return the round-trip time of each reading's middle packet, NEVER where it was not answered."""
    width = block.rtt_us.shape[1]
    received = np.where(block.outcome == OK, block.received, 0)
    middle = (np.maximum(sent, 1) - 1) // 2
    if width == 0:
        return np.full(len(block), NEVER)
    in_order = np.sort(np.where(np.arange(width) < received[:, None], block.rtt_us, NEVER), axis=1)
    found = in_order[np.arange(len(block)), np.minimum(middle, width - 1)]
    return np.where(middle < received, found, NEVER)


def _number(condition: NDArray[np.bool_], firsts: Cells) -> NDArray[np.int64]:
    return by_cell(np.add, condition.astype(np.int64), firsts)
