"""Simulate a site's past: probed as the worker schedules it, judged by the real judge, steady stretches skipped.

Hours in which anything happens are kept reading by reading. The others are kept as ranges: all healthy, or all lost.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.core.clock import from_slot, to_slot
from app.judging import segments
from app.judging.blind_ranges import BlindRange, reading_ends_at
from app.judging.degraded import WINDOW_READINGS, DegradedThresholds
from app.judging.fold import JudgeContext, ParentOutage, fold
from app.judging.ingest import JudgedSite
from app.judging.judge import BAD, JudgeState, StateChange
from app.judging.segments import Segment
from app.probing.probe_plan import CONFIRM_PACKETS, ProbePlan, max_duration_s, repeat_after_s
from app.registry.models import State
from probes.contract import AGENT, Outcome, Reading
from simulator.history import steady_state
from simulator.history.samples import HOUR_S, PACKETS, Rtts, SiteSamples
from simulator.history.scenarios import Episode
from simulator.script import EventKind
from simulator.seeded_random import mix, share

HourRange = tuple[int, int]  # from an hour (since 1970) to before another


@dataclass
class SiteHistory:
    """From `start` to `end` (slots, both included); checkpoints are kept from `readings_from` on.

    `simulate` fills the results: state changes, readings, checkpoints, and the hours that were skipped.
    """

    schedule: ProbePlan
    samples: SiteSamples
    context: JudgeContext
    thresholds: DegradedThresholds
    episodes: Sequence[Episode]
    blind_ranges: Sequence[BlindRange]
    judge_state: JudgeState
    start: int
    end: int
    readings_from: int
    changes: list[StateChange] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    checkpoints: list[tuple[datetime, JudgeState]] = field(default_factory=list)
    healthy_hours: list[HourRange] = field(default_factory=list)
    lost_hours: list[HourRange] = field(default_factory=list)
    last_reading: Reading | None = None

    def simulate(self) -> None:
        """Go from reading to reading, or over a stretch in which the result is known.

        1. While we are stopped there are no readings.
        2. Healthy readings of a steady site are skipped up to the next change.
        3. So are losses of a site that is out.
        4. Every other reading is made and judged.
        """
        self._blind_slots = [
            (to_slot(blind.started_at), to_slot(blind.ended_at), blind.reason == "stopped")
            for blind in self.blind_ranges
        ]
        self._change_slots = self._find_change_slots()
        self._duration_s = {n: max_duration_s(self.schedule.target, n) for n in (PACKETS, CONFIRM_PACKETS)}
        slot, is_confirmation = self.schedule.next_regular(self.start - 1), False
        while slot <= self.end:
            stopped = next((high for low, high, stopped in self._blind_slots if stopped and low <= slot < high), None)
            if stopped is not None:
                slot, is_confirmation = self.schedule.next_regular(stopped - 1), False
            elif self._is_steady(slot, is_confirmation):
                slot, is_confirmation = self._skip_healthy(slot), False
            elif self._is_lost(slot, is_confirmation):
                slot, is_confirmation = self._skip_losses(slot, is_confirmation)
            else:
                slot, is_confirmation = self._step(slot, is_confirmation)

    @property
    def segments(self) -> list[Segment]:
        return segments.apply_changes([], self.changes)

    def _find_change_slots(self) -> list[int]:
        """Return the slots at which the result of a reading, or its judgement, may change."""
        slots = {self.end + 1}
        for episode in self.episodes:
            slots |= {episode.start, episode.end}
        for low, high, _ in self._blind_slots:
            reach = to_slot(reading_ends_at(from_slot(low), CONFIRM_PACKETS)) - low  # a longer reading ends inside
            slots |= {*range(low - reach, low + 1), high}
        for out in self.context.parent_outages.get(self.context.configurations[0].parent_id or 0, ()):
            slots |= {to_slot(out.last_ok_at), to_slot(out.recovered_at) + 1 if out.recovered_at else self.end + 1}
        return sorted(slots)

    def _next_change(self, slot: int) -> int:
        return self._change_slots[bisect_right(self._change_slots, slot)]

    def _active_episodes(self, slot: int) -> list[Episode]:
        return [episode for episode in self.episodes if episode.start <= slot < episode.end]

    def _is_blind(self, slot: int) -> bool:
        return any(low <= slot < high for low, high, _ in self._blind_slots)

    def _is_fresh(self, slot: int) -> bool:
        """Return whether the last evidence is too recent for the state to have lapsed."""
        evidence_at = self.judge_state.evidence_at
        return evidence_at is not None and slot - to_slot(evidence_at) <= self.schedule.interval_s

    def _is_steady(self, slot: int, is_confirmation: bool) -> bool:
        return (
            not is_confirmation
            and steady_state.is_steady(self.judge_state, self.thresholds)
            and self._is_fresh(slot)
            and not self._is_blind(slot)
            and not self._active_episodes(slot)
        )

    def _is_lost(self, slot: int, is_confirmation: bool) -> bool:
        if self.judge_state.state not in BAD or not self._is_fresh(slot) or self._outage_until(slot) is None:
            return False
        observed = self.context.observe(self._make_reading(slot, is_confirmation))
        return observed.outcome is Outcome.TIMEOUT and observed.behind == (self.judge_state.state is State.UNREACHABLE)

    def _outage_until(self, slot: int) -> int | None:
        return next((episode.end for episode in self._active_episodes(slot) if episode.kind is EventKind.OUTAGE), None)

    def _step(self, slot: int, is_confirmation: bool) -> tuple[int, bool]:
        """Make and judge segment reading; return the next slot, and whether that is an early confirmation."""
        reading = self._make_reading(slot, is_confirmation)
        folded = fold(self.judge_state, [reading], self.context)
        self.judge_state = folded.state
        self.changes += folded.changes
        self.checkpoints += [
            checkpoint for checkpoint in folded.checkpoints if to_slot(checkpoint[0]) >= self.readings_from
        ]
        self.readings.append(reading)
        self.last_reading = folded.last or self.last_reading
        return self._next_slot(slot, reading.sent)

    def _next_slot(self, slot: int, packets: int) -> tuple[int, bool]:
        """Return the next slot, and whether it is an early confirmation, as the worker's schedule does."""
        state, schedule = self.judge_state, self.schedule
        regular = schedule.next_regular(slot + self._duration_s[packets])
        judged = JudgedSite(schedule.target.key, state.state, state.since, from_slot(slot), state.pending_at)
        wait_s = self._repeat_after_s(judged, slot)
        return (slot + wait_s, True) if wait_s is not None and slot + wait_s < regular else (regular, False)

    def _make_reading(self, slot: int, is_confirmation: bool) -> Reading:
        packets = CONFIRM_PACKETS if is_confirmation else PACKETS
        return self.samples.reading(slot, self._rtts(slot, packets), packets)

    def _rtts(self, slot: int, packets: int) -> Rtts:
        episodes = self._active_episodes(slot)
        if self._is_blind(slot) or any(episode.kind is EventKind.OUTAGE for episode in episodes):
            return ()
        rtts = self.samples.rtts(slot)
        if packets > PACKETS or episodes:
            rtts = (*rtts, *self.samples.rtts(slot + self.schedule.interval_s))[:packets]
        for episode in episodes:
            draw_key = mix(self.samples.site_id * 1_000_003 + slot)
            if episode.kind is EventKind.SLOW:
                rtts = tuple(
                    int(1_000 * episode.rtt_ms * (0.9 + 0.2 * share(mix(draw_key, n)))) for n in range(len(rtts))
                )
            else:
                rtts = tuple(rtt for n, rtt in enumerate(rtts) if 100 * share(mix(draw_key, n)) >= episode.loss_pct)
        return rtts

    def _regular_reading(self, slot: int) -> Reading:
        return self.samples.reading(slot, self.samples.rtts(slot))

    def _after_healthy(self, slot: int, end: int) -> JudgeState:
        """Return the state once the regular readings from slot on, before `end`, have been judged."""
        every = self.schedule.interval_s
        slots = range(slot, end, every)[-WINDOW_READINGS:]
        if not slots:
            return self.judge_state
        return steady_state.after_healthy(self.judge_state, [self._regular_reading(slot) for slot in slots])

    def _skip_healthy(self, slot: int) -> int:
        every, end = self.schedule.interval_s, self._next_change(slot)
        last = range(slot, end, every)[-1]
        hour = self._first_hour(slot)
        for full in range(max(hour, self.readings_from), last + 1, HOUR_S):
            self.checkpoints.append((from_slot(full), self._after_healthy(slot, full)))
        whole = hour, max(hour, end // HOUR_S * HOUR_S)
        kept = [*range(slot, min(end, hour), every), *range(self._first_slot(whole[1]), end, every)]
        self.readings += [self._regular_reading(kept_slot) for kept_slot in kept]
        if whole[0] < whole[1]:
            self.healthy_hours.append((whole[0] // HOUR_S, whole[1] // HOUR_S))
        self.judge_state, self.last_reading = self._after_healthy(slot, end), self._regular_reading(last)
        return last + every

    def _skip_losses(self, slot: int, is_confirmation: bool) -> tuple[int, bool]:
        schedule, end = self.schedule, self._next_change(slot)
        until = (end - 2 * schedule.interval_s) // HOUR_S * HOUR_S  # the last losses of an outage are kept
        last = to_slot(self.judge_state.seen_at) if self.judge_state.seen_at else slot
        while slot < end:
            hour = slot // HOUR_S * HOUR_S
            if last < hour and hour >= self.readings_from:
                self.checkpoints.append((from_slot(hour), self._after_losses(last)))
            if last < hour < until and not is_confirmation and self._is_unconfirmed(hour):
                self.lost_hours.append((hour // HOUR_S, hour // HOUR_S + 1))
                last = range(slot, hour + HOUR_S, schedule.interval_s)[-1]
                slot = last + schedule.interval_s
                continue
            packets = CONFIRM_PACKETS if is_confirmation else PACKETS
            self.readings.append(self.samples.reading(slot, (), packets))
            self.last_reading, last = self.readings[-1], slot
            slot, is_confirmation = self._next_slot(slot, packets)
            if slot - last > schedule.interval_s:
                break
        self.judge_state = self._after_losses(last)
        return slot, is_confirmation

    def _after_losses(self, last: int) -> JudgeState:
        known = self.judge_state.seen_at is not None and to_slot(self.judge_state.seen_at) >= last
        return (
            self.judge_state if known else steady_state.after_losses(self.judge_state, last, self.schedule.interval_s)
        )

    def _is_unconfirmed(self, slot: int) -> bool:
        """Return whether no confirmations are due any more, as long as this outage lasts."""
        judged = JudgedSite(self.samples.site_id, self.judge_state.state, self.judge_state.since, from_slot(slot))
        return self._repeat_after_s(judged, slot) is None

    def _repeat_after_s(self, judged: JudgedSite, slot: int) -> int | None:
        """Return the seconds to the confirmation that is due, if any: agents make none."""
        return None if self.samples.source == AGENT else repeat_after_s(judged, self.schedule, slot)

    def _first_hour(self, slot: int) -> int:
        """Return the start of the first hour of which no reading has been made yet."""
        hour = slot // HOUR_S * HOUR_S
        seen_at = self.judge_state.seen_at
        begun = slot - hour >= self.schedule.interval_s or seen_at is None or to_slot(seen_at) >= hour
        return hour + HOUR_S if begun else hour

    def _first_slot(self, hour: int) -> int:
        return self.schedule.next_regular(hour - 1)


def parent_outages(site_segments: Sequence[Segment]) -> list[ParentOutage]:
    """Return the outages as `app.judging.judge_context` reads a parent's from the database: up to its next answer."""
    outages: list[ParentOutage] = []
    recovered_at = None
    for segment in reversed(site_segments):
        recovered_at = segment.first_ok_after or recovered_at
        if segment.state in BAD:
            outages.append(ParentOutage(segment.last_ok_at or segment.started_at, recovered_at))
    return outages[::-1]
