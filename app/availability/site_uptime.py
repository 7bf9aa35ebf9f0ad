"""A site's uptime over a period, in parts and in total; closed months keep the figures they were closed with."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import monthly_close, site_history
from app.availability.contract_reader import contract_names
from app.availability.contract_verdict import contract_fields, hide_contracts, visible_policies
from app.availability.counting import tally_parts
from app.availability.site_history import SiteRef
from app.availability.tally import Tally, uptime_row
from app.core.clock import to_slot
from app.core.periods import Period, Step
from app.judging.settled import sites_settled_until
from app.registry.models import Provider, Site


async def site_uptime(
    session: AsyncSession, site: Site, period: Period, step: Step, *, now: datetime, contracts_of: int | None = None
) -> dict[str, Any]:
    """A whole month that is closed is shown as it was closed, with its latest correction beside it.

    `contracts_of`: the provider whose contracts alone are shown; None: all.
    """
    parts = list(period.split(step))
    settled = await sites_settled_until(session, [site.id], period, now=now)
    sites = [SiteRef(site.id, site.village_code, site.created_at)]
    history = (await site_history.load_histories(session, sites, period.start, period.end, now=now))[site.id]
    names = await contract_names(session, history.contract_ids, provider_id=contracts_of)
    history = replace(history, policies=visible_policies(history.policies, names))
    tallies = tally_parts(history, [(to_slot(part.start), to_slot(part.end)) for part in parts])
    total = Tally()
    for tally in tallies:
        total.merge(tally)
    rows = {
        part: uptime_row(part, tally) | contract_fields(history.policies, tally.contracts, names, part)
        for part, tally in zip([*parts, period], [*tallies, total], strict=True)
    }
    rows |= await _closed_rows(session, site.id, [*(parts if step is Step.MONTH else ()), period], contracts_of)
    return {
        "from": period.start,
        "to": period.end,
        "settled_until": settled,
        "step": step,
        "series": [rows[part] for part in parts],
        "total": rows[period],
    }


async def _closed_rows(
    session: AsyncSession, site_id: int, parts: Sequence[Period], contracts_of: int | None
) -> dict[Period, dict[str, Any]]:
    closed = await monthly_close.closed_figures(session, site_id, parts)
    if contracts_of is None or not closed:
        return closed
    slug = await session.scalar(select(Provider.slug).where(Provider.id == contracts_of))
    return {part: hide_contracts(row, of_others_than=str(slug)) for part, row in closed.items()}
