"""Counts access points by their dated configurations: those in service, and the seconds all were configured. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

from app.aggregates.selection import SiteGroup
from app.availability.intervals import IntervalMap, clip
from app.availability.site_history import DatedConfigurations
from app.core.clock import to_slot
from app.core.periods import Period
from app.registry.configuration import ConfigurationInForce


def count_in_service(sites: Iterable[DatedConfigurations], group: SiteGroup, parts: Sequence[Period]) -> list[int]:
    """Return for each part the number of sites that were in service at some time in it."""
    starts, ends = [to_slot(part.start) for part in parts], [to_slot(part.end) for part in parts]
    changes = [0] * (len(parts) + 1)  # of the count, at the start of each part
    for site in sites:
        counted_up_to = 0
        for low, high, configuration in site.configurations:
            first, last = max(bisect_right(ends, low), counted_up_to), bisect_left(starts, high)
            if configuration.active and group.includes(configuration) and first < last:
                changes[first] += 1
                changes[last] -= 1
                counted_up_to = last
    return list(accumulate(changes))[:-1]


def configured_seconds(sites: Iterable[DatedConfigurations], group: SiteGroup, parts: Sequence[Period]) -> list[int]:
    """Return for each part the seconds of all its sites, in service or not.

    The time before a site's first configuration counts to that one.
    """
    spans = [(a, b) for site in sites for a, b, configuration in site.configurations if group.includes(configuration)]
    begun, ended = _ElapsedSum(a for a, _ in spans), _ElapsedSum(b for _, b in spans)

    def seconds_until(moment: int) -> int:
        return begun.at(moment) - ended.at(moment)

    return [seconds_until(to_slot(part.end)) - seconds_until(to_slot(part.start)) for part in parts]


class _ElapsedSum:
    """The sum, over many moments, of the seconds elapsed since each."""

    def __init__(self, moments: Iterable[int]) -> None:
        self._sorted = sorted(moments)
        self._sums = [0, *accumulate(self._sorted)]

    def at(self, now: int) -> int:
        past = bisect_left(self._sorted, now)
        return past * now - self._sums[past]


def active_configurations(
    site: DatedConfigurations, group: SiteGroup, period: Period
) -> IntervalMap[ConfigurationInForce]:
    """Return the site's configurations in the period in which it was in service and belonged to the group."""
    within = clip(site.configurations, to_slot(period.start), to_slot(period.end))
    return [(a, b, conf) for a, b, conf in within if conf.active and group.includes(conf)]
