"""Serialise incidents for the API: bounds, shortest and longest duration, and the sites that the caller may see."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.incidents import provider_view, store
from app.incidents.derive_status import BOUNDS
from app.incidents.members import Member, list_members
from app.incidents.models import Incident
from app.incidents.must_act import must_act
from app.incidents.outages import FAR_AHEAD
from app.incidents.schemas import IncidentOut
from app.judging import claim_store
from app.measurements import store as measurements
from app.measurements.store import MeasurementKey
from app.registry import regions
from probes.contract import Outcome


async def serialize(session: AsyncSession, incidents: Sequence[Incident], *, caller: Caller) -> list[dict[str, Any]]:
    if not incidents:
        return []
    members = await list_members(session, incidents, caller=caller)
    outages = [member for rows in members.values() for member in rows]
    sites = sorted({member.outage.site_id for member in outages})
    children = await store.count_children(session, sites, caller=caller)
    sources = await measurements.sources_of(session, {_first_loss(member) for member in outages})
    addresses = await _refuting_addresses(session, outages) if caller.sees_addresses else {}
    return [
        _incident(incident, members[incident.id], children, sources, addresses, caller=caller) for incident in incidents
    ]


def _incident(
    incident: Incident,
    members: Sequence[Member],
    children: Mapping[int, int],
    sources: Mapping[MeasurementKey, str],
    addresses: Mapping[int, str | None],
    *,
    caller: Caller,
) -> dict[str, Any]:
    fields = {name: getattr(incident, name, None) for name in IncidentOut.model_fields}
    visible = [member for member in members if member.visible]
    if caller.provider_id is not None:
        fields |= provider_view.own_fields(members)
    spanned = members if caller.provider_id is None else visible
    proven = [seconds for member in spanned if (seconds := proven_s(member)) is not None]
    return fields | {
        "sites": [
            _site(member)
            | {"evidence": sources.get(_first_loss(member)), "refuted_from": addresses.get(member.outage.id)}
            for member in visible
        ],
        "must_act": must_act(incident.cause, incident.cause_hint),
        "children": sum(children.get(site_id, 0) for site_id in {member.outage.site_id for member in members}),
        "duration_s": _seconds(fields["started_at"], fields["ended_at"]),
        "duration_min_s": max(proven, default=None),
        "duration_max_s": _seconds(fields["last_ok_at"], fields["first_ok_after"]),
    }


def _site(member: Member) -> dict[str, Any]:
    outage, names = member.outage, regions.names()
    return {name: getattr(outage, name) for name in BOUNDS} | {
        "id": outage.site_id,
        "code": member.code,
        "name": member.name,
        "village_code": member.village_code,
        "village": names.get(member.village_code),
        "subdistrict": names.get(member.village_code[:8]),
        "district": names.get(member.village_code[:5]),
        "provider": member.provider,
        "technology": member.technology,
        "contract_number": member.contract_number,
        "duration_s": _seconds(outage.started_at, outage.ended_at),
        "duration_min_s": proven_s(member),
        "duration_max_s": _seconds(outage.last_ok_at, outage.first_ok_after),
        "refuted_at": outage.refuted_at,
        "refuted_s": outage.refuted_s,
        "refuted_signs": outage.refuted_signs or [],
    }


async def _refuting_addresses(session: AsyncSession, members: Sequence[Member]) -> dict[int, str | None]:
    """Return by `IncidentSite.id` the address from which a device first claimed to have been well."""
    refuted = [member.outage for member in members if member.outage.refuted_at is not None]
    if not refuted:
        return {}
    start, end = min(row.started_at for row in refuted), max(row.ended_at or FAR_AHEAD for row in refuted)
    claims = await claim_store.claims_of(session, {row.site_id for row in refuted}, start, end)
    return {
        row.id: next((c.address for c in claims.get(row.site_id, ()) if c.received_at == row.refuted_at), None)
        for row in refuted
    }


def _first_loss(member: Member) -> MeasurementKey:
    return member.outage.site_id, member.outage.started_at, Outcome.TIMEOUT


def proven_s(member: Member) -> int | None:
    """Return the seconds from the first loss to the last, less those in which it was not seen down."""
    seconds = _seconds(member.outage.started_at, member.last_loss_at)
    return None if seconds is None else max(0, seconds - member.outage.unseen_s)


def _seconds(start: datetime | None, end: datetime | None) -> int | None:
    return None if start is None or end is None else round((end - start).total_seconds())
