"""Folds one site's readings, in order of time, into a judge state, state changes and hourly checkpoints. Pure.

The ledger is a function of its inputs: these readings, and all that bears on them (`JudgeContext`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np

from app.core.clock import from_slot
from app.core.freshness import lapses_at, late_by
from app.judging.blind_ranges import BLINDNESS_SOURCE, BlindRange, BlindRanges, gap_reason, reading_ends_at
from app.judging.claims import is_claim
from app.judging.combining import VantageRule, combined
from app.judging.dated_profiles import DatedThresholds
from app.judging.judge import JudgeState, Observation, StateChange, judge, readdress
from app.profiles import Technology
from app.registry.models import UnknownReason
from probes.contract import LOOKS, SILENCE, VANTAGES, Outcome, Reading
from probes.reading_block import OUTCOMES, SOURCES, ReadingBlock

# What a prober says of a look that it could not take: its blindness stands nowhere else.
OWN_FAULTS = {"blind": UnknownReason.BLIND, "stopped": UnknownReason.STOPPED}


@dataclass(frozen=True, slots=True)
class JudgeConfiguration:
    """What judgement needs of a site's configuration, in force from `started_at` until the next one."""

    started_at: datetime
    addressed_at: datetime
    technology: Technology
    parent_id: int | None
    always_present: bool = True  # whether its device's silence may be an outage
    provider_id: int = 0
    vantages: tuple[int, ...] = (0,)  # that it is looked at from, its primary first


@dataclass(frozen=True, slots=True)
class VantageHost:
    """From `started_at` on a vantage stands at this provider; None: at none."""

    vantage: int
    started_at: datetime
    provider_id: int | None


@dataclass(frozen=True, slots=True)
class ParentOutage:
    """When a parent was out: from its last answer to its next, None while it lasts."""

    last_ok_at: datetime
    recovered_at: datetime | None

    def covers(self, slot: datetime) -> bool:
        return self.last_ok_at <= slot and (self.recovered_at is None or slot <= self.recovered_at)


@dataclass(frozen=True, slots=True)
class JudgeContext:
    """What bears on a site's readings: its configurations, oldest first; blind ranges by source; outages by parent.

    `held`: the site's own lost looks that count as our fault, as blind ranges of our probes.
    """

    configurations: Sequence[JudgeConfiguration]
    thresholds: DatedThresholds
    blind: Mapping[str, BlindRanges]
    parent_outages: Mapping[int, Sequence[ParentOutage]]
    held: Sequence[BlindRange] = ()
    hosts: Sequence[VantageHost] = ()  # by time

    @property
    def has_vantages(self) -> bool:
        """Whether several vantages look, or looked."""
        return any(len(configuration.vantages) > 1 for configuration in self.configurations)

    def vantage_rule(self, moment: datetime) -> VantageRule | None:
        """Return how the vantages of that moment are combined; None of a single one."""
        configuration = self.configuration_at(moment)
        if len(configuration.vantages) == 1:
            return None
        hosts = {host.vantage: host.provider_id for host in self.hosts if host.started_at <= moment}
        limits = self.thresholds.at(configuration.technology, moment)
        sources = tuple(VANTAGES[number] for number in configuration.vantages)
        hosted = {VANTAGES[number] for number, provider_id in hosts.items() if provider_id == configuration.provider_id}
        return VantageRule(sources, limits.lost_from, frozenset(hosted), limits.interval_s)

    def configuration_at(self, moment: datetime) -> JudgeConfiguration:
        """Return the configuration in force at `moment`, the first one for whatever lies before it."""
        in_force = (dated for dated in reversed(self.configurations) if dated.started_at <= moment)
        return next(in_force, self.configurations[0])

    def blind_ranges(self, source: str, start: datetime, end: datetime) -> list[BlindRange]:
        ranges = self.blind[source].overlapping(start, end) if source in self.blind else []
        own = self.held if source in LOOKS else ()
        return [*ranges, *(held for held in own if held.overlaps(start, end))]

    def observe(self, reading: Reading) -> Observation:
        """Return the reading as it is judged: a timeout while we were blind is a fault, or lies behind a parent.

        So is a missed report of a device that is present only at times. Of an answered one, packets that were lost
        while we were blind were never sent.
        """
        slot, outcome, sent, behind = from_slot(reading.slot), reading.outcome, reading.sent, False
        configuration = self.configuration_at(slot)
        if outcome is Outcome.TIMEOUT:
            outages = self.parent_outages.get(configuration.parent_id or 0, ())
            behind = any(outage.covers(slot) for outage in outages)
        if has_losses(reading) and self.blind_ranges(reading.source, slot, reading_ends_at(slot, reading.sent)):
            outcome, sent = Outcome.FAULT if outcome is Outcome.TIMEOUT else outcome, len(reading.rtt_us)
        if reading.source == SILENCE and not configuration.always_present:
            outcome = Outcome.FAULT
        return Observation(
            slot,
            outcome,
            reading.valid_s,
            sent,
            len(reading.rtt_us),
            median_us(reading),
            self.thresholds.at(configuration.technology, slot),
            behind,
            _answered_after_s(reading),
        )


@dataclass(slots=True)
class FoldResult:
    """`checkpoints`: the judge state at each full hour that was passed, before the first reading beyond it."""

    state: JudgeState
    changes: list[StateChange] = field(default_factory=list)
    checkpoints: list[tuple[datetime, JudgeState]] = field(default_factory=list)
    last: Reading | None = None  # the last reading judged that is no fault
    lost_from: tuple[str, ...] | None = None  # the vantages that lost the site at that one, while others had an answer
    converged_at: datetime | None = None  # the full hour at which the fold was stopped


def fold(
    state: JudgeState,
    readings: Iterable[Reading],
    context: JudgeContext,
    *,
    converges: Callable[[datetime, JudgeState], bool] | None = None,
) -> FoldResult:
    """Judge `readings`, which are in the order of their slots, one after the other from `state` on.

    A reading that is not newer than the last one judged changes nothing, nor does a claim. At every full hour the fold
    stops if `converges` says so.
    """
    result = FoldResult(state)
    single = ((reading, None) for reading in readings)
    looks = combined(readings, context.observe, context.vantage_rule) if context.has_vantages else single
    for reading, observation in looks:
        if is_claim(reading):
            continue
        if (checkpoint := _checkpoint_before(from_slot(reading.slot), result.state)) is not None:
            if converges is not None and converges(*checkpoint):
                result.converged_at = checkpoint[0]
                break
            result.checkpoints.append(checkpoint)
        _fold_reading(result, reading, observation or context.observe(reading), context)
    return result


def _checkpoint_before(slot: datetime, state: JudgeState) -> tuple[datetime, JudgeState] | None:
    """Return a checkpoint if a reading in `slot` is the first one beyond a full hour."""
    hour = slot.replace(minute=0, second=0)
    return (hour, state) if state.seen_at is not None and state.seen_at < hour else None


def _fold_reading(result: FoldResult, reading: Reading, observation: Observation, context: JudgeContext) -> None:
    state = result.state
    if state.seen_at is not None and observation.slot <= state.seen_at:
        return
    for configuration in context.configurations:
        if state.addressed_at < configuration.addressed_at <= observation.slot:
            state, changes = readdress(state, configuration.addressed_at)
            result.changes += changes
    reason = _gap_reason(state, reading, observation, context)
    result.state, changes = judge(state, observation, gap_reason=reason)
    result.changes += changes
    if observation.outcome is Outcome.FAULT:
        return
    result.lost_from = observation.lost_from
    if reading.sent or observation.outcome is Outcome.TIMEOUT or not context.has_vantages:
        result.last = reading if observation.sent == reading.sent else replace(reading, sent=observation.sent)


def _gap_reason(state: JudgeState, reading: Reading, observation: Observation, context: JudgeContext) -> UnknownReason:
    """Return why nothing was seen after the interval that the last evidence, else a pending loss, is valid for."""
    supported_at = state.evidence_at or state.pending_at
    if supported_at is None:
        return UnknownReason.SILENT
    lapsed_at = lapses_at(supported_at, state.valid_s)
    if reading.source not in LOOKS and observation.slot <= lapsed_at + late_by(timedelta(seconds=state.valid_s)):
        return UnknownReason.SILENT  # nothing is missing
    source = BLINDNESS_SOURCE.get(reading.source, reading.source)
    reason = gap_reason(context.blind_ranges(source, lapsed_at, observation.slot), lapsed_at, observation.slot)
    return OWN_FAULTS.get(reading.reason or "", reason) if reason is UnknownReason.SILENT else reason


def fold_order(reading: Reading) -> tuple[int, int, int, str]:
    """The sort key of readings to fold: of several in one second the first one counts.

    That is the answered one, else a lost one, and of these the one that is valid for longer: a fault hides neither.
    """
    return reading.slot, OUTCOMES.index(reading.outcome), -reading.valid_s, reading.source


def in_fold_order(block: ReadingBlock) -> ReadingBlock:
    """Return the readings by site, those of each in `fold_order`."""
    by_name = np.argsort(np.argsort(SOURCES))[block.source]
    return block.take(np.lexsort((by_name, -block.valid_s, block.outcome, block.slot, block.key)))


def has_losses(reading: Reading) -> bool:
    """Whether blindness would make it another observation."""
    return reading.outcome is Outcome.TIMEOUT or (reading.outcome is Outcome.OK and len(reading.rtt_us) < reading.sent)


def _answered_after_s(reading: Reading) -> int:
    """Return how long after its slot the first answered packet left at the latest: one packet a second, the first lost.

    0 for what a device measured: it says nothing of single packets, and its slot is when it was done.
    """
    return reading.sent - len(reading.rtt_us) if reading.source in LOOKS and reading.rtt_us else 0


def median_us(reading: Reading) -> int:
    """Return the median round trip, 0 where nothing answered."""
    answered = sorted(reading.rtt_us)
    return answered[len(answered) // 2] if answered else 0
