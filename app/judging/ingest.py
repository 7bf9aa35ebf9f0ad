"""The write pipeline of the ledger: readings and blind ranges in, and all that follows from them written."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot
from app.judging import blind_ranges, dated_profiles, judge_context, judge_state_store, mass_outage, shard_tasks, shards
from app.judging.addressed_block import AddressedReading
from app.judging.blind_ranges import BlindRange
from app.judging.canary_evidence import CanaryLog
from app.judging.claims import is_claim
from app.judging.dirty_range import DirtyRange
from app.judging.former_addresses import with_faults_of_others
from app.judging.judge import JudgeState
from app.judging.live_fold import Rows, fold_live, written_range
from app.judging.mass_outage import NO_CANARIES
from app.judging.propagation import affected_by_blindness, children_of, rejudge_with_children
from app.judging.site_rejudgement import EPOCH
from app.judging.vantage_waits import JUDGED, is_combined, waits_of
from app.measurements import reader
from app.measurements import store as measurements
from app.registry.models import SiteKind, State
from probes.contract import CENTRAL, Outcome, Reading

SiteReadings = dict[int, list[Reading]]


@dataclass(frozen=True, slots=True)
class JudgedSite:
    """A site's state after a batch, which decides when it is read next."""

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
    dirty_ranges: list[DirtyRange] = field(default_factory=list)  # what was written anew
    blind: list[BlindRange] = field(default_factory=list)  # recorded: timeouts in them are our fault
    held: list[DirtyRange] = field(default_factory=list)  # lost looks that became our fault, or count after all
    states: dict[int, JudgeState] = field(default_factory=dict)  # by site, where they changed

    def add(self, later: "IngestResult") -> None:
        self.judged += later.judged
        self.dirty_ranges += later.dirty_ranges
        self.held += later.held
        self.states |= later.states


async def ingest_readings(
    session: AsyncSession,
    addressed: Sequence[AddressedReading],
    blind: Sequence[BlindRange] = (),
    *,
    source: str = CENTRAL,
    canaries: CanaryLog = NO_CANARIES,
) -> IngestResult:
    """Record readings, and blind ranges of `source`, and judge all they bear on. Idempotent, and in any order.

    `canaries`: what shows whether we could see when many sites are lost at once.

    1. Find what these blind ranges make doubtful, and record them.
    2. Lock the sites concerned and all below them, in the order of ids.
    3. Record the readings; keep those that are new.
    4. Decide the holds of sites that were looked at again.
    5. Set aside the readings of sites that must be judged again, up to the newest of them; and those of sites that
       several vantages look at, which are judged together (`judge_waiting`).
    6. Fold the other sites' readings, parents first.
    7. Rejudge what became doubtful, with the children of sites that changed.
    8. Fold on from the present where that was impossible: what is newer is not lost.
    9. Hold sites that were lost with many others until their next look, unless the canaries show that we could see.
    """
    await shards.serialize(session)
    if blind:
        await judge_state_store.unwritten_states(session).write(session)
    dirty = await affected_by_blindness(session, blind, source=source)
    await blind_ranges.record(session, blind, source=source)
    await shard_tasks.leave_blindness(session, blind, source=source)
    site_ids = {reading.key for reading, _ in addressed} | {dirty_range.site_id for dirty_range in dirty}
    rows = await judge_state_store.lock_sites(session, list(site_ids))
    fresh = await _record(session, addressed, rows)
    waiting = {site_id: fresh.pop(site_id) for site_id in await _find_combined(session, fresh, rows)}
    dirty += [_range_of(late) for site_id, of_site in waiting.items() if (late := _late(rows[site_id], of_site))]
    result = await _judge(session, fresh, rows, dirty, IngestResult(blind=list(blind)), canaries)
    await _let_wait(session, waiting, rows, result)
    return result


async def _find_combined(session: AsyncSession, fresh: SiteReadings, rows: Rows) -> set[int]:
    """Return the sites whose looks are judged together, or were to be when they were taken."""
    combined = {site_id for site_id in fresh if is_combined(session, rows[site_id])}
    before = [
        site_id
        for site_id in fresh.keys() - combined
        if any(from_slot(reading.slot) < rows[site_id].setup_at for reading in fresh[site_id])
    ]
    dated = await judge_context.load_configurations(session, before) if before else {}
    return combined | {site_id for site_id, each in dated.items() if any(len(c.vantages) > 1 for c in each)}


async def judge_stored(session: AsyncSession, readings: Sequence[Reading]) -> IngestResult:
    """Judge readings that are stored, and newer than the last ones judged of their sites."""
    await shards.serialize(session)
    rows = await judge_state_store.lock_sites(session, sorted({reading.key for reading in readings}))
    return await _judge(session, _by_site(readings), rows, [], IngestResult(), NO_CANARIES)


async def judge_waiting(session: AsyncSession, until: Mapping[int, int]) -> IngestResult:
    """Judge the stored looks of sites that several vantages look at, of each site up to this slot."""
    await shards.serialize(session)
    rows = await judge_state_store.lock_sites(session, sorted(until))
    back = (await dated_profiles.load(session)).looks_back
    ranges = [
        (site_id, (rows[site_id].seen_at or EPOCH + back) - back, from_slot(slot + 1))
        for site_id, slot in until.items()
        if site_id in rows
    ]
    looks = _by_site((await reader.read(session, ranges)).readings())
    new = {site_id: of_site for site_id, of_site in looks.items() if _has_new(rows[site_id], of_site)}
    session.info.setdefault(JUDGED, {}).update(until)
    return await _judge(session, new, rows, [], IngestResult(), NO_CANARIES, with_earlier=True)


def _by_site(readings: Iterable[Reading]) -> SiteReadings:
    by_site: SiteReadings = defaultdict(list)
    for reading in readings:
        by_site[reading.key].append(reading)
    return by_site


async def _let_wait(session: AsyncSession, waiting: SiteReadings, rows: Rows, result: IngestResult) -> None:
    """Have looks wait for those of other vantages; with nobody who waits, judge them at once."""
    waits, until = waits_of(session), dict[int, int]()
    for site_id, of_site in waiting.items():
        new = [reading for reading in of_site if not _is_late(rows[site_id], [reading])]
        if not new:
            continue
        if waits is not None:
            waits.note(site_id, rows[site_id].vantages, new)
        else:
            until[site_id] = max(reading.slot for reading in new)
    if until:
        result.add(await judge_waiting(session, until))


async def _judge(
    session: AsyncSession,
    fresh: SiteReadings,
    rows: Rows,
    dirty: list[DirtyRange],
    result: IngestResult,
    canaries: CanaryLog,
    *,
    with_earlier: bool = False,
) -> IngestResult:
    """Take stages 4 to 9 of `ingest_readings`. `with_earlier`: among `fresh` are looks that were judged before."""
    await _write_parents(session, fresh, rows)
    result.held = await mass_outage.decide(session, fresh)
    dirty += result.held
    late = {} if with_earlier else _pop_late(fresh, rows, dirty)
    dirty += [_range_of(readings) for readings in late.values()]
    dirty += await _fold_waves(session, fresh, rows, result)
    skipped = await _rejudge(session, dirty, result)
    await _fold_skipped(session, {site_id: late[site_id] for site_id in skipped & late.keys()}, rows, result)
    await _hold_suspects(session, rows, result, canaries)
    held = await mass_outage.held_sites(session, result.states)
    judge_state_store.unwritten_states(session).note_held(result.states, held)
    result.judged = [
        _judged_site(rows[site_id], state, held=site_id in held)
        for site_id, state in result.states.items()
        if site_id in rows
    ]
    return result


async def _write_parents(session: AsyncSession, fresh: SiteReadings, rows: Rows) -> None:
    """Have `site_status` say when the parents of lost sites were seen last: their incidents wait for that."""
    lost = (site_id for site_id, readings in fresh.items() if any(r.outcome is Outcome.TIMEOUT for r in readings))
    parents = {rows[site_id].parent_id for site_id in lost if site_id in rows} - {None}
    if parents:
        await judge_state_store.unwritten_states(session).write(session, parents)


async def _record(session: AsyncSession, addressed: Sequence[AddressedReading], rows: Rows) -> SiteReadings:
    """Return the readings that are new and not mere claims, by site."""
    readings = await with_faults_of_others(session, addressed, rows)
    new = set(await measurements.record(session, readings))
    fresh: SiteReadings = defaultdict(list)
    for reading in readings:
        if (reading.key, from_slot(reading.slot)) in new and not is_claim(reading):
            fresh[reading.key].append(reading)
    return fresh


def _pop_late(fresh: SiteReadings, rows: Rows, dirty: Sequence[DirtyRange]) -> SiteReadings:
    """Take out of `fresh` the sites that are rejudged: of dirty ranges, or with a reading not newer than the last."""
    rejudged = {dirty_range.site_id for dirty_range in dirty}
    rejudged |= {site_id for site_id, readings in fresh.items() if _is_late(rows[site_id], readings)}
    return {site_id: fresh.pop(site_id) for site_id in rejudged if site_id in fresh}


def _late(row: Any, readings: Sequence[Reading]) -> list[Reading]:
    return [reading for reading in readings if _is_late(row, [reading])]


def _has_new(row: Any, readings: Sequence[Reading]) -> bool:
    return any(not _is_late(row, [reading]) for reading in readings)


def _is_late(row: Any, readings: Sequence[Reading]) -> bool:
    return row.seen_at is not None and from_slot(min(reading.slot for reading in readings)) <= row.seen_at


def _range_of(readings: Sequence[Reading]) -> DirtyRange:
    slots = [reading.slot for reading in readings]
    return DirtyRange(readings[0].key, from_slot(min(slots)), from_slot(max(slots)))


async def _fold_waves(session: AsyncSession, fresh: SiteReadings, rows: Rows, result: IngestResult) -> list[DirtyRange]:
    """Fold each site's new readings; return what has to be rejudged below the nodes whose state changed."""
    dirty: list[DirtyRange] = []
    for wave in _parents_first(rows, fresh):
        folded = await fold_live(session, {site_id: fresh[site_id] for site_id in wave}, rows)
        result.states |= {site_id: site.state for site_id, site in folded.items()}
        written = [written_range(rows[site_id], site) for site_id, site in folded.items()]
        result.dirty_ranges += written
        changed = {i for i, site in folded.items() if site.changes and rows[i].kind == SiteKind.NODE}
        dirty += await children_of(session, [dirty_range for dirty_range in written if dirty_range.site_id in changed])
    return dirty


def _parents_first(rows: Rows, fresh: SiteReadings) -> list[list[int]]:
    """Return the sites in waves: none is below another of the same or a later wave."""
    waves: list[list[int]] = []
    left = set(fresh)
    while left:
        wave = sorted(site_id for site_id in left if rows[site_id].parent_id not in left) or sorted(left)
        waves.append(wave)
        left -= set(wave)
    return waves


async def _rejudge(session: AsyncSession, dirty: Sequence[DirtyRange], result: IngestResult) -> set[int]:
    """Return the sites that could not be rejudged."""
    rejudged = await rejudge_with_children(session, dirty)
    result.dirty_ranges += rejudged.dirty_ranges
    result.states |= rejudged.states
    return rejudged.skipped


async def _fold_skipped(session: AsyncSession, skipped: SiteReadings, rows: Rows, result: IngestResult) -> None:
    if skipped:
        folded = await fold_live(session, skipped, rows)
        result.states |= {site_id: site.state for site_id, site in folded.items()}


async def _hold_suspects(session: AsyncSession, rows: Rows, result: IngestResult, canaries: CanaryLog) -> None:
    newly_down = {
        site_id: state.evidence_at
        for site_id, state in result.states.items()
        if state.state is State.DOWN
        and state.evidence_at is not None
        and site_id in rows
        and rows[site_id].state != State.DOWN
    }
    if newly_down:
        suspects = await mass_outage.review(session, newly_down, max(newly_down.values()), canaries)
        result.held = [*result.held, *suspects]
        await _rejudge(session, suspects, result)


def _judged_site(row: Any, state: JudgeState, *, held: bool) -> JudgedSite:
    pending_at = state.seen_at if held else state.pending_at
    return JudgedSite(row.site_id, state.state, state.since, state.seen_at, pending_at, row.parent_id)
