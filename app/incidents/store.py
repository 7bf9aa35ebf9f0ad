"""Incidents as their callers may see them, and what people do to them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.scope import Caller, in_region, require_region, visible_to
from app.core.clock import utc_now
from app.core.errors import NotAllowed, NotFound
from app.core.periods import Period
from app.incidents.models import Incident, IncidentEvent, IncidentNote, IncidentSite, Kind, Status
from app.profiles import Technology
from app.registry.models import Cause, Lifecycle, Provider, Site, SiteStatus, State

Place = tuple[datetime, int]  # where a page ended: started_at, id


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    status: Status | None = None
    kind: Kind | None = None
    cause: Cause | None = None
    period: Period | None = None
    region: str | None = None
    provider: str | None = None
    technology: Technology | None = None
    site: int | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """One outage of an incident, with the site's place; `last_loss_at` is the site's evidence while it is seen down."""

    outage: IncidentSite
    code: str
    name: str
    village_code: str
    visible: bool
    last_loss_at: datetime | None


async def list_incidents(
    session: AsyncSession, wanted: IncidentFilter, *, caller: Caller, after: Place | None, limit: int
) -> list[Incident]:
    """The newest outages first. What was withdrawn counts for the moment at which it was thought to begin."""
    query = _visible(caller, *_of_sites(caller, wanted)).order_by(Incident.started_at.desc(), Incident.id.desc())
    for column, value in (
        (Incident.status, wanted.status),
        (Incident.kind, wanted.kind),
        (Incident.cause, wanted.cause),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.period is not None:
        query = query.where(Incident.started_at < wanted.period.end)
        lasts = Incident.ended_at.is_(None) & (Incident.status != Status.WITHDRAWN)
        query = query.where(lasts | (func.coalesce(Incident.ended_at, Incident.started_at) > wanted.period.start))
    if after is not None:
        query = query.where(tuple_(Incident.started_at, Incident.id) < after)
    return list(await session.scalars(query.limit(limit)))


def _of_sites(caller: Caller, wanted: IncidentFilter) -> list[ColumnElement[bool]]:
    """What one and the same site of the incident must be."""
    found: list[ColumnElement[bool]] = []
    if wanted.region is not None:
        require_region(caller, wanted.region)
        found.append(in_region(Site.village_code, wanted.region))
    if wanted.provider is not None:
        found.append(Site.provider.has(Provider.slug == wanted.provider))
    if wanted.technology is not None:
        found.append(Site.technology == wanted.technology)
    if wanted.site is not None:
        found.append(Site.id == wanted.site)
    return found


def _visible(caller: Caller, *of_sites: ColumnElement[bool]) -> Select[Incident]:
    """Incidents that touch a site within the caller's scope (and as asked for)."""
    return select(Incident).where(
        exists(
            select(IncidentSite.id)
            .join(Site, Site.id == IncidentSite.site_id)
            .where(IncidentSite.incident_id == Incident.id, visible_to(caller, Site), *of_sites)
        )
    )


async def get_incident(session: AsyncSession, incident_id: int, *, caller: Caller) -> Incident:
    """Raises NotFound alike for what is unknown and what touches no site of the caller's."""
    query = _visible(caller).where(Incident.id == incident_id).execution_options(populate_existing=True)
    found = await session.scalar(query)
    if found is None:
        raise NotFound("There is no incident {given} within your scope", values={"given": incident_id})
    return found


async def list_members(
    session: AsyncSession, incidents: Sequence[Incident], *, caller: Caller
) -> dict[int, list[Member]]:
    """By incident: its outages; those it had, of one that is withdrawn."""
    withdrawn = Incident.status == Status.WITHDRAWN
    rows = await session.execute(
        select(
            IncidentSite,
            Site.code,
            Site.name,
            Site.village_code,
            visible_to(caller, Site).label("visible"),
            SiteStatus.state,
            SiteStatus.evidence_at,
        )
        .join(Site, Site.id == IncidentSite.site_id)
        .join(SiteStatus, SiteStatus.site_id == Site.id)
        .join(Incident, Incident.id == IncidentSite.incident_id)
        .where(IncidentSite.incident_id.in_([one.id for one in incidents]))
        .where(or_(IncidentSite.withdrawn_at.is_(None), withdrawn))
        .order_by(IncidentSite.started_at, IncidentSite.site_id)
    )
    found: dict[int, list[Member]] = defaultdict(list)
    for row in rows:
        found[row.IncidentSite.incident_id].append(_member(row))
    return found


def _member(row: Any) -> Member:
    outage, last_loss_at = row.IncidentSite, row.IncidentSite.last_loss_at
    if last_loss_at is None and outage.open and row.state is State.DOWN:
        last_loss_at = row.evidence_at
    return Member(outage, row.code, row.name, row.village_code, row.visible, last_loss_at)


async def count_children(session: AsyncSession, site_ids: Sequence[int], *, caller: Caller) -> dict[int, int]:
    """By node: the active sites of the caller's that hang on it, over other nodes too."""
    tree = select(Site.parent_id.label("top"), Site.id).where(Site.parent_id.in_(site_ids)).cte("tree", recursive=True)
    tree = tree.union(select(tree.c.top, Site.id).join(tree, Site.parent_id == tree.c.id))
    rows = await session.execute(
        select(tree.c.top, func.count().label("sites"))
        .join(Site, Site.id == tree.c.id)
        .where(Site.lifecycle == Lifecycle.ACTIVE, visible_to(caller, Site))
        .group_by(tree.c.top)
    )
    return {row.top: row.sites for row in rows}


async def get_note(session: AsyncSession, incident_id: int, note_id: int, *, caller: Caller) -> IncidentNote:
    await get_incident(session, incident_id, caller=caller)
    return await session.get_one(IncidentNote, note_id)


async def list_notes(session: AsyncSession, incident: Incident) -> list[IncidentNote]:
    """Those of what was merged into it too: nothing that was said is lost."""
    merged = select(Incident.id).where(Incident.id == incident.id).cte("merged", recursive=True)
    merged = merged.union(select(Incident.id).join(merged, Incident.merged_into == merged.c.id))
    query = select(IncidentNote).where(IncidentNote.incident_id.in_(select(merged.c.id))).order_by(IncidentNote.id)
    return list(await session.scalars(query))


async def list_events(session: AsyncSession, incident: Incident, *, caller: Caller) -> list[IncidentEvent]:
    seen = exists().where(Site.id == IncidentEvent.site_id, visible_to(caller, Site))
    query = (
        select(IncidentEvent)
        .where(IncidentEvent.incident_id == incident.id, IncidentEvent.site_id.is_(None) | seen)
        .order_by(IncidentEvent.id)
    )
    return list(await session.scalars(query))


async def add_note(session: AsyncSession, incident_id: int, words: str, *, caller: Caller) -> IncidentNote:
    incident = await get_incident(session, incident_id, caller=caller)
    require_role(caller)
    note = IncidentNote(incident_id=incident_id, at=utc_now(), by=caller.who, text=words)
    session.add(note)
    await session.flush()
    members = (await list_members(session, [incident], caller=caller))[incident.id]
    await audit.record(
        session, caller, "note", "incident", incident_id, region_code=region_of(members), after={"note_id": note.id}
    )
    return note


def region_of(members: Sequence[Member]) -> str | None:
    """The smallest region that holds all of an incident's sites within the caller's scope."""
    codes = [member.village_code.split(".") for member in members if member.visible]
    alike = takewhile(lambda parts: len(set(parts)) == 1, zip(*codes, strict=True))
    return ".".join(parts[0] for parts in alike) or None


def require_role(caller: Caller) -> None:
    """Whoever may write acts on an incident that touches a site of theirs."""
    if not caller.writes:
        raise NotAllowed("Role {role} only reads", values={"role": caller.role.value})
