"""A schedule of the seconds in which sites' evidence starts or stops to hold: only these sites are aged then."""

import math
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from app.core.freshness import CLOCK_TOLERANCE, hold_s


class AgeingSchedule:
    def __init__(self) -> None:
        self._site_ids: dict[int, list[int]] = defaultdict(list)  # by Unix second
        self._next = math.floor(time.time())  # the first second that was not taken yet

    @property
    def is_due(self) -> bool:
        """Whether a second has begun that was not taken yet."""
        return self._next < time.time()

    def add(self, site_id: int, evidence_at: datetime, valid_s: int) -> None:
        evidence = math.ceil(evidence_at.timestamp())
        for second in (evidence - CLOCK_TOLERANCE.seconds, evidence + hold_s(valid_s)):
            if second >= self._next:
                self._site_ids[second].append(site_id)

    def take_due(self, now: datetime) -> Iterator[int]:
        """Yield the sites of all seconds before `now`, once."""
        while self._next < now.timestamp():
            yield from self._site_ids.pop(self._next, ())
            self._next += 1

    def rewind(self, now: datetime) -> bool:
        """Start again at `now` if the clock was set back. Return whether it was: all sites must be aged then."""
        if now.timestamp() >= self._next - CLOCK_TOLERANCE.total_seconds():
            return False
        self._next = math.floor(now.timestamp())
        return True

    def clear(self) -> None:
        self._site_ids.clear()
