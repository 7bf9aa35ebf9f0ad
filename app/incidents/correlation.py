"""Outages that have one cause: many that share a node, or a provider in a district, within minutes. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, TypeVar

from app.incidents.outages import FAR_AHEAD, Stretch

TOGETHER = timedelta(minutes=5)
LEAST_SITES, LEAST_PCT = 5, 30


@dataclass(frozen=True, slots=True)
class Key:
    """What sites share: a parent, or a provider within a district."""

    parent_id: int | None = None
    provider_id: int | None = None
    district: str | None = None


class OfSite(Stretch, Protocol):
    @property
    def site_id(self) -> int: ...


T = TypeVar("T", bound=OfSite)


def clusters(outages: Sequence[T], size: int, *, belongs: Callable[[T], bool]) -> list[list[T]]:
    """The outages of one shared cause each; `size`: how many sites there are that share.

    A cause begins where enough sites went down together, or with an outage that `belongs` to a known one. What goes
    down before its last member is back joins it.
    """
    queue, found = sorted(outages, key=lambda one: one.started_at), []
    while queue:
        together = [one for one in queue if one.started_at - queue[0].started_at <= TOGETHER]
        if not (belongs(queue[0]) or _enough(together, size)):
            queue.pop(0)
            continue
        cluster = together if _enough(together, size) else queue[:1]
        reach = max(one.ended_at or FAR_AHEAD for one in cluster)
        rest = queue[len(cluster) :]
        while rest and rest[0].started_at < reach:
            cluster.append(rest.pop(0))
            reach = max(reach, cluster[-1].ended_at or FAR_AHEAD)
        found.append(cluster)
        queue = rest
    return found


def _enough(outages: Sequence[OfSite], size: int) -> bool:
    sites = len({one.site_id for one in outages})
    return sites >= LEAST_SITES and 100 * sites >= LEAST_PCT * size
