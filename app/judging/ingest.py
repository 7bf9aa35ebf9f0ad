"""The one door into the ledger: readings and blindness come in, and what follows from them is written."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, from_slot, utc_now
from app.core.freshness import CLOCK_TOLERANCE, hold_s, lapses_at
from app.judging import (
    blind_ranges,
    checkpoints,
    judge_context,
    judge_state_store,
    mass_outage,
    segments,
    silence_overrides,
)
from app.judging.blind_ranges import BlindRange
from app.judging.dirty_range import DirtyRange
from app.judging.fold import FoldResult, JudgeConfiguration, fold
from app.judging.judge import BAD, JudgeState
from app.judging.rejudge import FAR_FUTURE, rejudge
from app.measurements import store as measurements
from app.profiles import Technology, profiles
from app.registry.models import SiteKind, State
from probes.contract import AGENT, CENTRAL, SILENCE, Outcome, Reading

CHILDREN = text("""
    SELECT DISTINCT c.site_id FROM site_configuration c JOIN measurement m ON m.site_id = c.site_id
    WHERE c.parent_id = :parent AND m.outcome = 'timeout' AND m.slot >= :start AND m.slot <= :end
        AND m.slot >= c.started_at AND (c.ended_at IS NULL OR m.slot < c.ended_at)
""")

AddressedReading = tuple[
    Reading, datetime | None
]  # with the moment since when its address is the site's; None: its slot tells


@dataclass(frozen=True, slots=True)
class JudgedSite:
    """What a site came to after a batch: its schedule follows from it."""

    site_id: int
    state: State
    since: datetime
    seen_at: datetime | None
    pending_at: datetime | None = None
    parent_id: int | None = None

    @property
    def pending(self) -> bool:
        return self.pending_at is not None


@dataclass(slots=True)
class IngestResult:
    judged: list[JudgedSite] = field(default_factory=list)
    spans: list[DirtyRange] = field(default_factory=list)  # what was written anew
    blind: list[BlindRange] = field(default_factory=list)  # what was recorded: losses in it are our fault


async def ingest_readings(
    session: AsyncSession, items: Sequence[AddressedReading], found: Sequence[BlindRange] = (), *, source: str = CENTRAL
) -> IngestResult:
    """Records blindness (of `source`) and readings, and judges what they bear on: twice, late or in any order.

    A reading of an address that is no longer the site's is kept as our fault: it says nothing of the site.
    """
    again = await _doubtful(session, found, source=source)
    await blind_ranges.record(session, found, source=source)
    ids = {reading.key for reading, _ in items} | {span.site_id for span in again}
    rows = await judge_state_store.lock_sites(session, list(ids))
    readings = [_of_address(*item, rows) for item in items if item[0].key in rows]
    new = set(await measurements.record(session, readings))
    fresh: dict[int, list[Reading]] = defaultdict(list)
    for reading in readings:
        if (reading.key, from_slot(reading.slot)) in new:
            fresh[reading.key].append(reading)
    again += await _overrule(session, fresh, rows)
    behind = {span.site_id for span in again} | {i for i, found in fresh.items() if _is_late(rows[i], found)}
    late = {site_id: fresh.pop(site_id) for site_id in behind if site_id in fresh}
    again += [_span(found) for found in late.values()]  # up to the newest of them, which was never judged
    taken = await _judge(session, rows, fresh, again, late)
    taken.blind += found
    return taken


async def _overrule(
    session: AsyncSession, fresh: dict[int, list[Reading]], rows: Mapping[int, Row[Any]]
) -> list[DirtyRange]:
    """Silences that were refuted: among the fresh ones at once, the stretches of the others are to be judged again."""
    overruled = await silence_overrides.override_silences(session, fresh, rows)
    known = {(one.key, from_slot(one.slot)) for found in fresh.values() for one in found if one.source == SILENCE}
    for site_id in {site_id for site_id, _ in overruled & known}:
        fresh[site_id] = silence_overrides.with_overrides(fresh[site_id], overruled)
    return [DirtyRange(site_id, slot, slot) for site_id, slot in overruled - known]


async def rejudge_with_children(
    session: AsyncSession, spans: Iterable[DirtyRange]
) -> tuple[list[DirtyRange], dict[int, JudgeState], set[int]]:
    """Judges the spans again, then what hangs on those sites, until nothing follows any more.

    What was written anew, what the sites carry now, and those that could not be judged again.
    """
    done: list[DirtyRange] = []
    carried: dict[int, JudgeState] = {}
    skipped: set[int] = set()
    waiting = list(spans)
    while waiting:
        result = await rejudge(session, waiting)
        done += result.spans
        carried |= result.carries
        skipped |= result.skipped
        waiting = await _below(session, [span for span in result.spans if span.site_id in result.changed])
    return done, carried, skipped


async def rejudge_reconfigured(session: AsyncSession, sites: Sequence[DirtyRange]) -> list[DirtyRange]:
    """Configurations changed at the starts of these spans: what was judged by the former ones is judged again."""
    return (await rejudge_with_children(session, [*sites, *await _below(session, sites)]))[0]


async def _judge(
    session: AsyncSession,
    rows: Mapping[int, Row[Any]],
    fresh: Mapping[int, list[Reading]],
    again: list[DirtyRange],
    late: Mapping[int, list[Reading]],
) -> IngestResult:
    taken = IngestResult()
    carried: dict[int, JudgeState] = {}
    for wave in _parents_first(rows, fresh):
        folded = await _fold(session, [rows[site_id] for site_id in wave], fresh)
        carried |= {site_id: one.carry for site_id, one in folded.items()}
        taken.spans += [_live_span(rows[site_id], one) for site_id, one in folded.items()]
        changed = {site_id for site_id, one in folded.items() if one.changes and rows[site_id].kind == SiteKind.NODE}
        again += await _below(session, [span for span in taken.spans if span.site_id in changed])
    spans, rejudged, skipped = await rejudge_with_children(session, again)
    taken.spans += spans
    carried |= rejudged
    left = [rows[site_id] for site_id in skipped if site_id in late]
    if left:  # what cannot be judged again is not lost: whatever is newer goes on from here
        carried |= {site_id: one.carry for site_id, one in (await _fold(session, left, late)).items()}
    looks = [one.slot for found in fresh.values() for one in found if one.source == CENTRAL]
    suspects = await _review(session, taken, carried, from_slot(max(looks))) if looks else set()
    taken.judged = [
        _judged(rows[site_id], carry, suspect=site_id in suspects)
        for site_id, carry in carried.items()
        if site_id in rows
    ]
    return taken


async def _review(
    session: AsyncSession, taken: IngestResult, carried: dict[int, JudgeState], newest: datetime
) -> set[int]:
    """The sites whose outage is held until they have been looked at again: too many were lost at once."""
    lost = any(carry.state is State.DOWN and carry.evidence_at == carry.seen_at for carry in carried.values())
    reviewed = await mass_outage.review(session, newest, lost=lost)
    taken.blind += reviewed.blind
    if reviewed.changed is not None:
        spans, rejudged, _ = await rejudge_with_children(
            session, await _doubtful(session, [reviewed.changed], source=CENTRAL)
        )
        taken.spans += spans
        carried |= rejudged
    return reviewed.suspects


def _parents_first(rows: Mapping[int, Row[Any]], fresh: Mapping[int, list[Reading]]) -> list[list[int]]:
    """The sites in waves: none hangs on another of the same or a later one."""
    waves: list[list[int]] = []
    left = set(fresh)
    while left:
        wave = sorted(site_id for site_id in left if rows[site_id].parent_id not in left) or sorted(left)
        waves.append(wave)
        left -= set(wave)
    return waves


async def _fold(
    session: AsyncSession, rows: Sequence[Row[Any]], fresh: Mapping[int, list[Reading]]
) -> dict[int, FoldResult]:
    readings = {row.site_id: sorted(fresh[row.site_id], key=fold_order) for row in rows}
    known = {row.site_id: _setup(row) for row in rows if _is_settled(row, readings[row.site_id])}
    about = await judge_context.load(session, list(readings), **_reach(rows, readings), current=known)
    folded = {
        row.site_id: fold(judge_state_store.state_from_row(row), readings[row.site_id], about[row.site_id])
        for row in rows
    }
    await segments.write_changes(session, {site_id: one.changes for site_id, one in folded.items() if one.changes})
    await checkpoints.save(session, folded)
    await judge_state_store.write_states(
        session, [(row, folded[row.site_id].carry, folded[row.site_id].last) for row in rows]
    )
    return folded


def _setup(row: Row[Any]) -> JudgeConfiguration:
    return JudgeConfiguration(row.setup_at, row.configured_at, Technology(row.technology), row.parent_id)


def _is_settled(row: Row[Any], readings: Sequence[Reading]) -> bool:
    """Whether the configuration in force is all that bears on these readings."""
    return bool(row.addressed_at == row.configured_at and row.setup_at <= from_slot(readings[0].slot))


def fold_order(reading: Reading) -> tuple[int, bool, str]:
    """Of two looks in one second the one that was answered counts."""
    return reading.slot, reading.outcome is not Outcome.OK, reading.source


def _reach(rows: Sequence[Row[Any]], readings: Mapping[int, Sequence[Reading]]) -> dict[str, Any]:
    """From when to when blindness and parents bear on these readings: around losses, and over what went unseen."""
    moments = [from_slot(one.slot) for found in readings.values() for one in found if one.outcome is Outcome.TIMEOUT]
    for row in rows:
        oldest, newest = (from_slot(readings[row.site_id][place].slot) for place in (0, -1))
        shortest = min([row.valid_s, *(one.valid_s for one in readings[row.site_id])])
        if lapses_at(row.evidence_at or oldest, shortest) < newest:
            moments += [row.evidence_at or oldest, newest]
    sources = {one.source for found in readings.values() for one in found} if moments else set()
    return {"sources": sources, "start": min(moments, default=FAR_FUTURE), "end": max(moments, default=FAR_FUTURE)}


async def _doubtful(session: AsyncSession, found: Sequence[BlindRange], *, source: str) -> list[DirtyRange]:
    """What was judged before a blindness became known that bears on it."""
    hold = longest_hold()
    spans = []
    for one in found:
        for site_id in await blind_ranges.list_affected_sites(session, one, source=source, hold=hold):
            spans.append(DirtyRange(site_id, one.started_at - hold, one.ended_at))
    return spans


async def _below(session: AsyncSession, parents: Iterable[DirtyRange]) -> list[DirtyRange]:
    """What was lost behind parents whose states changed: it may read otherwise now."""
    hold = longest_hold()
    spans = []
    for parent in parents:
        start, end = parent.start - hold, utc_now()
        rows = await session.scalars(CHILDREN, {"parent": parent.site_id, "start": start, "end": end})
        spans += [DirtyRange(site_id, start, end) for site_id in rows]
    return spans


def longest_hold() -> timedelta:
    """No state outlives its last evidence by more."""
    longest = max(max(one.interval_s, one.beat_s, one.send_every_s) for one in profiles().values())
    return timedelta(seconds=hold_s(longest))


def _of_address(reading: Reading, addressed_at: datetime | None, rows: Mapping[int, Row[Any]]) -> Reading:
    configured_at = rows[reading.key].configured_at
    if addressed_at is None:
        present = from_slot(reading.slot) >= floor_second(configured_at)
    else:
        present = addressed_at == configured_at
    if present:
        return reading
    return replace(reading, outcome=Outcome.FAULT, reason="moved")


def _is_late(row: Row[Any], readings: Sequence[Reading]) -> bool:
    return row.seen_at is not None and from_slot(min(one.slot for one in readings)) <= row.seen_at


def _span(readings: Sequence[Reading]) -> DirtyRange:
    slots = [one.slot for one in readings]
    return DirtyRange(readings[0].key, from_slot(min(slots)), from_slot(max(slots)))


def _live_span(row: Row[Any], folded: FoldResult) -> DirtyRange:
    """From the evidence before, which may have been thought to reach less far; an outage from its last answer on."""
    end = folded.carry.seen_at or folded.carry.since
    starts = [one.last_ok_at or one.at if one.state in BAD else one.at for one in folded.changes]
    return DirtyRange(row.site_id, min([row.evidence_at or end, *starts]), end, whole=bool(folded.changes))


def _judged(row: Row[Any], carry: JudgeState, *, suspect: bool) -> JudgedSite:
    pending_at = carry.seen_at if suspect else carry.pending_at
    return JudgedSite(row.site_id, carry.state, carry.since, carry.seen_at, pending_at, row.parent_id)


async def rejudge_after_clock_set_back(session: AsyncSession, at: datetime, *, by: timedelta) -> list[DirtyRange]:
    """The clock was set back to `at`, by so much. When what lies beyond was really read or missed nobody knows: it is
    dropped. What devices measured was acknowledged, and is kept: it was placed by that clock, so it goes back with it.
    """
    ids = await measurements.delete_from(session, at, sources=[CENTRAL, SILENCE])
    spans = [DirtyRange(site_id, at, at) for site_id in ids]
    ahead = await measurements.pop_from(session, at + CLOCK_TOLERANCE, source=AGENT)
    moved = [replace(one, slot=max(one.slot - int(by.total_seconds()), 0)) for one in ahead]
    if moved:
        moved = await measurements.in_distinct_slots(session, moved)
        await measurements.record(session, moved)
        spans += [DirtyRange(one.key, min(from_slot(one.slot), at), at) for one in moved]
    return (await rejudge_with_children(session, spans))[0]
