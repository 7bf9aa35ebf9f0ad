"""Both gears of judgement say the same: a fold over all readings, and the gate wherever it is certain."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.clock import from_slot, to_slot
from app.judging.addressed_block import AddressedBlock
from app.judging.blind_ranges import BlindRange, BlindRanges
from app.judging.carry import is_steady, newest_thresholds, record_of, shown_of, state_of
from app.judging.dated_profiles import ALWAYS, DatedThresholds
from app.judging.degraded import DegradedThresholds
from app.judging.fold import FoldResult, JudgeConfiguration, JudgeContext, fold, median_us
from app.judging.gate import hour_of, judge_steady, medians_us, passes_hour
from app.judging.judge import JudgeState
from app.profiles import Technology
from app.registry.models import State, UnknownReason
from probes.contract import AGENT, CENTRAL, Outcome, Reading
from probes.reading_block import ReadingBlock

START = datetime(2026, 11, 24, 0, 40, tzinfo=UTC)
OK, TIMEOUT, FAULT = Outcome.OK, Outcome.TIMEOUT, Outcome.FAULT
LIMITS = DegradedThresholds(loss_pct=20, rtt_us=100_000)
THRESHOLDS = DatedThresholds(
    {technology: [(ALWAYS, DegradedThresholds(1, 1)), (START, LIMITS)] for technology in Technology}
)
NEWEST = newest_thresholds(THRESHOLDS)


def reading(outcome: Outcome, rtt_us: Sequence[int] = (), *, sent: int = 3, source: str = CENTRAL) -> Reading:
    return Reading(0, 0, outcome, sent, tuple(rtt_us), 60, None, source)


def answered(random: Random, *, slow: float = 0.0, lossy: float = 0.0) -> Reading:
    sent = random.choice([3, 3, 5])
    received = random.randint(1, sent) if random.random() < lossy else sent
    high = 150_000 if random.random() < slow else 90_000
    return reading(OK, [random.randint(0, high) for _ in range(received)], sent=sent)


MOODS: dict[str, Callable[[Random], Reading]] = {
    "well": answered,
    "slow": lambda random: answered(random, slow=0.5),
    "lossy": lambda random: answered(random, lossy=0.3),
    "loaded": lambda random: random.choice([reading(OK, sent=0), answered(random, slow=0.3)]),
    "ill": lambda random: random.choice([reading(TIMEOUT), reading(TIMEOUT), answered(random)]),
    "ours": lambda random: random.choice([reading(FAULT, sent=0), answered(random)]),
    "pushes": lambda random: random.choice([reading(OK, sent=0, source=AGENT), answered(random)]),
}


def history(random: Random, key: int) -> list[Reading]:
    """Readings over some hours, mostly well and in time."""
    readings, slot, mood = [], to_slot(START) + random.randrange(60), "well"
    for _ in range(120):
        if random.random() < 0.1:
            mood = random.choice(["well", "well", *MOODS])
        valid_s = random.choice([60] * 20 + [30, 90])
        readings.append(replace(MOODS[mood](random), key=key, slot=slot, valid_s=valid_s))
        slot += random.choice([60] * 30 + [10, 10, 0, 1, 59, 61, 90, 150, 151, 900])
    return readings


@dataclass
class Gears:
    """One site, judged look by look: at once where the gate is certain, else by a fold."""

    key: int
    context: JudgeContext
    result: FoldResult = field(init=False)
    shown: tuple[int | None, float | None] = (None, None)
    at_once: int = 0

    def __post_init__(self) -> None:
        self.result = FoldResult(initial(self.context))

    def configuration(self, slot: int) -> JudgeConfiguration:
        return self.context.configuration_at(from_slot(slot))

    def record(self, slot: int) -> np.ndarray:
        configuration = self.configuration(slot)

        class Row:
            site_id, technology = self.key, configuration.technology
            configured_at, setup_at = configuration.addressed_at, configuration.started_at

        record = record_of(self.result.state, Row, version=1, rtt_us=self.shown[0], loss_pct=self.shown[1])
        assert state_of(record[0]) == self.result.state
        return record

    def fold(self, reading: Reading) -> None:
        folded = fold(self.result.state, [reading], self.context)
        self.result.state = folded.state
        self.result.changes += folded.changes
        self.result.checkpoints += folded.checkpoints
        if folded.last is not None:
            loss_pct = round(100 * (1 - len(folded.last.rtt_us) / folded.last.sent), 1) if folded.last.sent else None
            self.shown = median_us(folded.last) or None, loss_pct

    def follow(self, before: np.void, after: np.void, slot: int, *, passes: bool) -> None:
        self.at_once += 1
        if passes:
            self.result.checkpoints.append((from_slot(slot - slot % 3600), state_of(before)))
        self.result.state = state_of(after)
        shown = shown_of(after)
        self.shown = shown["rtt_us"], shown["loss_pct"]  # type: ignore[assignment]


def initial(context: JudgeContext) -> JudgeState:
    at = context.configurations[0].addressed_at
    return JudgeState(State.UNKNOWN, UnknownReason.NEVER_SEEN, at, 60, at)


def random_context(random: Random) -> JudgeContext:
    """Return what bears on the readings: some moves, and blind ranges."""
    configurations = [JudgeConfiguration(START, START, Technology.FIBER, None)]
    for second in sorted(random.sample(range(7200), random.choice([0, 0, 1, 3]))):
        at = START + timedelta(seconds=second, microseconds=500)
        address = at if random.random() < 0.5 else configurations[-1].addressed_at
        configurations.append(JudgeConfiguration(at, address, random.choice(list(Technology)), None))
    starts = [START + timedelta(seconds=random.randrange(7200)) for _ in range(3)]
    return context_of([(start, timedelta(seconds=random.choice([5, 70, 400]))) for start in starts], configurations)


def context_of(
    blind: Sequence[tuple[datetime, timedelta]] = (), configurations: Sequence[JudgeConfiguration] = ()
) -> JudgeContext:
    ranges = BlindRanges([BlindRange(start, start + length, "uplink") for start, length in blind])
    first = JudgeConfiguration(START, START, Technology.FIBER, None)
    return JudgeContext(configurations or [first], THRESHOLDS, {CENTRAL: ranges}, {})


def judge_round(sites: list[Gears], readings: list[Reading]) -> None:
    """Judge one reading of each site, all of a round together."""
    steady = [n for n, site in enumerate(sites) if is_steady(site.result.state)]
    for n in set(range(len(sites))) - set(steady):
        sites[n].fold(readings[n])
    if not steady:
        return
    carry = np.concatenate([sites[n].record(readings[n].slot) for n in steady])
    block = AddressedBlock.of((readings[n], sites[n].configuration(readings[n].slot).addressed_at) for n in steady)
    certain, after = judge_steady(carry, block, NEWEST)
    passes = passes_hour(carry, block.readings.slot)
    for row, n in enumerate(steady):
        if certain[row]:
            sites[n].follow(carry[row], after[row], readings[n].slot, passes=bool(passes[row]))
        else:
            sites[n].fold(readings[n])


@given(st.integers(0))
@settings(max_examples=25, deadline=None)
def test_both_gears_come_to_the_same_states_changes_and_checkpoints(seed: int) -> None:
    random = Random(seed)
    context = random_context(random)
    sites = [Gears(key, context) for key in range(3)]
    taken = [history(random, key) for key in range(3)]
    for readings in zip(*taken, strict=True):
        judge_round(sites, list(readings))
    for site, own in zip(sites, taken, strict=True):
        whole = fold(initial(context), own, context)
        assert site.result.state == whole.state
        assert site.result.changes == whole.changes
        assert site.result.checkpoints == whole.checkpoints


def test_a_site_that_answers_as_ever_is_judged_at_once_over_a_full_hour_too() -> None:
    site = Gears(0, context_of([(START + timedelta(seconds=900), timedelta(seconds=20))]))
    for n in range(40):
        outcome = FAULT if n == 5 else OK
        rtt_us = (20_000, 40_000, 30_000 + n) if outcome is OK else ()
        judge_round([site], [Reading(0, to_slot(START) + 60 * n, outcome, 3, rtt_us, 60)])
    assert site.at_once == 40 - 2  # not the first answer, nor the one two intervals after the last
    assert [at for at, _ in site.result.checkpoints] == [datetime(2026, 11, 24, 1, tzinfo=UTC)]
    assert site.shown == (30_039, 0)


def test_a_window_that_lost_little_keeps_no_site_from_being_judged_at_once() -> None:
    site = Gears(0, context_of())
    for n in range(15):
        rtt_us = (20_000,) * (2 if n == 3 else 3)
        judge_round([site], [Reading(0, to_slot(START) + 60 * n, OK, 3, rtt_us, 60)])
    assert site.at_once == 15 - 2  # not the first answer, nor the one with the loss
    assert site.result.state.state is State.UP


@given(st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=9))
def test_medians_of_a_block_are_those_of_its_readings(drawn: list[list[int]]) -> None:
    readings = [Reading(key, key, OK, 5, tuple(rtt_us), 60) for key, rtt_us in enumerate(drawn)]
    block = ReadingBlock.of(readings)
    assert medians_us(block).tolist() == [median_us(reading) for reading in readings]
    assert hour_of(np.array([3599, 3600])).tolist() == [0, 3600]
