"""Judging a stretch again: late readings, blindness found afterwards, a parent's change, a corrected clock.

The fold starts at the last checkpoint before the stretch and goes on beyond it until it carries what was carried there
before. Exactly the segments and checkpoints in between are replaced.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.judging import checkpoints, judge_context, segments
from app.judging import judge_state_store as carries
from app.judging.blind_ranges import BLINDNESS_SOURCE
from app.judging.checkpoints import RANGES, range_params
from app.judging.dirty_range import DirtyRange
from app.judging.fold import FoldResult, JudgeConfiguration, JudgeContext, fold
from app.judging.judge import BAD, JudgeState
from app.judging.segments import Segment, SegmentRange
from app.measurements import simulated_past
from app.profiles import profiles
from app.registry.models import State, UnknownReason
from app.settings import settings
from probes.contract import Outcome, Reading

log = structlog.get_logger()

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FAR_FUTURE = datetime(9999, 1, 1, tzinfo=UTC)
FIRST_LEAP = timedelta(hours=2)  # so far beyond the stretch readings are fetched at first

FIRST_SERVED = text("""
    SELECT site_id, min(started_at) AS started_at FROM site_configuration
    WHERE site_id = ANY(:ids) AND lifecycle = 'active' GROUP BY site_id
""")
READINGS = text(f"""
    SELECT m.site_id, extract(epoch FROM m.slot)::bigint, m.outcome, m.sent, m.rtt_us, m.valid_s, m.reason, m.source
    FROM {RANGES} JOIN measurement m ON m.site_id = w.site_id AND m.slot >= w.start AND m.slot < w.until
    ORDER BY m.site_id, m.slot, m.outcome <> 'ok', m.source
""")


@dataclass(slots=True)
class SiteRejudgement:
    """One site's stretch on its way: from the checkpoint `begins` on, with what was carried there."""

    row: Row[Any]
    start: datetime
    end: datetime
    begins: datetime = EPOCH
    carry: JudgeState | None = None
    until: datetime = FAR_FUTURE
    stored: dict[datetime, JudgeState] = field(default_factory=dict)
    folded: FoldResult = field(init=False)

    @property
    def site_id(self) -> int:
        return int(self.row.site_id)

    @property
    def met_at(self) -> datetime | None:
        """The checkpoint where it came to the same again."""
        return self.folded.met_at

    def meets(self, at: datetime, carry: JudgeState) -> bool:
        """Not before there is evidence from beyond the stretch: until then what lies in it bears on what comes."""
        newer = carry.seen_at is not None and carry.seen_at > self.end
        renewed = carry.evidence_at is None or carry.evidence_at > self.end
        return newer and renewed and self.stored.get(at) == carry


@dataclass(frozen=True, slots=True)
class RejudgeResult:
    spans: list[DirtyRange]
    changed: set[int]  # the sites whose segments came out otherwise
    carries: dict[int, JudgeState]  # of those whose present was written anew too
    skipped: set[int]  # whose beginnings are gone, with no checkpoint left


async def rejudge(session: AsyncSession, spans: Iterable[DirtyRange]) -> RejudgeResult:
    """Judges the sites' readings in the spans again. What is older than the raw readings is closed: it stays."""
    closed = await rejudgeable_since(session)
    merged = _merged(spans, closed)
    rows = await carries.lock_sites(session, list(merged))
    works = [
        SiteRejudgement(rows[i], *bounds) for i, bounds in merged.items() if i in rows and rows[i].seen_at is not None
    ]
    begun = await _begin(session, works, closed)
    await _fold_all(session, begun)
    return await _write(session, begun, skipped={one.site_id for one in works} - {one.site_id for one in begun})


async def rejudgeable_since(session: AsyncSession) -> datetime:
    """Of what is older there are no single readings: they are over their time, or were simulated and never kept."""
    kept = utc_now() - timedelta(days=settings().raw_retention_days)
    return max(kept, await simulated_past.readings_from(session) or kept)


def _merged(spans: Iterable[DirtyRange], closed: datetime) -> dict[int, tuple[datetime, datetime]]:
    merged: dict[int, tuple[datetime, datetime]] = {}
    for span in spans:
        if span.end > closed:
            start, end = merged.get(span.site_id, (span.start, span.end))
            merged[span.site_id] = max(min(start, span.start), closed), max(end, span.end)
    return merged


async def _begin(session: AsyncSession, works: Sequence[SiteRejudgement], closed: datetime) -> list[SiteRejudgement]:
    """Puts each at its last checkpoint, else at its registration; one whose beginnings are gone at its first."""
    found = await checkpoints.find_last_before(session, ((one.site_id, one.start, one.end) for one in works))
    lost = [one for one in works if one.site_id not in found and one.row.created_at < closed]
    rows = await session.execute(FIRST_SERVED, {"ids": [one.site_id for one in lost]})
    in_service = {row.site_id: row.started_at for row in rows}
    orphans = [one for one in lost if in_service.get(one.site_id, closed) < closed]
    found |= await checkpoints.find_earliest(session, ((one.site_id, one.start, one.end) for one in orphans))
    begun = []
    for one in works:
        if one.site_id in found:
            one.begins, one.carry = found[one.site_id]
        elif one in orphans:
            log.warning("not_rejudged", site=one.site_id, why="its first readings are gone, and no checkpoint is left")
            continue
        begun.append(one)
    return begun


async def _fold_all(session: AsyncSession, works: Sequence[SiteRejudgement]) -> None:
    """Fetches further ahead, for those that have not yet come to the same again, until all have or are at the end."""
    if not works:
        return
    leap = FIRST_LEAP
    circumstances = await judge_context.load(
        session,
        [one.site_id for one in works],
        BLINDNESS_SOURCE,
        min(one.begins for one in works) - timedelta(days=1),
        max(one.row.seen_at for one in works) + timedelta(days=1),
    )
    open_works = list(works)
    while open_works:
        for one in open_works:
            one.until = one.end + leap if one.end + leap <= one.row.seen_at else FAR_FUTURE
        await _fold_some(session, open_works, circumstances)
        open_works = [one for one in open_works if one.met_at is None and one.until < FAR_FUTURE]
        leap *= 4


async def _fold_some(
    session: AsyncSession, works: Sequence[SiteRejudgement], circumstances: Mapping[int, JudgeContext]
) -> None:
    readings = await _readings(session, works)
    stored = await checkpoints.list_within(session, ((one.site_id, one.begins, one.until) for one in works))
    for one in works:
        about = circumstances[one.site_id]
        one.stored = stored.get(one.site_id, {})
        start = one.carry or initial_state(about.setups[0])
        one.folded = fold(start, readings[one.site_id], about, meets=one.meets)


def initial_state(setup: JudgeConfiguration) -> JudgeState:
    """What was carried of a site before its first reading."""
    valid_s = profiles()[setup.technology].interval_s
    return JudgeState(State.UNKNOWN, UnknownReason.NEVER_SEEN, setup.addressed_at, valid_s, setup.addressed_at)


async def _readings(session: AsyncSession, works: Sequence[SiteRejudgement]) -> dict[int, list[Reading]]:
    found: dict[int, list[Reading]] = defaultdict(list)
    rows = await session.execute(READINGS, range_params((one.site_id, one.begins, one.until) for one in works))
    for site_id, slot, outcome, sent, rtt_us, valid_s, reason, source in rows:
        found[site_id].append(Reading(site_id, slot, Outcome(outcome), sent, tuple(rtt_us), valid_s, reason, source))
    return found


async def _write(session: AsyncSession, works: Sequence[SiteRejudgement], *, skipped: set[int]) -> RejudgeResult:
    stretches = {one.site_id: _stretch(one) for one in works}
    before = await segments.read_ranges(session, stretches)
    after = {one.site_id: _laid(one, before[one.site_id]) for one in works}
    changed = await segments.replace_segments(session, before, after)
    await _keep_checkpoints(session, works)
    present = [one for one in works if one.met_at is None]
    await carries.write_states(session, [(w.row, w.folded.carry, w.folded.last) for w in present])
    spans = [_span(one, before[one.site_id], after[one.site_id]) for one in works]
    return RejudgeResult(spans, changed, {w.site_id: w.folded.carry for w in present}, skipped)


def _stretch(work: SiteRejudgement) -> SegmentRange:
    first = work.carry.since if work.carry is not None else EPOCH
    return SegmentRange(first, work.folded.carry.since if work.met_at is not None else FAR_FUTURE)


def _laid(work: SiteRejudgement, before: Sequence[Segment]) -> list[Segment]:
    first: list[Segment] = []
    if work.carry is not None and before and before[0].started_at == work.carry.since:
        first = [segments.reopened(before[0])]
    laid = segments.apply_changes(first, work.folded.changes)
    if work.met_at is not None and laid and before and laid[-1].started_at == before[-1].started_at:
        laid[-1] = segments.ended_like(laid[-1], before[-1])
    return laid


def _span(work: SiteRejudgement, before: Sequence[Segment], after: Sequence[Segment]) -> DirtyRange:
    """What was asked for, and whatever beyond it came out otherwise than before: an outage from its last answer on."""
    differing = set(before) ^ set(after)
    start = min([work.start, *(_reaches_back(one) for one in differing)])
    end = max([work.end, *(one.ended_at or utc_now() for one in differing)])
    return DirtyRange(work.site_id, start, end, whole=bool(differing))


def _reaches_back(segment: Segment) -> datetime:
    return (segment.last_ok_at or segment.started_at) if segment.state in BAD else segment.started_at


async def _keep_checkpoints(session: AsyncSession, works: Sequence[SiteRejudgement]) -> None:
    fresh = []
    for one in works:
        known = {at: carry for at, carry in one.stored.items() if one.met_at is None or at < one.met_at}
        if dict(one.folded.checkpoints) != known:
            fresh.append(one)
    if fresh:
        ends = [(w.site_id, w.begins, w.met_at - timedelta(seconds=1) if w.met_at else FAR_FUTURE) for w in fresh]
        await checkpoints.delete(session, ends)
        await checkpoints.save(session, {one.site_id: one.folded for one in fresh})
