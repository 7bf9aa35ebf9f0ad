"""A schedule of the seconds in which sites' evidence starts or stops to hold: only these sites are aged then."""

import math
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from app.core.freshness import CLOCK_TOLERANCE, hold_s


class AgeingSchedule:
    """Each site stands in it once, at the latest look that its evidence needs: whoever takes it adds it again."""

    def __init__(self) -> None:
        self._site_ids: dict[int, list[int]] = defaultdict(list)  # by Unix second
        self._second: dict[int, int] = {}  # in which a site's evidence may cease to hold, by site
        self._next = math.floor(time.time())  # the first second that was not taken yet

    @property
    def is_due(self) -> bool:
        """Whether a second has begun that was not taken yet."""
        return self._next < time.time()

    def add(self, site_id: int, evidence_at: datetime, valid_s: int) -> None:
        evidence = math.ceil(evidence_at.timestamp())
        begins, lapses = evidence - CLOCK_TOLERANCE.seconds, evidence + hold_s(valid_s)
        if begins >= self._next:  # it is of a clock ahead of ours
            self._site_ids[begins].append(site_id)
        known = self._second.get(site_id)
        if lapses >= self._next and (known is None or not self._next <= known <= lapses):
            self._second[site_id] = lapses
            self._site_ids[lapses].append(site_id)

    def take_due(self, now: datetime) -> Iterator[int]:
        """Yield the sites of all seconds before `now`, once."""
        while self._next < now.timestamp():
            for site_id in self._site_ids.pop(self._next, ()):
                if self._second.get(site_id) == self._next:
                    del self._second[site_id]
                yield site_id
            self._next += 1

    def rewind(self, now: datetime) -> bool:
        """Start again at `now` if the clock was set back. Return whether it was: all sites must be aged then."""
        if now.timestamp() >= self._next - CLOCK_TOLERANCE.total_seconds():
            return False
        self._next = math.floor(now.timestamp())
        return True

    def clear(self) -> None:
        self._site_ids.clear()
        self._second.clear()
