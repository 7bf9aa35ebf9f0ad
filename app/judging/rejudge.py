"""Judges ranges again: for late readings, blindness found afterwards, a parent's change, a corrected clock.

A fold starts at the last checkpoint before the range and goes on beyond it until its judge state equals the one stored
there. Exactly the segments and checkpoints in between are replaced.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.judging import checkpoints, judge_context, judge_state_store, segments, vantage_waits
from app.judging.blind_ranges import BLINDNESS_SOURCE
from app.judging.dirty_range import DirtyRange
from app.judging.fold import JudgeConfiguration, JudgeContext, fold, in_fold_order
from app.judging.judge import JudgeState
from app.judging.site_rejudgement import FAR_FUTURE, SiteRejudgement
from app.measurements import corrupt_packs, reader, simulated_past
from app.measurements.reader import SiteRange
from app.profiles import profiles
from app.registry.models import State, UnknownReason
from app.settings import settings
from probes.contract import Reading

log = structlog.get_logger()

FIRST_LOOK_AHEAD = timedelta(hours=2)  # how far beyond the range readings are fetched at first

FIRST_SERVED = text("""
    SELECT site_id, min(started_at) AS started_at FROM site_configuration
    WHERE site_id = ANY(:ids) AND lifecycle = 'active' GROUP BY site_id
""")


@dataclass(slots=True)
class RejudgeResult:
    dirty_ranges: list[DirtyRange] = field(default_factory=list)  # what was written anew
    changed: set[int] = field(default_factory=set)  # the sites whose segments came out otherwise
    states: dict[int, JudgeState] = field(default_factory=dict)  # of the sites whose present was written anew
    skipped: set[int] = field(default_factory=set)  # the sites without a checkpoint whose first readings are gone


async def rejudge(session: AsyncSession, dirty_ranges: Iterable[DirtyRange]) -> RejudgeResult:
    """Judge the readings in these ranges again. What is older than the raw readings is closed and stays as it is.

    1. Merge the ranges of each site and lock its row; where several vantages look, a look bears on later slots too.
    2. Find the checkpoint to start from.
    3. Fold readings until every site converges with a stored checkpoint or reaches the present.
    4. Replace the segments and checkpoints in between, and the present of those that reached it; but nothing of a site
       of which readings in between are in corrupt packs: it was judged when they could be read.
    """
    since = await rejudgeable_since(session)
    merged = _merge(dirty_ranges, since)
    rows = await judge_state_store.lock_sites(session, list(merged))
    sites = [SiteRejudgement(rows[i], *bounds) for i, bounds in merged.items() if i in rows and rows[i].seen_at]
    started = await _find_starts(session, sites, since)
    await _fold_all(session, started)
    started = _without_damaged(started)
    result = await _write(session, started)
    result.skipped = {site.site_id for site in sites} - {site.site_id for site in started}
    return result


async def rejudgeable_since(session: AsyncSession) -> datetime:
    """Return since when there are single readings: older ones were deleted, or were simulated and never stored."""
    kept_since = utc_now() - timedelta(days=settings().raw_retention_days)
    return max(kept_since, await simulated_past.readings_from(session) or kept_since)


def initial_state(configuration: JudgeConfiguration) -> JudgeState:
    """Return a site's judge state before its first reading."""
    addressed_at, valid_s = configuration.addressed_at, profiles()[configuration.technology].interval_s
    return JudgeState(State.UNKNOWN, UnknownReason.NEVER_SEEN, addressed_at, valid_s, addressed_at)


def _merge(dirty_ranges: Iterable[DirtyRange], since: datetime) -> dict[int, tuple[datetime, datetime]]:
    """Return one range (start, end) per site, none of it older than `since`."""
    merged: dict[int, tuple[datetime, datetime]] = {}
    for dirty in dirty_ranges:
        if dirty.end > since:
            start, end = merged.get(dirty.site_id, (dirty.start, dirty.end))
            merged[dirty.site_id] = max(min(start, dirty.start), since), max(end, dirty.end)
    return merged


async def _find_starts(
    session: AsyncSession, sites: Sequence[SiteRejudgement], since: datetime
) -> list[SiteRejudgement]:
    """Set where each fold starts: at the last checkpoint before the range, else at the site's registration.

    A site whose first readings are gone starts at its first checkpoint; it is left out if it has none.
    """
    starts = await checkpoints.find_last_before(session, ((site.site_id, site.start, site.end) for site in sites))
    without = [site for site in sites if site.site_id not in starts and site.row.created_at < since]
    rows = await session.execute(FIRST_SERVED, {"ids": [site.site_id for site in without]})
    first_served = {row.site_id: row.started_at for row in rows}
    truncated = [site for site in without if first_served.get(site.site_id, since) < since]
    starts |= await checkpoints.find_earliest(session, ((site.site_id, site.start, site.end) for site in truncated))
    unstartable = {site.site_id for site in truncated} - starts.keys()
    for site_id in unstartable:
        log.warning("site_not_rejudged", site=site_id, reason="no checkpoint, and its first readings are gone")
    started = [site for site in sites if site.site_id not in unstartable]
    for site in started:
        if site.site_id in starts:
            site.folds_from, site.initial = starts[site.site_id]
    return started


async def _fold_all(session: AsyncSession, sites: Sequence[SiteRejudgement]) -> None:
    """Widen the read window until each fold converges with its checkpoint or reaches the present."""
    if not sites:
        return
    contexts = await judge_context.load(
        session,
        [site.site_id for site in sites],
        BLINDNESS_SOURCE,
        min(site.folds_from for site in sites) - timedelta(days=1),
        max(site.row.seen_at for site in sites) + timedelta(days=1),
    )
    for site in sites:
        if contexts[site.site_id].has_vantages:
            site.reads_back = contexts[site.site_id].thresholds.looks_back
            site.is_combined = vantage_waits.is_combined(session, site.row)
    look_ahead, open_sites = FIRST_LOOK_AHEAD, list(sites)
    while open_sites:
        for site in open_sites:
            window_end = site.end + look_ahead
            site.folds_until = window_end if window_end <= site.row.seen_at else FAR_FUTURE
        await _fold_windows(session, open_sites, contexts)
        open_sites = [site for site in open_sites if site.goes_on]
        look_ahead *= 4


async def _fold_windows(
    session: AsyncSession, sites: Sequence[SiteRejudgement], contexts: Mapping[int, JudgeContext]
) -> None:
    windows = [(site.site_id, site.folds_from, site.folds_until) for site in sites]
    async with corrupt_packs.noting(session, [site.site_id for site in sites]) as damaged:
        readings = await _read_windows(session, [site.read_window for site in sites])
    stored = await checkpoints.list_within(session, windows)
    for site in sites:
        context = contexts[site.site_id]
        site.stored = stored.get(site.site_id, {})
        state = site.initial or initial_state(context.configurations[0])
        site.result = fold(state, readings[site.site_id], context, converges=site.converges)
        site.is_damaged = site.reads_any_of(damaged[site.site_id])


def _without_damaged(sites: Sequence[SiteRejudgement]) -> list[SiteRejudgement]:
    """Leave out the sites of which readings were lost in between: what was judged with them stays."""
    for site in sites:
        if site.is_damaged:
            log.warning("site_not_rejudged", site=site.site_id, reason="packed readings in between are corrupt")
    return [site for site in sites if not site.is_damaged]


async def _read_windows(session: AsyncSession, windows: Iterable[SiteRange]) -> dict[int, list[Reading]]:
    """Return the readings by site, in the order in which they are folded."""
    readings: dict[int, list[Reading]] = defaultdict(list)
    for reading in in_fold_order(await reader.read(session, windows)).readings():
        readings[reading.key].append(reading)
    return readings


async def _write(session: AsyncSession, sites: Sequence[SiteRejudgement]) -> RejudgeResult:
    before = await segments.read_ranges(session, {site.site_id: site.replaced_segments for site in sites})
    after = {site.site_id: site.segments_after(before[site.site_id]) for site in sites}
    changed = await segments.replace_segments(session, before, after)
    await _replace_checkpoints(session, sites)
    present = [site for site in sites if site.converged_at is None]
    await judge_state_store.write_states(session, [(site.row, site.result) for site in present])
    dirty = [site.dirty_range(before[site.site_id], after[site.site_id]) for site in sites]
    return RejudgeResult(dirty, changed, {site.site_id: site.result.state for site in present})


async def _replace_checkpoints(session: AsyncSession, sites: Sequence[SiteRejudgement]) -> None:
    differing = [site for site in sites if dict(site.result.checkpoints) != site.replaced_checkpoints]
    if differing:
        await checkpoints.delete(session, [(s.site_id, s.folds_from, s.last_replaced) for s in differing])
        await checkpoints.save(session, {site.site_id: site.result for site in differing})
