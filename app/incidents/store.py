"""Query the incidents that a caller may see; add notes."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.access import audit
from app.access.scope import Caller, covers, in_region, require_region, visible_to
from app.core.clock import utc_now
from app.core.errors import Fault, Invalid, NotAllowed, NotFound
from app.core.periods import Period
from app.incidents.models import Incident, IncidentEvent, IncidentKind, IncidentNote, IncidentSite, IncidentStatus
from app.postgres.engine import among
from app.profiles import Technology
from app.registry.models import Cause, Lifecycle, Provider, Site, SiteStatus, State

PagePosition = tuple[datetime, int]  # started_at and id of a page's last incident


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    status: IncidentStatus | None = None
    kind: IncidentKind | None = None
    cause: Cause | None = None
    period: Period | None = None
    region: str | None = None
    provider: str | None = None
    technology: Technology | None = None
    site: int | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """One outage of an incident, with its site. While the site is seen down, `last_loss_at` is its newest evidence."""

    outage: IncidentSite
    code: str
    name: str
    village_code: str
    visible: bool
    last_loss_at: datetime | None


async def list_incidents(
    session: AsyncSession, criteria: IncidentFilter, *, caller: Caller, after: PagePosition | None, limit: int
) -> list[Incident]:
    """Newest outage first. With a period, those that reach into it; a withdrawn incident counts at its start only."""
    query = _visible(caller, *_site_conditions(caller, criteria)).order_by(
        Incident.started_at.desc(), Incident.id.desc()
    )
    for column, value in (
        (Incident.status, criteria.status),
        (Incident.kind, criteria.kind),
        (Incident.cause, criteria.cause),
    ):
        if value is not None:
            query = query.where(column == value)
    if criteria.period is not None:
        query = query.where(Incident.started_at < criteria.period.end)
        ongoing = Incident.ended_at.is_(None) & (Incident.status != IncidentStatus.WITHDRAWN)
        query = query.where(ongoing | (func.coalesce(Incident.ended_at, Incident.started_at) > criteria.period.start))
    if after is not None:
        query = query.where(tuple_(Incident.started_at, Incident.id) < after)
    return list(await session.scalars(query.limit(limit)))


def _site_conditions(caller: Caller, criteria: IncidentFilter) -> list[ColumnElement[bool]]:
    """Return conditions that one and the same site of the incident must meet. Raises NotAllowed for the region."""
    conditions: list[ColumnElement[bool]] = []
    if criteria.region is not None:
        require_region(caller, criteria.region)
        conditions.append(in_region(Site.village_code, criteria.region))
    if criteria.provider is not None:
        conditions.append(Site.provider.has(Provider.slug == criteria.provider))
    if criteria.technology is not None:
        conditions.append(Site.technology == criteria.technology)
    if criteria.site is not None:
        conditions.append(Site.id == criteria.site)
    return conditions


def _visible(caller: Caller, *site_conditions: ColumnElement[bool]) -> Select[Incident]:
    """Select incidents with a site that lies within the caller's scope and meets the conditions."""
    return select(Incident).where(
        exists(
            select(IncidentSite.id)
            .join(Site, Site.id == IncidentSite.site_id)
            .where(IncidentSite.incident_id == Incident.id, visible_to(caller, Site), *site_conditions)
        )
    )


async def get_incident(session: AsyncSession, incident_id: int, *, caller: Caller) -> Incident:
    """Raises NotFound for an unknown incident as for one without a site in the caller's scope."""
    query = _visible(caller).where(Incident.id == incident_id).execution_options(populate_existing=True)
    incident = await session.scalar(query)
    if incident is None:
        raise NotFound("There is no incident {given} within your scope", values={"given": incident_id})
    return incident


async def list_members(
    session: AsyncSession, incidents: Sequence[Incident], *, caller: Caller
) -> dict[int, list[Member]]:
    """By incident id: its outages; of a withdrawn incident, those that it had."""
    withdrawn = Incident.status == IncidentStatus.WITHDRAWN
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
        .where(IncidentSite.incident_id.in_([incident.id for incident in incidents]))
        .where(or_(IncidentSite.withdrawn_at.is_(None), withdrawn))
        .order_by(IncidentSite.started_at, IncidentSite.site_id)
    )
    members: dict[int, list[Member]] = defaultdict(list)
    for row in rows:
        members[row.IncidentSite.incident_id].append(_member(row))
    return members


def _member(row: Any) -> Member:
    outage, last_loss_at = row.IncidentSite, row.IncidentSite.last_loss_at
    if last_loss_at is None and outage.open and row.state is State.DOWN:
        last_loss_at = row.evidence_at
    return Member(outage, row.code, row.name, row.village_code, row.visible, last_loss_at)


async def count_children(session: AsyncSession, site_ids: Sequence[int], *, caller: Caller) -> dict[int, int]:
    """By node id: how many active sites in the caller's scope depend on it, directly or through other nodes."""
    tree = (
        select(Site.parent_id.label("top"), Site.id).where(among(Site.parent_id, site_ids)).cte("tree", recursive=True)
    )
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
    return await session.get_one(IncidentNote, note_id, options=[joinedload(IncidentNote.provider)])


async def list_notes(session: AsyncSession, incident: Incident, *, caller: Caller) -> list[IncidentNote]:
    """Return the notes that the caller may read, of incidents merged into this one, too."""
    merged = select(Incident.id).where(Incident.id == incident.id).cte("merged", recursive=True)
    merged = merged.union(select(Incident.id).join(merged, Incident.merged_into == merged.c.id))
    query = select(IncidentNote).where(IncidentNote.incident_id.in_(select(merged.c.id))).order_by(IncidentNote.id)
    notes = await session.scalars(query.options(joinedload(IncidentNote.provider)))
    return [note for note in notes if _may_read(caller, note)]


def _may_read(caller: Caller, note: IncidentNote) -> bool:
    """A provider reads what was written for it; an office what those above and below it wrote, too."""
    if caller.provider_id is not None:
        return note.provider_id == caller.provider_id
    return caller.covers(note.region_code) or covers(note.region_code, caller.region_code)


async def list_events(session: AsyncSession, incident: Incident, *, caller: Caller) -> list[IncidentEvent]:
    visible = exists().where(Site.id == IncidentEvent.site_id, visible_to(caller, Site))
    query = (
        select(IncidentEvent)
        .where(IncidentEvent.incident_id == incident.id, IncidentEvent.site_id.is_(None) | visible)
        .order_by(IncidentEvent.id)
    )
    return list(await session.scalars(query))


async def add_note(
    session: AsyncSession, incident_id: int, text: str, audience: str | None, *, caller: Caller
) -> IncidentNote:
    """Add a note that `audience`, the slug of a provider, may read too. Raises Invalid, NotAllowed, NotFound."""
    incident = await get_incident(session, incident_id, caller=caller)
    require_role(caller)
    provider = await _get_member_provider(session, incident, audience, caller=caller) if audience is not None else None
    note = IncidentNote(
        incident_id=incident_id,
        at=utc_now(),
        by=caller.who,
        region_code=caller.region_code,
        provider=provider,
        text=text,
    )
    session.add(note)
    await session.flush()
    members = (await list_members(session, [incident], caller=caller))[incident.id]
    await audit.record(
        session,
        caller,
        "note",
        "incident",
        incident_id,
        region_code=smallest_region(members),
        after={"note_id": note.id, "audience": audience},
    )
    return note


async def _get_member_provider(session: AsyncSession, incident: Incident, slug: str, *, caller: Caller) -> Provider:
    has_site = (
        exists()
        .where(IncidentSite.incident_id == incident.id, Site.id == IncidentSite.site_id)
        .where(Site.provider_id == Provider.id, visible_to(caller, Site))
    )
    provider = await session.scalar(select(Provider).where(Provider.slug == slug, has_site))
    if provider is None:
        raise Invalid(
            Fault(
                "audience",
                "no_site_in_incident",
                "Provider {given} has no site in this incident",
                "Leave it out to write for offices alone",
                values={"given": slug},
            )
        )
    return provider


def smallest_region(members: Sequence[Member]) -> str | None:
    """Return the smallest region that contains all of an incident's visible sites, or None."""
    codes = [member.village_code.split(".") for member in members if member.visible]
    common = takewhile(lambda parts: len(set(parts)) == 1, zip(*codes, strict=True))
    return ".".join(parts[0] for parts in common) or None


def require_role(caller: Caller) -> None:
    """Raise NotAllowed unless the caller's role writes; their scope was checked when the incident was read."""
    if not caller.writes:
        raise NotAllowed("Role {role} only reads", values={"role": caller.role.value})
