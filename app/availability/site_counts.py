"""How many access points were there, by their dated set-ups: in service, or set up at all. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

from app.aggregates.selection import SiteGroup
from app.availability.intervals import Track, clip
from app.availability.site_history import Dated
from app.core.clock import to_slot
from app.core.periods import Period
from app.registry.configuration import ConfigurationInForce


def in_service(found: Iterable[Dated], chosen: SiteGroup, parts: Sequence[Period]) -> list[int]:
    """For each part the number of sites that were in service at some time in it."""
    starts, ends = [to_slot(part.start) for part in parts], [to_slot(part.end) for part in parts]
    steps = [0] * (len(parts) + 1)
    for site in found:
        reached = 0
        for low, high, setup in site.setups:
            first, last = max(bisect_right(ends, low), reached), bisect_left(starts, high)
            if setup.active and chosen.includes(setup) and first < last:
                steps[first] += 1
                steps[last] -= 1
                reached = last
    return list(accumulate(steps))[:-1]


def seconds_set_up(found: Iterable[Dated], chosen: SiteGroup, parts: Sequence[Period]) -> list[int]:
    """For each part the seconds of all its sites, in service or not; the time before the first set-up counts to it."""
    spans = [(low, high) for site in found for low, high, setup in site.setups if chosen.includes(setup)]
    begun, over = _Passed(low for low, _ in spans), _Passed(high for _, high in spans)

    def until(moment: int) -> int:
        return begun.seconds(moment) - over.seconds(moment)

    return [until(to_slot(part.end)) - until(to_slot(part.start)) for part in parts]


class _Passed:
    """For many moments: the seconds that have passed since each of them, together."""

    def __init__(self, moments: Iterable[int]) -> None:
        self._sorted = sorted(moments)
        self._sums = [0, *accumulate(self._sorted)]

    def seconds(self, now: int) -> int:
        passed = bisect_left(self._sorted, now)
        return passed * now - self._sums[passed]


def active(site: Dated, chosen: SiteGroup, period: Period) -> Track[ConfigurationInForce]:
    """A site's set-ups of the period in which it was in service for the selection."""
    track = clip(site.setups, to_slot(period.start), to_slot(period.end))
    return [(low, high, setup) for low, high, setup in track if setup.active and chosen.includes(setup)]
