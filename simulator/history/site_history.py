"""A site's past, looked at as the worker would have and judged by the real judge; quiet stretches are passed over.

Hours in which anything happened are kept reading by reading. The others are told as ranges: all quiet, or all lost.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise

from app.core.clock import from_slot, to_slot
from app.judging import segments
from app.judging.blind_ranges import BlindRange, reading_ends_at
from app.judging.degraded import WINDOW_READINGS, DegradedThresholds
from app.judging.fold import JudgeContext, ParentOutage, fold
from app.judging.ingest import JudgedSite
from app.judging.judge import BAD, GOOD, JudgeState, StateChange
from app.judging.segments import Segment
from app.registry.models import State
from app.worker.schedule import CONFIRM_PACKETS, Plan, max_duration_s, repeat_after_s
from probes.contract import AGENT, Outcome, Reading
from simulator.history import steady_state
from simulator.history.samples import HOUR_S, PACKETS, Air, Rtts
from simulator.history.scenarios import Spell
from simulator.script import EventKind
from simulator.seeded_random import mix, share

Hours = tuple[int, int]  # from an hour (since 1970) to before another


@dataclass
class Life:
    """From `start` to `end` (slots, both included); checkpoints are kept from `readings_from` on."""

    plan: Plan
    air: Air
    about: JudgeContext
    limits: DegradedThresholds
    spells: Sequence[Spell]
    blind: Sequence[BlindRange]
    carry: JudgeState
    start: int
    end: int
    readings_from: int
    changes: list[StateChange] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    checkpoints: list[tuple[datetime, JudgeState]] = field(default_factory=list)
    quiet: list[Hours] = field(default_factory=list)
    lost: list[Hours] = field(default_factory=list)
    last: Reading | None = None

    def live(self) -> None:
        self._blind = [(to_slot(one.started_at), to_slot(one.ended_at), one.reason == "stopped") for one in self.blind]
        self._edges = self._all_edges()
        self._lasts = {n: max_duration_s(replace(self.plan.target, packets=n)) for n in (PACKETS, CONFIRM_PACKETS)}
        slot, confirms = self.plan.next_regular(self.start - 1), False
        while slot <= self.end:
            stopped = next((high for low, high, stopped in self._blind if stopped and low <= slot < high), None)
            if stopped is not None:
                slot, confirms = self.plan.next_regular(stopped - 1), False
            elif self._is_calm(slot, confirms):
                slot, confirms = self._pass_calm(slot), False
            elif self._is_lost(slot, confirms):
                slot, confirms = self._pass_lost(slot, confirms)
            else:
                slot, confirms = self._step(slot, confirms)

    @property
    def segments(self) -> list[Segment]:
        return segments.apply_changes([], self.changes)

    def _all_edges(self) -> list[int]:
        """The slots at which what a look finds, or how it is judged, may begin to be another."""
        found = {self.end + 1}
        for spell in self.spells:
            found |= {spell.start, spell.end}
        for low, high, _ in self._blind:
            reach = (
                to_slot(reading_ends_at(from_slot(low), CONFIRM_PACKETS)) - low
            )  # a look so long before still reaches in
            found |= {*range(low - reach, low + 1), high}
        for out in self.about.parent_outages.get(self.about.configurations[0].parent_id or 0, ()):
            found |= {to_slot(out.last_ok_at), to_slot(out.recovered_at) + 1 if out.recovered_at else self.end + 1}
        return sorted(found)

    def _next_edge(self, slot: int) -> int:
        return self._edges[bisect_right(self._edges, slot)]

    def _acting(self, slot: int) -> list[Spell]:
        return [spell for spell in self.spells if spell.start <= slot < spell.end]

    def _is_blind(self, slot: int) -> bool:
        return any(low <= slot < high for low, high, _ in self._blind)

    def _is_fresh(self, slot: int) -> bool:
        """Whether no state can have lapsed since the last evidence, whatever kept us from looking."""
        evidence_at = self.carry.evidence_at
        return evidence_at is not None and slot - to_slot(evidence_at) <= self.plan.interval_s

    def _is_calm(self, slot: int, confirms: bool) -> bool:
        return (
            not confirms
            and steady_state.is_calm(self.carry, self.limits)
            and self._is_fresh(slot)
            and not self._is_blind(slot)
            and not self._acting(slot)
        )

    def _is_lost(self, slot: int, confirms: bool) -> bool:
        if self.carry.state not in BAD or not self._is_fresh(slot) or self._outage_until(slot) is None:
            return False
        look = self.about.observe(self._look(slot, confirms))
        return look.outcome is Outcome.TIMEOUT and look.behind == (self.carry.state is State.UNREACHABLE)

    def _outage_until(self, slot: int) -> int | None:
        return next((one.end for one in self._acting(slot) if one.kind is EventKind.OUTAGE), None)

    def _step(self, slot: int, confirms: bool) -> tuple[int, bool]:
        """One look, judged; the next one's slot, and whether it is out of turn."""
        reading = self._look(slot, confirms)
        folded = fold(self.carry, [reading], self.about)
        self.carry = folded.state
        self.changes += folded.changes
        self.checkpoints += [found for found in folded.checkpoints if to_slot(found[0]) >= self.readings_from]
        self.readings.append(reading)
        self.last = folded.last or self.last
        return self._follow(slot, reading.sent)

    def _follow(self, slot: int, packets: int) -> tuple[int, bool]:
        """As `Schedule` puts it down."""
        carry, plan = self.carry, self.plan
        regular = plan.next_regular(slot + self._lasts[packets])
        judged = JudgedSite(plan.target.key, carry.state, carry.since, from_slot(slot), carry.pending_at)
        every = self._reread_s(judged, slot)
        return (slot + every, True) if every is not None and slot + every < regular else (regular, False)

    def _look(self, slot: int, confirms: bool) -> Reading:
        packets = CONFIRM_PACKETS if confirms else PACKETS
        return self.air.reading(slot, self._answers(slot, packets), packets)

    def _answers(self, slot: int, packets: int) -> Rtts:
        acting = self._acting(slot)
        if self._is_blind(slot) or any(spell.kind is EventKind.OUTAGE for spell in acting):
            return ()
        rtts = self.air.rtts(slot)
        if packets > PACKETS or acting:
            rtts = (*rtts, *self.air.rtts(slot + self.plan.interval_s))[:packets]
        for spell in acting:
            own = mix(self.air.site_id * 1_000_003 + slot)
            if spell.kind is EventKind.SLOW:
                rtts = tuple(int(1_000 * spell.rtt_ms * (0.9 + 0.2 * share(mix(own, n)))) for n in range(len(rtts)))
            else:
                rtts = tuple(rtt for n, rtt in enumerate(rtts) if 100 * share(mix(own, n)) >= spell.loss_pct)
        return rtts

    def _regular(self, slot: int) -> Reading:
        return self.air.reading(slot, self.air.rtts(slot))

    def _after_calm(self, slot: int, upto: int) -> JudgeState:
        """What is carried once the regular looks from slot on, before `upto`, have been judged."""
        every = self.plan.interval_s
        looks = range(slot, upto, every)
        return (
            steady_state.calm(self.carry, [self._regular(one) for one in looks[-WINDOW_READINGS:]])
            if looks
            else self.carry
        )

    def _pass_calm(self, slot: int) -> int:
        every, upto = self.plan.interval_s, self._next_edge(slot)
        last = range(slot, upto, every)[-1]
        hour = self._first_hour(slot)
        for full in range(max(hour, self.readings_from), last + 1, HOUR_S):
            self.checkpoints.append((from_slot(full), self._after_calm(slot, full)))
        whole = hour, max(hour, upto // HOUR_S * HOUR_S)
        kept = [*range(slot, min(upto, hour), every), *range(self._first_look(whole[1]), upto, every)]
        self.readings += [self._regular(one) for one in kept]
        if whole[0] < whole[1]:
            self.quiet.append((whole[0] // HOUR_S, whole[1] // HOUR_S))
        self.carry, self.last = self._after_calm(slot, upto), self._regular(last)
        return last + every

    def _pass_lost(self, slot: int, confirms: bool) -> tuple[int, bool]:
        plan, upto = self.plan, self._next_edge(slot)
        until = (upto - 2 * plan.interval_s) // HOUR_S * HOUR_S  # an outage's last loss is kept
        last = to_slot(self.carry.seen_at) if self.carry.seen_at else slot
        while slot < upto:
            hour = slot // HOUR_S * HOUR_S
            if last < hour and hour >= self.readings_from:
                self.checkpoints.append((from_slot(hour), self._after_losses(last)))
            if last < hour < until and not confirms and self._is_slow_paced(hour):
                self.lost.append((hour // HOUR_S, hour // HOUR_S + 1))
                last = range(slot, hour + HOUR_S, plan.interval_s)[-1]
                slot = last + plan.interval_s
                continue
            packets = CONFIRM_PACKETS if confirms else PACKETS
            self.readings.append(self.air.reading(slot, (), packets))
            self.last, last = self.readings[-1], slot
            slot, confirms = self._follow(slot, packets)
            if slot - last > plan.interval_s:
                break
        self.carry = self._after_losses(last)
        return slot, confirms

    def _after_losses(self, last: int) -> JudgeState:
        known = self.carry.seen_at is not None and to_slot(self.carry.seen_at) >= last
        return self.carry if known else steady_state.lost(self.carry, last, self.plan.interval_s)

    def _is_slow_paced(self, slot: int) -> bool:
        """Whether it is looked at in its turn only, as long as this outage lasts."""
        judged = JudgedSite(self.air.site_id, self.carry.state, self.carry.since, from_slot(slot))
        return self._reread_s(judged, slot) is None

    def _reread_s(self, judged: JudgedSite, slot: int) -> int | None:
        """An agent keeps its pace, whatever it found."""
        return None if self.air.source == AGENT else repeat_after_s(judged, self.plan, slot)

    def _first_hour(self, slot: int) -> int:
        """The start of the first hour of which every look is still to come."""
        hour = slot // HOUR_S * HOUR_S
        seen_at = self.carry.seen_at
        begun = slot - hour >= self.plan.interval_s or seen_at is None or to_slot(seen_at) >= hour
        return hour + HOUR_S if begun else hour

    def _first_look(self, hour: int) -> int:
        return self.plan.next_regular(hour - 1)


def outs(found: Sequence[Segment]) -> list[ParentOutage]:
    """As `around.OUTS` reads them."""
    after_good = {b.started_at for a, b in pairwise(found) if a.state in GOOD and a.ended_at == b.started_at}
    return [
        ParentOutage((one.last_ok_at if one.started_at in after_good else None) or one.started_at, one.ended_at)
        for one in found
        if one.state in BAD
    ]
