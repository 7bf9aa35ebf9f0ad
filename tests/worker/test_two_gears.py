"""A worker that knows the carry of its sites writes the same ledger as one that reads every site again."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, to_slot, utc_now
from app.incidents.affected_sites import LOOK_BACK
from app.judging import judge_state_store, propagation
from app.judging.addressed_block import AddressedBlock
from app.judging.blind_ranges import BlindRange
from app.judging.carry import RECENTLY
from app.judging.carry import lost_lately as lost_lately_mask
from app.judging.carry_store import CarryOutdated
from app.judging.dirty_range import DirtyRange
from app.postgres.engine import Sessions, transaction
from app.probing.write_buffer import BufferBatch
from app.worker.judging_session import JudgingSessions
from app.worker.writer import write_batch, write_round
from probes.contract import AGENT, SILENCE, Outcome, Reading
from tests.conftest import Cast
from tests.factories import register
from tests.support.rejudged_village import HOURS, Village, assert_same, backdate

OK, TIMEOUT, FAULT = Outcome.OK, Outcome.TIMEOUT, Outcome.FAULT


class Killed(Exception):
    """Of a transaction that ends before its commit."""


class Gears:
    """Writes a village's readings as a leading worker does."""

    def __init__(self, village: Village) -> None:
        self.village = village
        self.judging = JudgingSessions(village.sessions)

    async def write(
        self, readings: Sequence[Reading], blind: Sequence[BlindRange] = (), *, killed: bool = False
    ) -> None:
        block = AddressedBlock.of((reading, self.village.start) for reading in readings)
        async with self.judging.transaction() as (session, changes):
            await write_round(session, changes, BufferBatch(blind, block))
            if killed:
                raise Killed

    async def well(self, first: int, last: int, *, sites: Sequence[int] | None = None) -> None:
        """Every site answers once a minute, in one second."""
        for second in range(first, last, 60):
            await self.write([self.village.reading(site, second, OK) for site in sites or self.village.ids])

    async def stored(self) -> dict[int, Any]:
        """Segments, checkpoints and judge states, with what is in memory alone."""
        stored = await self.village.stored()
        async with self.judging.transaction() as (session, _):
            rows = await judge_state_store.lock_sites(session, self.village.ids)
            states = {site_id: judge_state_store.state_from_row(row) for site_id, row in rows.items()}
        return {site_id: (*parts[:2], states[site_id]) for site_id, parts in stored.items()}

    def steady(self) -> set[int]:
        """The sites that are in memory."""
        return {site_id for site_id in self.village.ids if self.judging.table.find(site_id) is not None}


@pytest.fixture
async def village(sessions: Sessions, cast: Cast, session: AsyncSession) -> Village:
    tower = await register(cast, host="127.9.9.1", kind="node")
    children = [await register(cast, host=f"127.9.9.{n}", parent_id=tower["id"]) for n in (2, 3)]
    ids = [tower["id"], *(child["id"] for child in children), (await register(cast, host="127.9.9.4"))["id"]]
    start = floor_second(utc_now()) - timedelta(hours=HOURS + 1)
    await backdate(session, start)
    return Village(sessions, ids, start, Random(0))


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_happens_both_gears_leave_one_ledger(village: Village, seed: int) -> None:
    """Late and repeated readings, blindness, writes that fail or whose answer is lost, and workers that are killed."""
    village.random = random = Random(seed)
    gears = Gears(village)
    readings, blind = village.random_readings(), village.random_blind_ranges(3)
    arriving = sorted(readings, key=lambda reading: reading.slot + random.choice([0] * 40 + [4000]))
    while arriving:
        until = arriving[0].slot + 45
        size = next((n for n, reading in enumerate(arriving) if reading.slot >= until), len(arriving))
        batch, arriving = arriving[: max(size, 1)], arriving[max(size, 1) :]
        fate = random.random()
        if fate < 0.05:
            with suppress(Killed):
                await gears.write(batch, killed=True)
        await gears.write(batch, [blind.pop()] if blind and fate > 0.97 else [])
        if 0.05 < fate < 0.08:  # the answer to the commit is lost, or the worker is killed
            gears = Gears(village)
            await gears.write(batch)
        if random.random() < 0.2:
            await gears.judging.write_moved(at_once=True)
    await gears.write([], blind)
    expected = await village.expected(readings)
    assert_same(await gears.stored(), expected)
    assert_same(await Gears(village).stored(), expected)


async def assert_in_step(gears: Gears, readings: Sequence[Reading]) -> None:
    """Memory and `site_status` come to one fold over all readings, and to what judging everything again comes to."""
    village = gears.village
    expected = await village.expected(readings)
    assert_same(await gears.stored(), expected)
    async with gears.judging.transaction() as (session, _):
        everything = [DirtyRange(site_id, village.start, utc_now()) for site_id in village.ids]
        await propagation.rejudge_with_children(session, everything)
    assert_same(await gears.stored(), expected)
    assert_same(await Gears(village).stored(), expected)


async def test_losses_below_a_tower_that_fails_later_are_judged_again_beside_steady_readings(village: Village) -> None:
    gears, (tower, child, other_child, other) = Gears(village), village.ids
    readings = [village.reading(site, second, OK) for second in range(0, 600, 60) for site in village.ids]
    readings += [village.reading(child, second, TIMEOUT) for second in (600, 610)]
    readings += [village.reading(child, second, OK) for second in (670, 730)]
    readings += [village.reading(other_child, second, OK) for second in (600, 660, 720)]
    readings += [village.reading(tower, second, TIMEOUT) for second in (605, 615)]
    readings += [village.reading(other, second, OK) for second in (600, 660, 720)]
    readings.sort(key=lambda reading: reading.slot)
    late = readings.pop(next(n for n, reading in enumerate(readings) if reading.slot == to_slot(village.start) + 615))
    for slot in sorted({reading.slot for reading in readings}):
        await gears.write([reading for reading in readings if reading.slot == slot])
    assert other_child in gears.steady()
    assert tower not in gears.steady(), "a loss of it is pending"
    await gears.write([late, village.reading(other_child, 780, OK), village.reading(child, 790, OK)])
    readings += [late, village.reading(other_child, 780, OK), village.reading(child, 790, OK)]
    segments = (await gears.stored())[child][0]
    assert [segment.state.value for segment in segments] == ["up", "unreachable", "up"]
    await assert_in_step(gears, readings)


async def test_what_steady_sites_come_to_is_written_as_the_judge_would(village: Village, session: AsyncSession) -> None:
    """And nothing else of them."""
    gears = Gears(village)
    query = text(
        "SELECT site_id, state, since, evidence_at, valid_s, seen_at, last_ok_at, rtt_us, loss_pct, window_from, "
        "version FROM site_status ORDER BY site_id"
    )

    async def status() -> list[dict[str, Any]]:
        async with transaction(village.sessions) as reading:
            return [dict(row._mapping) for row in await reading.execute(query)]

    await gears.well(0, 120)
    await gears.well(120, 900)
    before = await status()
    assert {to_slot(row["seen_at"]) - to_slot(village.start) for row in before} == {0}, "the answer that brought it up"
    await gears.judging.write_moved(at_once=True)
    written = await status()
    assert {to_slot(row["seen_at"]) - to_slot(village.start) for row in written} == {840}
    assert {to_slot(row["window_from"]) - to_slot(village.start) for row in written} == {300}
    await gears.judging.write_moved(at_once=True)
    assert await status() == written, "nothing has moved"
    async with transaction(village.sessions) as writing:
        everything = [DirtyRange(site_id, village.start, utc_now()) for site_id in village.ids]
        await propagation.rejudge_with_children(writing, everything)
    assert [row | {"version": 0} for row in await status()] == [row | {"version": 0} for row in written]


async def test_a_site_waits_for_the_judge_while_a_mass_outage_holds_its_losses(village: Village) -> None:
    gears = Gears(village)
    await gears.well(0, 300)
    gears.judging.table.held.add(village.ids[0])
    block = AddressedBlock.of((village.reading(site, 300, OK), village.start) for site in village.ids)
    steady, others = gears.judging.table.judge_steady(block)
    assert (len(steady), others.readings.key.tolist()) == (3, village.ids[:1])


async def test_two_readings_of_a_site_in_one_block_and_unknown_sites_are_left_to_the_judge(village: Village) -> None:
    gears, first = Gears(village), village.ids[0]
    await gears.well(0, 300)
    readings = [village.reading(site, second, OK) for site, second in ((first, 300), (first, 310), (10**6, 300))]
    steady, others = gears.judging.table.judge_steady(AddressedBlock.of((r, village.start) for r in readings))
    assert (len(steady), len(others)) == (0, 3)


async def test_readings_whose_answer_was_lost_are_judged_once_by_the_next_worker(village: Village) -> None:
    gears = Gears(village)
    await gears.well(0, 900)
    again = Gears(village)
    readings = [village.reading(site, 840, OK) for site in village.ids]
    await again.write(readings)  # it was committed, which nobody learned
    assert again.judging.table.moved_rows().tolist() == []
    await assert_in_step(again, [village.reading(site, s, OK) for s in range(0, 900, 60) for site in village.ids])


async def test_a_failed_commit_and_a_row_that_another_one_wrote_have_the_carry_loaded_anew(
    village: Village, session: AsyncSession
) -> None:
    gears, site_id = Gears(village), village.ids[0]
    await gears.well(0, 300)
    with pytest.raises(Killed):
        await gears.write([village.reading(site_id, 300, OK)], killed=True)
    assert gears.judging.is_loaded, "the transaction was certainly rolled back"
    async with session.begin():
        await session.execute(text("UPDATE site_status SET version = version + 1 WHERE site_id = :id"), {"id": site_id})
    with pytest.raises(CarryOutdated):
        await gears.judging.write_moved(at_once=True)
    assert not gears.judging.is_loaded
    await gears.write([village.reading(site_id, 310, TIMEOUT)])
    readings = [village.reading(site, second, OK) for second in range(0, 300, 60) for site in village.ids]
    await assert_in_step(gears, [*readings, village.reading(site_id, 310, TIMEOUT)])


async def test_a_clock_that_was_set_back_takes_steady_readings_back(village: Village) -> None:
    gears = Gears(village)
    await gears.well(0, 1200)
    async with gears.judging.transaction() as (session, _):
        at = village.start + timedelta(seconds=600)
        await propagation.rejudge_after_clock_set_back(session, at, by=timedelta(minutes=10))
    await gears.well(610, 910)
    seconds = (*range(0, 600, 60), *range(610, 910, 60))
    await assert_in_step(gears, [village.reading(site, second, OK) for second in seconds for site in village.ids])


async def test_what_a_device_pushes_beside_our_own_looks_is_judged_in_order(village: Village) -> None:
    gears, site_id = Gears(village), village.ids[3]
    await gears.well(0, 300)
    pushed = replace(village.reading(site_id, 330, OK), source=AGENT, sent=0, rtt_us=())
    async with gears.judging.transaction() as (session, _):
        await write_batch(session, [(pushed, None)], [], source=SILENCE)
    await gears.well(300, 600)
    readings = [village.reading(site, second, OK) for second in range(0, 600, 60) for site in village.ids]
    await assert_in_step(gears, [*readings, pushed])


async def test_a_full_hour_that_is_passed_leaves_a_checkpoint_of_what_was_before(village: Village) -> None:
    gears, hour = Gears(village), 3600 - to_slot(village.start) % 3600 + 3600
    await gears.well(hour - 301, hour + 300)
    readings = [village.reading(site, s, OK) for s in range(hour - 301, hour + 300, 60) for site in village.ids]
    assert_same(await gears.stored(), await village.expected(readings))
    assert all(len(stored[1]) == 1 for stored in (await gears.stored()).values())


async def test_steady_sites_are_written_at_most_so_often_and_before_their_evidence_is_stale(village: Village) -> None:
    gears = Gears(village)
    gears.judging.refresh_s = 60
    await gears.well(0, 180)
    await gears.judging.write_moved()
    assert not len(gears.judging.table.moved_rows())
    await gears.well(180, 240)
    await gears.judging.write_moved()
    assert len(gears.judging.table.moved_rows()) == 4
    gears.judging._written_at -= 0.25 * 60
    await gears.judging.write_moved()
    assert not len(gears.judging.table.moved_rows())


async def test_only_sites_that_were_lost_lately_have_their_incidents_looked_at_again(village: Village) -> None:
    gears, site_id = Gears(village), village.ids[3]
    assert RECENTLY == LOOK_BACK

    def lost_lately() -> set[int]:
        carry = gears.judging.table.carry_of(gears.judging.table.rows_of(np.array(village.ids)))
        return set(carry["site_id"][lost_lately_mask(carry)].tolist())

    await gears.well(0, 300)
    assert lost_lately() == set(), "since its first answer no site was lost"
    await gears.write([village.reading(site_id, second, TIMEOUT) for second in (300, 310)])
    await gears.well(360, 840)
    assert lost_lately() == {site_id}
    again = Gears(village)
    await again.judging.write_moved(at_once=True)
    async with again.judging.transaction():
        gears = again
        assert lost_lately() == {site_id}
    await gears.well(840, 1081)
    assert lost_lately() == set()
