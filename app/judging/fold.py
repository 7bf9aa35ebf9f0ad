"""The ledger as a function of its inputs: readings of one site, and all else that bears on them. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.core.clock import from_slot
from app.core.freshness import lapses_at, late_by
from app.judging.blind_ranges import BLINDNESS_SOURCE, BlindRange, BlindRanges, gap_reason, reading_ends_at
from app.judging.judge import JudgeState, Observation, StateChange, judge, readdress
from app.judging.judge_state_store import median_us
from app.judging.thresholds import DatedThresholds
from app.profiles import Technology
from app.registry.models import UnknownReason
from probes.contract import CENTRAL, Outcome, Reading


@dataclass(frozen=True, slots=True)
class JudgeConfiguration:
    """A site's configuration as far as judgement goes, from `started_at` until the next one."""

    started_at: datetime
    addressed_at: datetime
    technology: Technology
    parent_id: int | None


@dataclass(frozen=True, slots=True)
class ParentOutage:
    """When a parent was out: from its last answer to the next, which is None while it lasts."""

    last_ok_at: datetime
    recovered_at: datetime | None

    def hides(self, slot: datetime) -> bool:
        return self.last_ok_at <= slot and (self.recovered_at is None or slot <= self.recovered_at)


@dataclass(frozen=True, slots=True)
class JudgeContext:
    """What bears on a site's readings besides themselves: `blind` by source, `outs` by parent."""

    setups: Sequence[JudgeConfiguration]
    limits: DatedThresholds
    blind: Mapping[str, BlindRanges]
    outs: Mapping[int, Sequence[ParentOutage]]

    def setup(self, moment: datetime) -> JudgeConfiguration:
        return next((one for one in reversed(self.setups) if one.started_at <= moment), self.setups[0])

    def blinded(self, source: str, start: datetime, end: datetime) -> list[BlindRange]:
        return self.blind[source].overlapping(start, end) if source in self.blind else []

    def look(self, reading: Reading) -> Observation:
        slot, outcome, behind = from_slot(reading.slot), reading.outcome, False
        setup = self.setup(slot)
        if outcome is Outcome.TIMEOUT:
            behind = any(out.hides(slot) for out in self.outs.get(setup.parent_id or 0, ()))
            ends = reading_ends_at(slot, reading.sent)
            if self.blinded(reading.source, slot, ends):
                outcome = Outcome.FAULT
        return Observation(
            slot,
            outcome,
            reading.valid_s,
            reading.sent,
            len(reading.rtt_us),
            median_us(reading),
            self.limits.at(setup.technology, slot),
            behind,
        )


@dataclass(slots=True)
class FoldResult:
    """What readings came to. `checkpoints`: what was carried at a full hour, before the first reading beyond it."""

    carry: JudgeState
    changes: list[StateChange] = field(default_factory=list)
    checkpoints: list[tuple[datetime, JudgeState]] = field(default_factory=list)
    last: Reading | None = None
    met_at: datetime | None = None  # the full hour at which the fold was stopped


def fold(
    carry: JudgeState,
    readings: Iterable[Reading],
    around: JudgeContext,
    *,
    meets: Callable[[datetime, JudgeState], bool] | None = None,
) -> FoldResult:
    """`readings` in the order of their slots. One that is not newer than what was judged changes nothing.

    `meets` is asked at every full hour whether to stop there.
    """
    folded = FoldResult(carry)
    for reading in readings:
        if (checkpoint := _checkpoint(folded.carry, from_slot(reading.slot))) is not None:
            if meets is not None and meets(*checkpoint):
                folded.met_at = checkpoint[0]
                break
            folded.checkpoints.append(checkpoint)
        _fold_one(folded, reading, around)
    return folded


def _checkpoint(carry: JudgeState, slot: datetime) -> tuple[datetime, JudgeState] | None:
    """Due where a reading is the first beyond a full hour."""
    hour = slot.replace(minute=0, second=0)
    return (hour, carry) if carry.seen_at is not None and carry.seen_at < hour else None


def _fold_one(folded: FoldResult, reading: Reading, around: JudgeContext) -> None:
    carry, look = folded.carry, around.look(reading)
    if carry.seen_at is not None and look.slot <= carry.seen_at:
        return
    for setup in around.setups:
        if carry.addressed_at < setup.addressed_at <= look.slot:
            carry, changes = readdress(carry, setup.addressed_at)
            folded.changes += changes
    folded.carry, changes = judge(carry, look, gap_reason=_gap_reason(carry, reading, look, around))
    folded.changes += changes
    if look.outcome is not Outcome.FAULT:
        folded.last = reading


def _gap_reason(carry: JudgeState, reading: Reading, look: Observation, around: JudgeContext) -> UnknownReason:
    """Why nothing was seen beyond the interval that the last evidence speaks for."""
    if carry.evidence_at is None:
        return UnknownReason.SILENT
    since = lapses_at(carry.evidence_at, carry.valid_s)
    if reading.source != CENTRAL and look.slot <= since + late_by(timedelta(seconds=carry.valid_s)):
        return UnknownReason.SILENT  # nothing is missing
    return gap_reason(
        around.blinded(BLINDNESS_SOURCE.get(reading.source, reading.source), since, look.slot), since, look.slot
    )
