"""Lists a site's segments: its timeline while in service under its device's claims, with the source of the reading that
began each of them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability.claim_overlay import overlay
from app.availability.intervals import TimeRange
from app.availability.timeline import TimelineSegment, timeline
from app.core.periods import Period
from app.core.ranges import merge_ranges
from app.judging.claim_store import claims_of
from app.measurements import store as measurements
from app.measurements.schemas import EvidenceSource
from app.measurements.store import MeasurementKey
from app.registry.models import Lifecycle, Site, SiteConfiguration, State
from probes.contract import Outcome

FIRST_OUTCOMES = {
    State.UP: Outcome.OK,
    State.DEGRADED: Outcome.OK,
    State.DOWN: Outcome.TIMEOUT,
    State.UNREACHABLE: Outcome.TIMEOUT,
}


async def list_segments(session: AsyncSession, site: Site, period: Period, *, now: datetime) -> list[TimelineSegment]:
    """Return the segments in order, clipped to the period and to the site's time in service."""
    proven = await timeline(session, site, period.start, period.end, now=now)
    claims = await claims_of(session, [site.id], period.start, period.end)
    segments = overlay(proven, claims.get(site.id, ()))
    service = await in_service(session, site.id, period)
    clipped = [
        replace(segment, started_at=max(segment.started_at, start), ended_at=min(segment.ended_at, end))
        for segment in segments
        for start, end in service
    ]
    return sorted((s for s in clipped if s.started_at < s.ended_at), key=lambda segment: segment.started_at)


async def in_service(session: AsyncSession, site_id: int, period: Period) -> list[TimeRange]:
    """Return when the site was in service, from any time before the period to its end."""
    rows = await session.execute(
        select(SiteConfiguration.started_at, SiteConfiguration.ended_at).where(
            SiteConfiguration.site_id == site_id,
            SiteConfiguration.lifecycle == Lifecycle.ACTIVE,
            SiteConfiguration.started_at < period.end,
        )
    )
    return merge_ranges((start, end or period.end) for start, end in rows)


async def evidence_sources(
    session: AsyncSession, site_id: int, segments: Sequence[TimelineSegment]
) -> list[str | None]:
    """Return for each segment the source of its first reading, `claimed` for one that rests on a claim.

    None if there was no reading, or it is no longer kept.
    """
    keys = [_first_reading(site_id, segment) for segment in segments]
    sources = await measurements.sources_of(session, {key for key in keys if key is not None})
    return [
        EvidenceSource.CLAIMED if segment.claim is not None else None if key is None else sources.get(key)
        for segment, key in zip(segments, keys, strict=True)
    ]


def _first_reading(site_id: int, segment: TimelineSegment) -> MeasurementKey | None:
    outcome = FIRST_OUTCOMES.get(segment.state)
    return None if outcome is None or segment.began_at is None else (site_id, segment.began_at, outcome)
