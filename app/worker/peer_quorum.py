"""When sites were heard from: a missed push is evidence about its site only if pushes of others arrived around then.

Our own heartbeat may take a shorter way than devices do. When all of them were cut off together, none of them was down.
"""

from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta
from typing import NamedTuple

from app.agents.silence_rule import QUORUM
from app.core.freshness import late_by, overdue_after

KEPT_INTERVALS = 3  # of the slowest profile
OWN_BEAT_GAP = timedelta(seconds=25)  # a longer one: a beat of ours was refused or lost, and pushes may have been
UNKNOWN_ABSENCE = timedelta(seconds=45)  # before a start of ingest, where no beat of ours is known
SEARCH_LIMIT = 50  # arrivals; among so many at least one site was heard from in the interval before, in whatever order


class Arrival(NamedTuple):
    site_id: int
    at: datetime
    before: datetime | None  # the site's arrival before this one


class PeerQuorum:
    """Recent arrivals, in memory: of the time before this worker started, sites prove nothing."""

    def __init__(self) -> None:
        self._moments: list[datetime] = []  # of `_arrivals`, at the same indexes
        self._arrivals: list[Arrival] = []
        self._last: dict[int, datetime] = {}
        self._own_beat_at: datetime | None = None
        self._absences: list[tuple[datetime, datetime]] = []
        self._refusals: list[tuple[datetime, datetime]] = []
        self.known_until: datetime | None = (
            None  # canaries show until then whether our uplink was up; None: no canaries
        )

    def record(self, site_id: int, at: datetime) -> None:
        index = bisect_right(self._moments, at)
        self._moments.insert(index, at)
        self._arrivals.insert(index, Arrival(site_id, at, self._last.get(site_id)))
        self._last[site_id] = at

    def record_own_beat(self, at: datetime) -> None:
        if self._own_beat_at is not None and at - self._own_beat_at > OWN_BEAT_GAP:
            self._refusals.append((self._own_beat_at, at))
        self._own_beat_at = at

    def record_api_start(self, at: datetime) -> None:
        """Since our beat before there may have been no api, however short that was."""
        start = at - UNKNOWN_ABSENCE if self._own_beat_at is None else min(self._own_beat_at, at)
        self._absences.append((start, at))
        self._refusals.append((start, at))

    def record_absence(self, start: datetime, end: datetime) -> None:
        """No push could reach us from `start` to `end`."""
        self._absences.append((start, end))

    def expire(self, before: datetime) -> None:
        self._absences = [(start, end) for start, end in self._absences if end >= before]
        self._refusals = [(start, end) for start, end in self._refusals if end >= before]
        index = bisect_left(self._moments, before)
        del self._moments[:index], self._arrivals[:index]

    @property
    def since(self) -> datetime | None:
        return self._moments[0] if self._moments else None

    def may_pause(self, heard_at: datetime, due: datetime, every: timedelta, longest_pause: timedelta) -> bool:
        """Whether a device heard from last at `heard_at` may have been refused, and still pause when it was `due`."""
        latest = due + late_by(every)
        beat_at = self._own_beat_at
        if beat_at is not None and heard_at < latest and latest - beat_at > OWN_BEAT_GAP:
            return True  # none of ours has arrived since: whether it would have been refused is not known yet
        return any(heard_at < end and start <= latest and due < end + longest_pause for start, end in self._refusals)

    def find(self, due: datetime, every: timedelta, *, exclude: int) -> tuple[int, ...]:
        """Return two other sites heard from around `due`, or () if there are fewer.

        They were heard from in the interval that ended then, or kept their own pace across it. If ingest was out of
        reach at two due times in a row and all the time between, at most one of them has such peers.
        """
        latest = due + late_by(every)
        if self.known_until is not None and self.known_until < latest:
            return ()
        if any(start <= latest and due <= end for start, end in self._absences):
            return ()
        first, last = bisect_left(self._moments, due - every), bisect_right(self._moments, due)
        last = bisect_right(
            self._moments, due + overdue_after(every), last, min(last + SEARCH_LIMIT, len(self._moments))
        )
        peers: list[int] = []
        for arrival in map(self._arrivals.__getitem__, range(first, last)):  # islice would walk from 0
            if arrival.site_id not in (exclude, *peers) and (arrival.at <= due or _keeps_pace(arrival, due, every)):
                peers.append(arrival.site_id)
                if len(peers) == QUORUM:
                    return tuple(peers)
        return ()


def _keeps_pace(arrival: Arrival, due: datetime, every: timedelta) -> bool:
    return arrival.before is not None and arrival.before <= due and arrival.at - arrival.before <= overdue_after(every)
