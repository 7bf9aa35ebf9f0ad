"""Whom we heard when: that others came through about a moment is what makes a missing push tell something of its site.

Our own beat may take a shorter way than devices do. When all of them were away together, nobody of them was down.
"""

from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta
from typing import NamedTuple

from app.core.freshness import QUORUM, late_by, overdue_after

KEPT_TURNS = 3  # of the slowest profile
FEW = 50  # of so many that come after another somebody was heard in the turn before, however they are ordered


class Heard(NamedTuple):
    site_id: int
    at: datetime
    before: datetime | None  # when it was heard the time before


class Crowd:
    """Of the last while, in memory: who was not heard by this worker proves nothing."""

    def __init__(self) -> None:
        self._moments: list[datetime] = []  # of the same places in `_heard`
        self._heard: list[Heard] = []
        self._last: dict[int, datetime] = {}
        self._own: datetime | None = None
        self._absences: list[tuple[datetime, datetime]] = []
        self.clear_until: datetime | None = None  # so far a canary tells that our own way is open; None: there is none

    def hear(self, site_id: int, at: datetime) -> None:
        place = bisect_right(self._moments, at)
        self._moments.insert(place, at)
        self._heard.insert(place, Heard(site_id, at, self._last.get(site_id)))
        self._last[site_id] = at

    def hear_own(self, at: datetime) -> None:
        """Our own beat."""
        self._own = at

    def miss(self, until: datetime) -> None:
        """A process of the api began: since our beat before there may have been none, however short that was."""
        if self._own is not None:
            self._absences.append((self._own, until))

    def was_away(self, start: datetime, end: datetime) -> None:
        """Our own way to the outside was out, as our canaries tell."""
        self._absences.append((start, end))

    def forget(self, before: datetime) -> None:
        self._absences = [one for one in self._absences if one[1] >= before]
        place = bisect_left(self._moments, before)
        del self._moments[:place], self._heard[:place]

    @property
    def since(self) -> datetime | None:
        return self._moments[0] if self._moments else None

    def came_through(self, due: datetime, every: timedelta, *, but: int) -> tuple[int, ...]:
        """Two others that did about `due`: in the turn that ended then, or before and after, none of their own missed.

        None where there are fewer. Of two turns on end it cannot be said of both if ingest was out of reach at both and
        all between.
        """
        latest = due + late_by(every)
        if self.clear_until is not None and self.clear_until < latest:
            return ()
        if any(start <= latest and due <= end for start, end in self._absences):
            return ()
        first, last = bisect_left(self._moments, due - every), bisect_right(self._moments, due)
        last = bisect_right(self._moments, due + overdue_after(every), last, min(last + FEW, len(self._moments)))
        others: list[int] = []
        for place in range(first, last):
            one = self._heard[place]
            if one.site_id not in (but, *others) and (one.at <= due or _keeps_pace(one, due, every)):
                others.append(one.site_id)
                if len(others) == QUORUM:
                    return tuple(others)
        return ()


def _keeps_pace(one: Heard, due: datetime, every: timedelta) -> bool:
    return one.before is not None and one.before <= due and one.at - one.before <= overdue_after(every)
