"""Breaks of a link as the server and as the device saw them, and what both together say. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import accumulate
from typing import NamedTuple

APART = timedelta(seconds=5)  # by which two accounts of a moment may differ
ROUNDING = timedelta(seconds=6)  # by which one break may seem to reach into the next
LEAST_APART = timedelta(seconds=5)  # beginnings of two breaks of a device


class SeenBy(StrEnum):
    """`server`: a line of the device came late or never; `device`: it heard nothing, and its pings were lost; `both`:
    either saw it.
    """

    SERVER = "server"
    DEVICE = "device"
    BOTH = "both"


class Excuse(StrEnum):
    """Why what the server alone saw is not told as the link's. `shared`: most streams fell silent together; `blind`:
    the service was stopped or could not be reached then.
    """

    SHARED = "shared"
    BLIND = "blind"


@dataclass(frozen=True, slots=True)
class Break:
    """It began between `started_after` and `started_before`, and ended between `ended_after` and `ended_before`."""

    started_after: datetime
    started_before: datetime
    ended_after: datetime
    ended_before: datetime
    seen_by: SeenBy
    heard_at: datetime  # when the service learned of it
    excuse: Excuse | None = None

    @property
    def seconds_min(self) -> int:
        return max(0, int((self.ended_after - self.started_before).total_seconds()))

    @property
    def seconds_max(self) -> int:
        return int((self.ended_before - self.started_after).total_seconds())

    def overlaps(self, start: datetime, end: datetime) -> bool:
        return self.started_after < end and start < self.ended_before

    def crowds(self, before: "Break") -> bool:
        """Whether a device cannot have seen both: it begins before the other is over, or at once after its beginning.

        Whoever makes breaks up makes no more of them than a link can have.
        """
        overlap = before.ended_before - self.started_after
        return overlap > ROUNDING or self.started_after < before.started_after + LEAST_APART

    def excused_by(self, ranges: Iterable[tuple[datetime, datetime]]) -> "Break":
        """Return it excused if only the server saw it, and it may lie in one of our own stops."""
        if self.seen_by is SeenBy.SERVER and any(self.overlaps(start, end) for start, end in ranges):
            return replace(self, excuse=self.excuse or Excuse.BLIND)
        return self


class ReportedBreak(NamedTuple):
    """What a device reported, placed in time. (`site_id`, `boot`, `seq`) is its identity."""

    site_id: int
    boot: str
    seq: int
    bounds: Break


def merge(breaks: Iterable[Break]) -> list[Break]:
    """Return each break once, in the order of time: what server and device both saw is one, within both their bounds.

    A break of the device's is one of the server's if it lies around the line that the server missed, and it is one
    only: so no account of a device, however wide or narrow, takes the server's others away. Where the device saw
    several in one silence of the server's, its bounds are the closer ones.
    """
    given = sorted(breaks, key=lambda item: item.started_after)
    by_device = [item for item in given if item.seen_by is SeenBy.DEVICE]
    begins = [item.started_after for item in by_device]
    ended_by = list(accumulate((item.ended_before for item in by_device), max))  # ascending, so that it can be searched
    merged: list[Break] = []
    witnessed: dict[int, Break] = {}
    for of_server in (item for item in given if item.seen_by is not SeenBy.DEVICE):
        first, last = bisect_right(ended_by, of_server.started_after), bisect_left(begins, of_server.ended_before)
        same = [
            index
            for index in range(first, last)
            if index not in witnessed and by_device[index].overlaps(of_server.started_after, of_server.ended_before)
        ]
        if not any(_is_around(by_device[index], of_server.ended_after) for index in same):
            merged.append(of_server)
            continue
        for index in same:
            witnessed[index] = _both(by_device[index], of_server, alone=len(same) == 1)
    merged += [witnessed.get(index, item) for index, item in enumerate(by_device)]
    return sorted(merged, key=lambda item: item.started_after)


def _is_around(of_device: Break, lost_at: datetime) -> bool:
    return of_device.started_after - APART <= lost_at <= of_device.ended_before + APART


def _both(of_device: Break, of_server: Break, *, alone: bool) -> Break:
    """`alone`: the device saw no other one in it, so the bounds of both hold, as far as they agree."""
    heard_at = min(of_device.heard_at, of_server.heard_at)
    both = replace(of_device, seen_by=SeenBy.BOTH, heard_at=heard_at, excuse=None)
    if not alone:
        return both
    closer = replace(
        both,
        started_after=max(of_device.started_after, of_server.started_after),
        started_before=min(of_device.started_before, of_server.started_before),
        ended_after=max(of_device.ended_after, of_server.ended_after),
        ended_before=min(of_device.ended_before, of_server.ended_before),
    )
    in_order = closer.started_after <= closer.started_before <= closer.ended_before
    return closer if in_order and closer.ended_after <= closer.ended_before else both


def total(breaks: Sequence[Break]) -> dict[str, int]:
    """Count the breaks that are told as the link's, and the least and most seconds that they lasted together."""
    told = [item for item in breaks if item.excuse is None]
    return {
        "breaks": len(told),
        "excused": len(breaks) - len(told),
        "seconds_min": sum(item.seconds_min for item in told),
        "seconds_max": sum(item.seconds_max for item in told),
    }
