"""Behind which node a downtime was unreachable, and what people recorded of that node's own outage."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability.slices import Run
from app.availability.timeline import TimelineSegment
from app.core.clock import from_slot
from app.incidents import recorded_outages
from app.incidents.recorded_outages import RecordedCause, RecordedOutage
from app.postgres.engine import among
from app.registry.models import Contract, Site, SiteConfiguration, State

UNKNOWN_PARENT: dict[str, Any] = dict.fromkeys(
    ("parent_code", "parent_name", "parent_incident_id", "parent_ticket_no", "parent_cause")
)


class Recorded(Protocol):
    @property
    def started_at(self) -> datetime: ...
    @property
    def ended_at(self) -> datetime | None: ...


R = TypeVar("R", bound=Recorded)


@dataclass(frozen=True, slots=True)
class DatedParent:
    """A node that a site depended on; one of another provider than the contract's is not named."""

    started_at: datetime
    ended_at: datetime | None
    code: str
    name: str
    is_named: bool
    outages: Sequence[RecordedOutage]
    causes: Sequence[RecordedCause]


async def load_parents(
    session: AsyncSession, site_ids: Collection[int], contract_id: int, low: datetime, high: datetime
) -> Mapping[int, Sequence[DatedParent]]:
    """Return the nodes that each site depended on from low to high, with what was recorded of their outages."""
    provider = select(Contract.provider_id).where(Contract.id == contract_id).scalar_subquery()
    configured = SiteConfiguration
    rows = (
        await session.execute(
            select(
                configured.site_id,
                configured.started_at,
                configured.ended_at,
                Site.id,
                Site.code,
                Site.name,
                or_(Site.provider_id.is_(None), Site.provider_id == provider),
            )
            .join(Site, Site.id == configured.parent_id)
            .where(among(configured.site_id, site_ids), configured.started_at < high)
            .where(or_(configured.ended_at.is_(None), configured.ended_at > low))
            .order_by(configured.started_at)
        )
    ).all()
    ids = {row[3] for row in rows}
    outages = await recorded_outages.outages_of_sites(session, ids, low, high) if ids else {}
    causes = await recorded_outages.causes_of_sites(session, ids, low, high) if ids else {}
    parents: dict[int, list[DatedParent]] = {}
    for site_id, started_at, ended_at, parent_id, code, name, is_named in rows:
        of_parent = outages.get(parent_id, ()), causes.get(parent_id, ())
        parents.setdefault(site_id, []).append(DatedParent(started_at, ended_at, code, name, is_named, *of_parent))
    return parents


def describe_parent(run: Run, segments: Sequence[TimelineSegment], parents: Sequence[DatedParent]) -> dict[str, Any]:
    """Return how long the run was unreachable behind its node, since when that was sure, and the node's outage.

    Where it was so more than once, the longest tells the node.
    """
    behind = [] if run.is_degraded else [*_unreachable(run, segments)]
    if not behind:
        return {"unreachable_s": 0, **UNKNOWN_PARENT}
    start, end, _ = max(behind, key=lambda each: each[1] - each[0])
    parent = _within(parents, start, end)
    fields = {
        "unreachable_s": round(sum((b - a).total_seconds() for a, b, _ in behind)),
        "confirmed_at": behind[0][2].confirmed_at,
    }
    if parent is None or not parent.is_named:
        return fields | UNKNOWN_PARENT
    outage, cause = _within(parent.outages, start, end), _within(parent.causes, start, end)
    return fields | {
        "parent_code": parent.code,
        "parent_name": parent.name,
        "parent_incident_id": None if outage is None else outage.incident_id,
        "parent_ticket_no": None if outage is None else outage.ticket_no,
        "parent_cause": None if cause is None else cause.cause,
    }


def _unreachable(run: Run, segments: Sequence[TimelineSegment]) -> Iterator[tuple[datetime, datetime, TimelineSegment]]:
    low, high = from_slot(run.started_at), from_slot(run.ended_at)
    for segment in segments:
        start, end = max(segment.started_at, low), min(segment.ended_at, high)
        if segment.state is State.UNREACHABLE and start < end:
            yield start, end, segment


def _within(dated: Sequence[R], start: datetime, end: datetime) -> R | None:
    """Return the first that reaches into the time from start to end."""
    return next(
        (each for each in dated if each.started_at < end and (each.ended_at is None or each.ended_at > start)), None
    )
