"""A site's uptime over a period, in parts and in total; closed months keep the figures they were closed with."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import monthly_close, site_history
from app.availability.counting import tally_parts
from app.availability.site_history import SiteRef
from app.availability.tally import Tally, uptime_row
from app.core.clock import to_slot
from app.core.periods import Period, Step
from app.judging.settled import sites_settled_until
from app.registry.models import Site


async def site_uptime(
    session: AsyncSession, site: Site, period: Period, step: Step, *, now: datetime
) -> dict[str, Any]:
    """A whole month that is closed is shown as it was closed, with its latest correction beside it."""
    parts = list(period.split(step))
    settled = await sites_settled_until(session, [site.id], period, now=now)
    tallies = await _tally_site(session, site, parts, now=now)
    total = Tally()
    for tally in tallies:
        total.merge(tally)
    series = [uptime_row(part, tally) for part, tally in zip(parts, tallies, strict=True)]
    closed = await monthly_close.closed_figures(session, site.id, [*(parts if step is Step.MONTH else ()), period])
    return {
        "from": period.start,
        "to": period.end,
        "settled_until": settled,
        "step": step,
        "series": [closed.get(part, row) for part, row in zip(parts, series, strict=True)],
        "total": closed.get(period, uptime_row(period, total)),
    }


async def _tally_site(session: AsyncSession, site: Site, parts: Sequence[Period], *, now: datetime) -> list[Tally]:
    sites = [SiteRef(site.id, site.village_code, site.created_at)]
    histories = await site_history.load_histories(session, sites, parts[0].start, parts[-1].end, now=now)
    return tally_parts(histories[site.id], [(to_slot(part.start), to_slot(part.end)) for part in parts])
