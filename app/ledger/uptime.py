"""The answer to "was it up": a site's timeline, cut into steps and counted."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.ledger import timeline
from app.ledger.availability import Availability, Window, availability
from app.ledger.timeline import Piece
from app.periods import Period, Step
from app.registry.models import Lifecycle, Site, SiteConfiguration


async def uptime(session: AsyncSession, site: Site, period: Period, step: Step, *, now: datetime) -> dict[str, Any]:
    pieces = await timeline.timeline(session, site, period.start, period.end, now=now)
    windows = await active_windows(session, site.id, period)
    return {
        "from": period.start,
        "to": period.end,
        "step": step,
        "series": [row(part) for part in _count(pieces, windows, list(period.cut(step)))],
        "total": row(availability(pieces, windows, period.start, period.end)),
    }


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


def _count(pieces: Sequence[Piece], windows: Sequence[Window], parts: Sequence[Period]) -> list[Availability]:
    """Each part counts only the pieces that reach into it; both are in the order of time."""
    counted, first = [], 0
    for part in parts:
        while first < len(pieces) and pieces[first].ended_at <= part.start:
            first += 1
        last = first
        while last < len(pieces) and pieces[last].started_at < part.end:
            last += 1
        counted.append(availability(pieces[first:last], windows, part.start, part.end))
    return counted


def row(counted: Availability) -> dict[str, Any]:
    down = counted.seconds["down"]
    return {
        "start": counted.start,
        "end": counted.end,
        "seconds": counted.seconds,
        **counted.percentages,
        "outages": counted.outages,
        "longest_outage_s": counted.longest_outage_s,
        "down_by_cause": {"unclassified": down} if down else {},
        "countable_down_s": None,
        "sla_target_pct": None,
        "sla_verdict": None,
    }
