"""Loads what bears on readings: dated configurations, profiles, blindness, parents that were out."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.judging import blind_ranges, thresholds
from app.judging.blind_ranges import BLINDNESS_SOURCE, BlindRanges
from app.judging.fold import JudgeConfiguration, JudgeContext, ParentOutage
from app.registry.models import SiteConfiguration

# An outage reaches back to the last answer, seen or unseen in between, but not beyond the parent's time in service.
OUTS = text("""
    SELECT g.site_id, greatest(coalesce(g.last_ok_at, g.started_at), (
        SELECT max(c.ended_at) FROM site_configuration c
        WHERE c.site_id = g.site_id AND c.lifecycle <> 'active' AND c.ended_at <= g.started_at
    )), coalesce(g.ended_at, (
        SELECT min(c.started_at) FROM site_configuration c
        WHERE c.site_id = g.site_id AND c.lifecycle <> 'active' AND c.started_at > g.started_at
    ))
    FROM state_segment g
    WHERE g.site_id = ANY(:ids) AND g.state IN ('down', 'unreachable')
        AND (g.ended_at IS NULL OR g.ended_at >= :start) AND coalesce(g.last_ok_at, g.started_at) <= :end
""")


async def load(
    session: AsyncSession,
    site_ids: Collection[int],
    sources: Iterable[str],
    start: datetime,
    end: datetime,
    *,
    known: Mapping[int, JudgeConfiguration] | None = None,
) -> dict[int, JudgeContext]:
    """By site, for readings with slots from start to end. `known`: the set-up where no other one bears on them."""
    setups: dict[int, list[JudgeConfiguration]] = defaultdict(list)
    setups |= {site_id: [setup] for site_id, setup in (known or {}).items()}
    unknown = [site_id for site_id in site_ids if site_id not in setups]
    if unknown:
        await _load_setups(session, unknown, setups)
    dated = await thresholds.load(session)
    blind = {
        eyes: await _blind(session, eyes, start, end) for eyes in {BLINDNESS_SOURCE.get(one, one) for one in sources}
    }
    parents = {setup.parent_id for found in setups.values() for setup in found if setup.parent_id is not None}
    outs = await load_parent_outages(session, parents, start, end) if sources else {}
    return {site_id: JudgeContext(found, dated, blind, outs) for site_id, found in setups.items()}


async def _load_setups(
    session: AsyncSession, site_ids: Collection[int], setups: dict[int, list[JudgeConfiguration]]
) -> None:
    rows = await session.execute(
        select(
            SiteConfiguration.site_id,
            SiteConfiguration.started_at,
            SiteConfiguration.addressed_at,
            SiteConfiguration.technology,
            SiteConfiguration.parent_id,
        )
        .where(SiteConfiguration.site_id.in_(site_ids))
        .order_by(SiteConfiguration.started_at)
    )
    for site_id, started_at, addressed_at, technology, parent_id in rows:
        setups[site_id].append(JudgeConfiguration(started_at, addressed_at, technology, parent_id))


async def _blind(session: AsyncSession, source: str, start: datetime, end: datetime) -> BlindRanges:
    return BlindRanges(
        await blind_ranges.list_ranges(session, start, blind_ranges.reading_ends_at(end, 5), source=source)
    )


async def load_parent_outages(
    session: AsyncSession, parent_ids: Collection[int], start: datetime, end: datetime
) -> dict[int, list[ParentOutage]]:
    outs: dict[int, list[ParentOutage]] = defaultdict(list)
    if parent_ids:
        rows = await session.execute(OUTS, {"ids": sorted(parent_ids), "start": start, "end": end})
        for parent_id, last_ok_at, ended_at in rows:
            outs[parent_id].append(ParentOutage(last_ok_at, ended_at))
    return outs
