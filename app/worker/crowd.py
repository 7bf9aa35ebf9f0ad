"""Whom we heard when: that others came through about a moment is what makes a missing push tell something of its site.

Our own beat may take a shorter way than devices do. When all of them were away together, nobody of them was down.
"""

from bisect import bisect_left, bisect_right, insort
from datetime import datetime, timedelta
from operator import attrgetter
from typing import NamedTuple

from app.evidence import LATE

OTHERS = 2
KEPT_TURNS = 3  # of the slowest profile


class Heard(NamedTuple):
    at: datetime
    site_id: int
    before: datetime | None  # when it was heard the time before


class Crowd:
    """Of the last while, in memory: who was not heard by this worker proves nothing."""

    def __init__(self) -> None:
        self._heard: list[Heard] = []
        self._last: dict[int, datetime] = {}

    def hear(self, site_id: int, at: datetime) -> None:
        insort(self._heard, Heard(at, site_id, self._last.get(site_id)), key=_when)
        self._last[site_id] = at

    def forget(self, before: datetime) -> None:
        del self._heard[: bisect_left(self._heard, before, key=_when)]

    @property
    def since(self) -> datetime | None:
        return self._heard[0].at if self._heard else None

    def came_through(self, due: datetime, every: timedelta, *, but: int) -> bool:
        """Whether others did about `due`: in the turn that ended then, or before and after, none of their own missed.

        Of two turns on end it cannot be said of both if ingest was out of reach at both and all between.
        """
        others: set[int] = set()
        first = bisect_left(self._heard, due - every, key=_when)
        last = bisect_right(self._heard, due + every * (1 + LATE), key=_when)
        for one in self._heard[first:last]:
            if one.site_id != but and (one.at <= due or _keeps_pace(one, due, every)):
                others.add(one.site_id)
                if len(others) == OTHERS:
                    return True
        return False


def _keeps_pace(one: Heard, due: datetime, every: timedelta) -> bool:
    return one.before is not None and one.before <= due and one.at - one.before <= every * (1 + LATE)


_when = attrgetter("at")
