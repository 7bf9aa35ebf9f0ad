"""What a cause, given to an incident's outages, changes in the months that contracts count."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.availability import site_history
from app.availability.contract_reader import contract_names
from app.availability.contract_verdict import ContractName, contract_verdicts
from app.availability.counting import CountableHistory, tally_parts
from app.availability.intervals import fill_gaps
from app.availability.models import ClosedMonth
from app.availability.site_history import SiteRef
from app.core.clock import to_slot, to_wita
from app.core.periods import Period, first_of_next_month, whole_month
from app.incidents import members
from app.incidents.members import Member
from app.incidents.models import Incident
from app.postgres.engine import among
from app.registry.models import Cause, Site

MAX_SITES, MAX_MONTHS = 50, 3  # that are counted twice for one answer: the newest months

FIGURES = ("counted_down_s", "availability_pct", "worst_pct", "best_pct", "verdict")


async def cause_effects(
    session: AsyncSession, incident: Incident, cause: Cause, *, caller: Caller, now: datetime
) -> dict[str, Any]:
    """Return each site's month under a contract whose figures change, as they are and as they would be.

    Of an incident with many sites the first MAX_SITES; `sites_omitted` counts the others.
    """
    outages = (await members.list_members(session, [incident], caller=caller))[incident.id]
    by_site: dict[int, list[Member]] = {}
    for member in outages:
        if member.visible:
            by_site.setdefault(member.outage.site_id, []).append(member)
    counted = dict(list(by_site.items())[:MAX_SITES])
    months = _months([member for of_site in counted.values() for member in of_site], now)
    rows = await session.execute(select(Site.id, Site.village_code, Site.created_at).where(among(Site.id, counted)))
    refs = [SiteRef(*row) for row in rows]
    histories = await site_history.load_histories(session, refs, months[0].start, months[-1].end, now=now)
    contract_ids = {contract_id for history in histories.values() for contract_id in history.contract_ids}
    names = await contract_names(session, contract_ids, provider_id=None)
    closed = await _closed(session, list(counted), months)
    items = [
        {
            "site": {"id": site_id, "code": of_site[0].code, "name": of_site[0].name},
            "month": f"{to_wita(month.start):%Y-%m}",
            "closed_at": closed.get((site_id, to_wita(month.start).date())),
            **effect,
        }
        for site_id, of_site in counted.items()
        for month, effect in _effects(histories[site_id], of_site, cause, months, names, now)
    ]
    return {"cause": cause, "items": items, "sites_omitted": len(by_site) - len(counted)}


def _months(outages: Sequence[Member], now: datetime) -> list[Period]:
    """Return the months, cut off at now, that the outages reach into: the last MAX_MONTHS of them."""
    first = to_wita(min(member.outage.started_at for member in outages)).date().replace(day=1)
    last = to_wita(max(member.outage.ended_at or now for member in outages)).date()
    months = []
    while first <= last:
        month = whole_month(first)
        months.append(Period(month.start, min(month.end, now)))
        first = first_of_next_month(first)
    return months[-MAX_MONTHS:]


def _effects(
    history: CountableHistory,
    outages: Sequence[Member],
    cause: Cause,
    months: Sequence[Period],
    names: Mapping[int, ContractName],
    now: datetime,
) -> Iterator[tuple[Period, dict[str, Any]]]:
    given = [
        (to_slot(member.outage.started_at), to_slot(member.outage.ended_at or now), cause.value) for member in outages
    ]
    changed = replace(history, causes=fill_gaps(given, history.causes))
    parts = [(to_slot(month.start), to_slot(month.end)) for month in months]
    before, after = tally_parts(history, parts), tally_parts(changed, parts)
    for month, was, becomes in zip(months, before, after, strict=True):
        pairs = (contract_verdicts(history.policies, tally.contracts, names, month) for tally in (was, becomes))
        for old, new in zip(*pairs, strict=True):
            if _figures(old) != _figures(new):
                same = {name: old[name] for name in ("contract", "link_role", "target_pct")}
                yield month, same | {"before": _figures(old), "after": _figures(new)}


def _figures(verdict: Mapping[str, Any]) -> dict[str, Any]:
    return {name: verdict[name] for name in FIGURES}


async def _closed(
    session: AsyncSession, site_ids: Sequence[int], months: Sequence[Period]
) -> dict[tuple[int, date], datetime]:
    """Return by site and month when it was closed."""
    firsts = [to_wita(month.start).date() for month in months]
    query = select(ClosedMonth.site_id, ClosedMonth.month, ClosedMonth.closed_at)
    rows = await session.execute(query.where(among(ClosedMonth.site_id, site_ids), ClosedMonth.month.in_(firsts)))
    return {(row.site_id, row.month): row.closed_at for row in rows}
