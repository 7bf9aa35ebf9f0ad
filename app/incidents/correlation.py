"""Cluster outages with one cause: many sites behind one node, or of one provider in a district, in minutes. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, TypeVar

from app.incidents.outages import FAR_AHEAD, TimeRange

CORRELATION_WINDOW = timedelta(minutes=5)
MIN_SITES, MIN_PCT = 5, 30


@dataclass(frozen=True, slots=True)
class GroupKey:
    """What sites share: a parent, or a provider within a district."""

    parent_id: int | None = None
    provider_id: int | None = None
    district: str | None = None


class SiteOutage(TimeRange, Protocol):
    @property
    def site_id(self) -> int: ...


T = TypeVar("T", bound=SiteOutage)


def find_clusters(outages: Sequence[T], group_size: int, *, is_member: Callable[[T], bool]) -> list[list[T]]:
    """Return one list of outages per shared cause; `group_size` is the number of sites in the group.

    1. A cluster starts where enough sites go down within the window, or at an outage that already `is_member` of the
       group's shared incident.
    2. Every outage that starts before the cluster's last one has ended joins it.
    """
    queue, clusters = sorted(outages, key=lambda outage: outage.started_at), []
    while queue:
        close = [outage for outage in queue if outage.started_at - queue[0].started_at <= CORRELATION_WINDOW]
        if not (is_member(queue[0]) or _is_enough(close, group_size)):
            queue.pop(0)
            continue
        cluster = close if _is_enough(close, group_size) else queue[:1]
        end = max(outage.ended_at or FAR_AHEAD for outage in cluster)
        rest = queue[len(cluster) :]
        while rest and rest[0].started_at < end:
            cluster.append(rest.pop(0))
            end = max(end, cluster[-1].ended_at or FAR_AHEAD)
        clusters.append(cluster)
        queue = rest
    return clusters


def _is_enough(outages: Sequence[SiteOutage], group_size: int) -> bool:
    sites = len({outage.site_id for outage in outages})
    return sites >= MIN_SITES and 100 * sites >= MIN_PCT * group_size
