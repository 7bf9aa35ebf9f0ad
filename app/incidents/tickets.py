"""Tickets of an incident: one for each of its providers, with what the caller may see."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import PROVINCE, Caller
from app.core.clock import utc_now
from app.incidents import serializers
from app.incidents.models import Incident
from app.incidents.ticket_text import Ticket, TicketSite, ticket_text
from app.measurements.loss_counts import SiteTime, count_losses
from app.postgres.engine import among
from app.registry import regions
from app.registry.models import Provider, Site

MAX_SITES = 50  # whose evidence a ticket holds

Outages = Sequence[dict[str, Any]]  # as MemberOut


async def tickets(
    session: AsyncSession, incident: Incident, *, caller: Caller, contacts: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return a ticket's text for each provider that has a site in the incident, by its slug.

    `contacts`: how to reach an office, by its region code.
    """
    (fields,) = await serializers.serialize(session, [incident], caller=caller)
    by_provider: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for outage in fields["sites"]:
        by_provider[outage["provider"]].append(outage)
    shown = [outage for outages in by_provider.values() for outage in outages[:MAX_SITES]]
    rows = await session.execute(
        select(Site.id, Site.service_no).where(among(Site.id, {outage["id"] for outage in shown}))
    )
    numbers = {row.id: row.service_no for row in rows}
    now = utc_now()
    losses = await count_losses(
        session, [(outage["id"], outage["started_at"], outage["ended_at"] or now) for outage in shown]
    )
    names = {row.slug: row.name for row in await session.execute(select(Provider.slug, Provider.name))}
    return [
        {
            "provider": slug,
            "provider_name": names[slug],
            "sites": len(outages),
            "text": ticket_text(
                Ticket(
                    fields,
                    names[slug],
                    [_site(outage, numbers, losses) for outage in outages[:MAX_SITES]],
                    len(outages[MAX_SITES:]),
                    _reporter(caller),
                    contacts.get(caller.region_code[:5], contacts.get(PROVINCE)),
                )
            ),
        }
        for slug, outages in sorted(by_provider.items())
    ]


def _site(outage: dict[str, Any], numbers: dict[int, str | None], losses: dict[SiteTime, dict[str, int]]) -> TicketSite:
    return TicketSite(outage, numbers[outage["id"]], losses.get((outage["id"], outage["started_at"]), {}))


def _reporter(caller: Caller) -> str | None:
    """Return who reports it and for which office, None for a provider: it reports nothing to itself."""
    return (
        f"{caller.full_name or caller.name}, {regions.names()[caller.region_code]}"
        if caller.provider_id is None
        else None
    )
