"""Sites that several vantages look at: however late each one delivers, the ledger is the function of all looks."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, from_slot, utc_now
from app.judging import ingest
from app.judging.blind_ranges import BlindRange
from app.judging.canary_evidence import CanaryLog
from app.judging.dirty_range import DirtyRange
from app.judging.ingest import IngestResult
from app.judging.mass_outage import NO_CANARIES
from app.judging.vantage_waits import WAIT_S, VantageWaits
from app.postgres.engine import Sessions, transaction
from app.worker.judging_session import JudgingSessions
from app.worker.waiting_looks import judge_waiting_looks
from probes.contract import VANTAGES, Outcome, Reading
from tests.conftest import Cast
from tests.factories import register
from tests.support.delivering_probers import make_vantage
from tests.support.rejudged_village import HOURS, OK, TIMEOUT, Village, assert_same, backdate

A, B, C = VANTAGES[:3]
RECONFIGURE = (
    "UPDATE site_configuration SET ended_at = :at WHERE site_id = :id AND ended_at IS NULL",
    "INSERT INTO site_configuration SELECT (jsonb_populate_record(c, jsonb_build_object("
    "'started_at', cast(:at AS timestamptz), 'ended_at', NULL, 'vantages', cast(:vantages AS jsonb)))).* "
    "FROM site_configuration c WHERE site_id = :id AND ended_at = :at",
)


class Watched(Village):
    """A tower and a child that two and three vantages look at, and a site that is looked at from more places later."""

    judging: JudgingSessions

    def random_readings(self) -> list[Reading]:
        readings = [
            replace(reading, source=source)
            for site_id, vantages in zip(self.ids, ((A, B), (A, B, C), (A, B)), strict=True)
            for source in vantages
            for reading in self._random_site_readings(site_id)
        ]
        shared = self._random_site_readings(self.ids[0])  # of the same slots: from where it is reached, and where not
        readings += [replace(reading, source=C, key=self.ids[1]) for reading in shared]
        return list({(reading.key, reading.slot, reading.source): reading for reading in readings}.values())

    async def ingest(
        self, readings: Sequence[Reading], blind: Sequence[BlindRange] = (), *, canaries: CanaryLog = NO_CANARIES
    ) -> IngestResult:
        async with self.judging.transaction() as (session, _):
            items = [(reading, self.start) for reading in readings]
            return await ingest.ingest_readings(session, items, blind, canaries=canaries)


async def watched(sessions: Sessions, cast: Cast, session: AsyncSession, seed: int) -> Watched:
    for number, name in ((1, "telkom"), (2, "icon")):
        await make_vantage(cast, number, name)
    tower = await register(cast, host="127.9.9.1", kind="node", vantages=[0, 1])
    child = await register(cast, host="127.9.9.2", parent_id=tower["id"], vantages=[2, 1, 0])
    other = await register(cast, host="127.9.9.3")
    start = floor_second(utc_now()) - timedelta(hours=HOURS + 1)
    await backdate(session, start)
    village = Watched(sessions, [tower["id"], child["id"], other["id"]], start, Random(seed))
    async with session.begin():
        for hours, vantages in ((1, "[0, 1]"), (2, "[1, 0]")):
            at = start + timedelta(hours=hours, seconds=11)
            for statement in RECONFIGURE:
                await session.execute(text(statement), {"at": at, "id": other["id"], "vantages": vantages})
    village.judging = JudgingSessions(sessions)
    return village


def assigned(village: Watched, readings: Sequence[Reading]) -> list[Reading]:
    """Without those of a vantage that does not look at the third site yet: ingest refuses them."""
    since = village.start + timedelta(hours=1, seconds=11)
    return [r for r in readings if r.key != village.ids[2] or r.source == A or from_slot(r.slot) >= since]


@pytest.mark.parametrize("seed", range(2))
async def test_looks_that_arrive_late_and_in_any_order_leave_the_same_ledger(
    sessions: Sessions, cast: Cast, session: AsyncSession, seed: int
) -> None:
    village = await watched(sessions, cast, session, seed)
    readings, random = assigned(village, village.random_readings()), village.random
    blind, lag = village.random_blind_ranges(3), {A: 0, B: random.choice([5, 70]), C: random.choice([0, 4000])}
    arriving = sorted(readings, key=lambda r: r.slot + lag[r.source] + random.choice([0, 0, 0, 0, 200, 3000]))
    while arriving:
        size = random.choice([1, 5, 40, 200])
        batch, arriving = arriving[:size], arriving[size:]
        random.shuffle(batch)
        await village.ingest(batch + batch[:2], [blind.pop()] if blind and random.random() < 0.2 else [])
        if random.random() < 0.3:
            await judge_waiting_looks(village.judging)
        if random.random() < 0.02:
            village.judging.is_loaded = False  # as after a crash
    await village.ingest([], blind)
    await judge_waiting_looks(village.judging)
    assert_same(await village.stored(), await village.expected(readings))
    states = {segment.state.value for parts in (await village.stored()).values() for segment in parts[0]}
    assert {"up", "degraded", "down"} <= states
    before = await village.stored()
    for _ in range(5):
        site_id, second = random.choice(village.ids), random.randrange(HOURS * 3600)
        at = village.start + timedelta(seconds=second)
        result = await village.rejudge([DirtyRange(site_id, at, at + timedelta(seconds=random.randrange(600)))])
        assert not result.changed
    assert_same(await village.stored(), before)


async def test_without_anybody_who_waits_looks_are_judged_as_they_come(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    village = await watched(sessions, cast, session, 1)
    tower = village.ids[0]
    looks = [village.reading(tower, 60 * n, OK if n < 2 else TIMEOUT) for n in range(5)]
    async with transaction(sessions) as writing:
        for source in (A, B):
            items = [(replace(reading, source=source), village.start) for reading in looks]
            await ingest.ingest_readings(writing, items)
    parts = (await village.stored())[tower]
    assert [segment.state.value for segment in parts[0]] == ["unknown", "up", "down"][-len(parts[0]) :]
    assert parts[2].state == "down"


def look(slot: int, source: str, outcome: Outcome = OK) -> Reading:
    return Reading(1, slot, outcome, 3, (), 60, None, source)


def test_looks_wait_until_all_vantages_have_looked_as_far_or_long_enough() -> None:
    waits, start = VantageWaits(), 1_000_000
    waits.note(1, [0, 1], [look(start, A)])
    assert waits.due(from_slot(start + 10), most=10) == {}
    waits.note(1, [0, 1], [look(start - 60, B)])
    assert waits.due(from_slot(start + 10), most=10) == {1: start - 10}, "what both have seen"
    waits.forget({1: start - 10})
    assert waits.due(from_slot(start + 12), most=10) == {}
    assert waits.due(from_slot(start + WAIT_S), most=10) == {1: start}
    waits.note(1, [0, 1], [look(start, B)])
    assert waits.due(from_slot(start + 12), most=10) == {1: start}
    waits.forget({1: start})
    assert 1 not in waits
    assert waits.due(from_slot(start + 100), most=10) == {}


def test_no_more_sites_are_judged_at_once_than_asked_for() -> None:
    waits = VantageWaits()
    for site_id in range(5):
        waits.note(site_id, [0, 1], [look(100, A)])
    assert len(waits.due(from_slot(1000), most=3)) == 3


@pytest.mark.parametrize("is_restarted", [False, True], ids=["delivered later", "read by a worker that ended"])
async def test_looks_from_before_a_site_was_left_to_one_vantage_are_judged_with_those_of_the_others(
    sessions: Sessions, cast: Cast, session: AsyncSession, is_restarted: bool
) -> None:
    """Else what one vantage loses while another reaches the site is an outage."""
    village = await watched(sessions, cast, session, 1)
    tower = village.ids[0]
    seen = [(second, source, OK) for second in range(10, 600, 60) for source in (A, B)] + [(590, B, OK)]
    lost = [(second, A, TIMEOUT) for second in (600, 610)]
    readings = [replace(village.reading(tower, second, outcome), source=source) for second, source, outcome in seen]
    await village.ingest(readings)
    await judge_waiting_looks(village.judging)
    losses = [replace(village.reading(tower, second, outcome), source=source) for second, source, outcome in lost]
    if is_restarted:
        await village.ingest(losses)
        village.judging = JudgingSessions(sessions)
    at = village.start + timedelta(seconds=615)
    async with session.begin():
        for statement in RECONFIGURE:
            await session.execute(text(statement), {"at": at, "id": tower, "vantages": "[0]"})
    if not is_restarted:
        await village.ingest(losses)
    later = [village.reading(tower, 660, OK)]
    await village.ingest(later)
    await judge_waiting_looks(village.judging)
    assert_same(await village.stored(), await village.expected([*readings, *losses, *later]))
    assert "down" not in {segment.state.value for segment in (await village.stored())[tower][0]}
