"""Find the speed tests that fall due. Plans are not stored: a site's next test follows from what it may spend."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from heapq import heapify, heappop, heappush

from app.core.clock import month_of
from app.core.periods import first_of_next_month
from app.throughput.budget import MonthPlan, plan_month
from app.throughput.planner import SpeedtestSite

DueTest = tuple[SpeedtestSite, MonthPlan, datetime]
Entry = tuple[datetime, int]  # when to look at a site again, and its id


class Plans:
    """The sites whose speed is tested, and when to look at each again: at its next test.

    A changed site costs itself alone, and so does a test that falls due, however many sites there are.
    """

    def __init__(self, sites: Iterable[SpeedtestSite] = ()) -> None:
        self.sites = {site.id: site for site in sites}
        self._heap: list[Entry] = []
        self._next: dict[int, datetime] = {}  # by site; an entry of the heap with another time is of a former plan
        self._bounds: tuple[datetime, datetime] | None = None  # of the last call
        self._taken: list[Entry] = []  # in the last call

    def put(self, site: SpeedtestSite) -> None:
        self.sites[site.id] = site
        if self._bounds is not None:
            self._schedule(site, self._bounds[0])  # that call may have come to nothing

    def remove(self, site_id: int) -> None:
        self.sites.pop(site_id, None)
        self._next.pop(site_id, None)

    def due(self, after: datetime, until: datetime) -> list[DueTest]:
        """Return tests planned in (after, until]; none from before the site's current configuration.

        `after` is the last call's `until`, or its `after` where that call came to nothing; any other is served, too.
        """
        if self._bounds is None or after < self._bounds[0]:
            self._schedule_all(after)
        else:
            for moment, site_id in reversed(self._taken):
                if moment > after and site_id in self.sites:
                    self._look_at(moment, site_id)
        self._bounds, self._taken = (after, until), []
        return list(self._take_due(after, until))

    def _take_due(self, after: datetime, until: datetime) -> Iterator[DueTest]:
        while self._heap and self._heap[0][0] <= until:
            moment, site_id = heappop(self._heap)
            site = self.sites.get(site_id)
            if site is None or self._next.get(site_id) != moment:
                continue
            self._taken.append((moment, site_id))
            plan = plan_month(site.allowance, month_of(moment), site_id)
            if moment > max(after, site.setup_at) and plan.has(moment):
                yield site, plan, moment
            self._schedule(site, max(after, moment))

    def _schedule_all(self, after: datetime) -> None:
        self._heap = [(_next_look(site, after), site_id) for site_id, site in self.sites.items()]
        self._next = {site_id: moment for moment, site_id in self._heap}
        heapify(self._heap)
        self._taken = []

    def _schedule(self, site: SpeedtestSite, after: datetime) -> None:
        self._look_at(_next_look(site, after), site.id)

    def _look_at(self, moment: datetime, site_id: int) -> None:
        if self._next.get(site_id) != moment:
            self._next[site_id] = moment
            heappush(self._heap, (moment, site_id))


def _next_look(site: SpeedtestSite, after: datetime) -> datetime:
    """Return when the first test after a moment is; where neither that month nor the next has one, the latter's end."""
    after = max(after, site.setup_at)
    month = month_of(after)
    plan = plan_month(site.allowance, month, site.id)
    following = plan_month(site.allowance, first_of_next_month(month), site.id)
    return plan.first_after(after) or following.first_after(after) or following.end
