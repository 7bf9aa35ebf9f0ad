"""The answer to "was it up": a site's history, cut into steps and counted."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import monthly_close, site_history, timeline
from app.availability.counting import Window, count
from app.availability.figures import row
from app.availability.tally import Tally
from app.availability.timeline import Piece
from app.core.clock import to_slot
from app.core.periods import Period, Step
from app.registry.models import Lifecycle, Site, SiteConfiguration


async def uptime(session: AsyncSession, site: Site, period: Period, step: Step, *, now: datetime) -> dict[str, Any]:
    """A whole month that is closed shows the figures it was closed with, and its last correction beside them."""
    parts = list(period.split(step))
    tallies = await count_site(session, site, parts, now=now)
    total = Tally()
    for tally in tallies:
        total.merge(tally)
    series = [row(part, tally) for part, tally in zip(parts, tallies, strict=True)]
    closed = await monthly_close.closed_figures(session, site.id, [*(parts if step is Step.MONTH else ()), period])
    return {
        "from": period.start,
        "to": period.end,
        "step": step,
        "series": [closed.get(part, shown) for part, shown in zip(parts, series, strict=True)],
        "total": closed.get(period, row(period, total)),
    }


async def count_site(session: AsyncSession, site: Site, parts: Sequence[Period], *, now: datetime) -> list[Tally]:
    found = await site_history.histories(session, [site_history.place(site)], parts[0].start, parts[-1].end, now=now)
    return count(found[site.id], [(to_slot(part.start), to_slot(part.end)) for part in parts])


async def in_service(session: AsyncSession, site: Site, period: Period, *, now: datetime) -> list[Piece]:
    """The timeline, without what lies outside the site's time in service."""
    pieces = await timeline.timeline(session, site, period.start, period.end, now=now)
    windows = await active_windows(session, site.id, period)
    cut = [
        replace(p, started_at=max(p.started_at, w.started_at), ended_at=min(p.ended_at, w.ended_at))
        for p in pieces
        for w in windows
    ]
    return sorted((p for p in cut if p.started_at < p.ended_at), key=lambda piece: piece.started_at)


async def active_windows(session: AsyncSession, site_id: int, period: Period) -> list[Window]:
    """When the site was in service, by its dated configurations."""
    rows = await session.execute(
        select(SiteConfiguration.started_at, SiteConfiguration.ended_at).where(
            SiteConfiguration.site_id == site_id,
            SiteConfiguration.lifecycle == Lifecycle.ACTIVE,
            SiteConfiguration.started_at < period.end,
        )
    )
    return [Window(start, end or period.end) for start, end in rows]
