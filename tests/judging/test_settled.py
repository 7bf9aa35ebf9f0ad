"""`settled_until`: whatever readings follow, no state before it changes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, from_slot, utc_now
from app.core.freshness import holds_until, lapses_at
from app.core.periods import Period
from app.judging.degraded import DegradedThresholds
from app.judging.judge import JudgeState, Observation, StateChange, judge
from app.judging.models import Suspect, Suspicion
from app.judging.settled import WRITTEN_WITHIN_S, settled_until, sites_settled_until
from app.postgres.engine import Sessions, transaction
from app.registry.models import State, UnknownReason
from probes.contract import CENTRAL, Outcome
from tests.conftest import Cast
from tests.factories import register
from tests.support.rejudged_village import OK, TIMEOUT, Village, backdate

START = datetime(2026, 11, 24, tzinfo=UTC)
THRESHOLDS = DegradedThresholds(loss_pct=15, rtt_us=150_000)
REASONS = [UnknownReason.SILENT, UnknownReason.SILENT, UnknownReason.SILENT, UnknownReason.BLIND]


@dataclass(frozen=True)
class Look:
    gap: int
    outcome: Outcome
    received: int
    rtt_us: int
    reason: UnknownReason


looks = st.builds(
    Look,
    st.sampled_from([10, 60, 60, 60, 60, 120, 150, 151, 400]) | st.integers(1, 200),
    st.sampled_from([OK] * 6 + [TIMEOUT] * 3 + [Outcome.FAULT]),
    st.sampled_from([3, 3, 3, 2, 1]),
    st.sampled_from([20_000, 20_000, 400_000]),
    st.sampled_from(REASONS),
)


def fold(state: JudgeState, at: datetime, looks: Sequence[Look]) -> tuple[JudgeState, list[StateChange]]:
    changes: list[StateChange] = []
    for look in looks:
        at += timedelta(seconds=look.gap)
        received = look.received if look.outcome is OK else 0
        observed = Observation(at, look.outcome, 60, 3, received, look.rtt_us if received else 0, THRESHOLDS)
        state, more = judge(state, observed, gap_reason=look.reason)
        changes += more
    return state, changes


def paint(changes: Sequence[StateChange], until: datetime) -> list[State]:
    """The state of each second up to `until`."""
    painted = [State.UNKNOWN] * round((until - START).total_seconds())
    for change in changes:
        at = round((change.at - START).total_seconds())
        painted[at:] = [change.state] * len(painted[at:])
    return painted


@settings(deadline=None)
@given(st.lists(looks, max_size=25), st.integers(1, 500), st.lists(looks, min_size=1, max_size=15))
def test_whatever_readings_follow_no_state_before_it_changes(first: list[Look], wait: int, rest: list[Look]) -> None:
    state, changes = fold(JudgeState(State.UNKNOWN, UnknownReason.NEVER_SEEN, START, 60, START), START, first)
    last = state.seen_at or START
    expected_from = last + timedelta(seconds=wait)
    settled = settled_until(state, expected_from)
    shown = list(changes)
    if state.evidence_at is not None and holds_until(state.evidence_at, state.valid_s) < expected_from:
        shown.append(StateChange(lapses_at(state.evidence_at, state.valid_s), State.UNKNOWN))  # as the timeline ends
    _, more = fold(state, last, [replace(rest[0], gap=wait + rest[0].gap - 1), *rest[1:]])
    assert paint([*changes, *more], settled) == paint(shown, settled)


def test_a_site_that_answers_well_is_settled_but_for_the_window_that_degraded_is_judged_by() -> None:
    good = [Look(60, OK, 3, 20_000, UnknownReason.SILENT)] * 30
    state, _ = fold(JudgeState(State.UNKNOWN, UnknownReason.NEVER_SEEN, START, 60, START), START, good)
    now = START + timedelta(seconds=30 * 60 + 40)
    assert settled_until(state, now) == START + timedelta(seconds=21 * 60)


@pytest.fixture
async def village(sessions: Sessions, cast: Cast, session: AsyncSession) -> Village:
    tower = await register(cast, host="127.9.9.1", kind="node")
    child = await register(cast, host="127.9.9.2", parent_id=tower["id"])
    alone = await register(cast, host="127.9.9.3")
    start = floor_second(utc_now()) - timedelta(hours=4)
    await backdate(session, start)
    return Village(sessions, [tower["id"], child["id"], alone["id"]], start, Random(1))


async def settled(village: Village, ids: Sequence[int], now: datetime) -> datetime:
    async with transaction(village.sessions) as session:
        return await sites_settled_until(session, ids, Period(village.start, now), now=now)


async def test_the_database_says_the_same_of_a_site_without_a_parent(village: Village) -> None:
    alone = village.ids[2]
    readings = [reading for reading in village.random_readings() if reading.key == alone]
    for first in range(0, len(readings), 5):
        await village.ingest(readings[first : first + 5])
        state = (await village.stored())[alone][2]
        for wait in (5, 40, 200):
            now = from_slot(readings[first : first + 5][-1].slot) + timedelta(seconds=wait)
            expected = settled_until(state, now - timedelta(seconds=WRITTEN_WITHIN_S))
            assert await settled(village, [alone], now) == max(village.start, min(expected, now))


async def test_a_loss_behind_a_parent_is_settled_only_with_the_parents_next_look(village: Village) -> None:
    tower, child, alone = village.ids
    for site_id, lost in ((tower, ()), (child, (600, 610)), (alone, (600, 610))):
        for second in (0, 600, 610, 660):
            if (site_id, second) not in {(tower, 600), (tower, 610), (tower, 660)}:
                await village.ingest([village.reading(site_id, second, TIMEOUT if second in lost else OK)])
    now = village.start + timedelta(seconds=670)
    assert await settled(village, [alone], now) == village.start + timedelta(seconds=640)
    assert await settled(village, [child], now) == village.start + timedelta(seconds=600)
    assert await settled(village, [child, alone], now) == village.start + timedelta(seconds=600)
    await village.ingest([village.reading(tower, second, TIMEOUT) for second in (665, 675)])
    states = [segment.state.value for segment in (await village.stored())[child][0]]
    assert states == ["up", "unknown", "unreachable", "up"]


async def test_a_held_suspect_is_settled_up_to_its_first_lost_look(village: Village, session: AsyncSession) -> None:
    alone, at = village.ids[2], village.start + timedelta(seconds=300)
    async with session.begin():
        suspicion = Suspicion(source=CENTRAL, started_at=at, ended_at=at)
        session.add(suspicion)
        await session.flush()
        session.add(Suspect(suspicion_id=suspicion.id, site_id=alone, started_at=at, lost_at=at))
    assert await settled(village, [alone], at + timedelta(hours=1)) == at


async def test_uptime_segments_and_ranking_say_up_to_when_they_are_settled(village: Village, cast: Cast) -> None:
    child, alone = village.ids[1:]
    now = floor_second(utc_now())
    for site_id in (child, alone):
        seconds = round((now - village.start).total_seconds()) - 900
        await village.ingest([village.reading(site_id, seconds + 60 * n, OK) for n in range(15)])
    for path in (
        f"/sites/{alone}/uptime",
        f"/sites/{alone}/segments",
        "/regions/64/uptime",
        "/providers/telkom-wms/uptime",
        "/ranking",
    ):
        by = {"by": "site"} if path == "/ranking" else {}
        answer = (await cast.sari.get(path, params={"period": "2h"} | by)).json()
        moment = datetime.fromisoformat(answer["settled_until"])
        assert timedelta(minutes=5) < now - moment < timedelta(minutes=12), path
        past = {"from": village.start.isoformat(), "to": (village.start + timedelta(hours=1)).isoformat()}
        answer = (await cast.sari.get(path, params=past | by)).json()
        assert answer["settled_until"] == answer["to"], path
