"""Query the incidents that a caller may see; add notes."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import ScalarSelect, exists, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.access import audit
from app.access.scope import Caller, covers, visible_to
from app.core.clock import utc_now
from app.core.errors import Fault, Invalid, NotAllowed, NotFound
from app.incidents import members, selection
from app.incidents.models import Incident, IncidentEvent, IncidentNote, IncidentSite, IncidentStatus
from app.incidents.selection import IncidentFilter
from app.postgres.engine import among
from app.registry.models import Lifecycle, Provider, Site, SiteConfiguration

MAX_COUNTED = 1_000

PagePosition = tuple[datetime, int]  # started_at and id of a page's last incident
UrgentPosition = tuple[int, int, int]  # URGENCY_KEYS of a page's last incident


async def list_incidents(
    session: AsyncSession, criteria: IncidentFilter, *, caller: Caller, after: PagePosition | None, limit: int
) -> list[Incident]:
    """Newest outage first. Raises NotAllowed for a region outside the caller's."""
    query = selection.select_incidents(criteria, caller=caller)
    query = query.order_by(Incident.started_at.desc(), Incident.id.desc())
    if after is not None:
        query = query.where(tuple_(Incident.started_at, Incident.id) < after)
    return list(await session.scalars(query.limit(limit)))


async def list_urgent_incidents(
    session: AsyncSession, criteria: IncidentFilter, *, caller: Caller, after: UrgentPosition | None, limit: int
) -> list[tuple[Incident, UrgentPosition]]:
    """Return incidents with their position, as IncidentOrder.URGENT orders them. Raises NotAllowed for a region."""
    keys = selection.URGENCY_KEYS
    query = selection.select_incidents(criteria, caller=caller).add_columns(*keys).order_by(*keys)
    if after is not None:
        query = query.where(tuple_(*keys) > tuple_(*after))
    rows = await session.execute(query.limit(limit))
    return [(incident, (rank, start, number)) for incident, rank, start, number in rows]


async def count_left_out(
    session: AsyncSession, criteria: IncidentFilter, *, caller: Caller
) -> dict[IncidentStatus, int]:
    """Count by status, up to MAX_COUNTED of each, what the filter would match but for its statuses; {} without any."""
    others = [status for status in IncidentStatus if status not in criteria.statuses]
    if len(others) == len(IncidentStatus) or not others:
        return {}
    counts = [_count(replace(criteria, statuses=(status,)), caller).label(status.value) for status in others]
    row = (await session.execute(select(*counts))).one()
    return dict(zip(others, row, strict=True))


def _count(criteria: IncidentFilter, caller: Caller) -> ScalarSelect[int]:
    matching = selection.select_incidents(criteria, caller=caller).with_only_columns(Incident.id).limit(MAX_COUNTED)
    return select(func.count()).select_from(matching.subquery()).scalar_subquery()


async def get_incident(session: AsyncSession, incident_id: int, *, caller: Caller) -> Incident:
    """Raises NotFound for an unknown incident as for one without a site in the caller's scope."""
    query = (
        selection.visible_incidents(caller).where(Incident.id == incident_id).execution_options(populate_existing=True)
    )
    incident = await session.scalar(query)
    if incident is None:
        raise NotFound("There is no incident {given} within your scope", values={"given": incident_id})
    return incident


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
    """Return the events of the incident, and of its sites those in the caller's scope."""
    visible = exists().where(
        IncidentSite.incident_id == IncidentEvent.incident_id,
        IncidentSite.site_id == IncidentEvent.site_id,
        selection.is_within_scope(caller),
    )
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
    outages = (await members.list_members(session, [incident], caller=caller))[incident.id]
    await audit.record(
        session,
        caller,
        "note",
        "incident",
        incident_id,
        region_code=members.smallest_region(outages),
        after={"note_id": note.id, "audience": audience},
    )
    return note


async def _get_member_provider(session: AsyncSession, incident: Incident, slug: str, *, caller: Caller) -> Provider:
    provider = await session.scalar(select(Provider).where(Provider.slug == slug))
    if provider is not None:
        own = selection.is_within_scope(caller, SiteConfiguration.provider_id == provider.id)
        if await session.scalar(select(exists().where(IncidentSite.incident_id == incident.id, own))):
            return provider
    raise Invalid(
        Fault(
            "audience",
            "no_site_in_incident",
            "Provider {given} has no site in this incident",
            "Leave it out to write for offices alone",
            values={"given": slug},
        )
    )


def require_role(caller: Caller) -> None:
    """Raise NotAllowed unless the caller's role writes; their scope was checked when the incident was read."""
    if not caller.writes:
        raise NotAllowed("Role {role} only reads", values={"role": caller.role.value})
