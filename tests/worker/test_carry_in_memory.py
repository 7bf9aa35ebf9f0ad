"""What is in memory is written once a transaction, and known anew where it parts from the database."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, from_slot, to_slot, utc_now
from app.judging.addressed_block import AddressedBlock
from app.judging.blind_ranges import BlindRange
from app.judging.carry_store import CarryOutdated
from app.measurements.recording import record_block
from app.postgres.engine import Sessions, transaction
from app.probing.write_buffer import BufferBatch
from app.push import inbox
from app.push.inbox import Delivery
from app.worker.judging_session import JudgingSessions
from app.worker.process import Worker
from app.worker.writer import write_round
from probes.contract import Outcome, Reading
from probes.reading_block import ReadingBlock
from tests.conftest import Cast
from tests.factories import register
from tests.support.pushing_sites import open_consumer
from tests.support.rejudged_village import Village, assert_same, backdate
from tests.worker.conftest import put

OK, TIMEOUT = Outcome.OK, Outcome.TIMEOUT


async def test_blindness_and_a_lost_site_behind_a_tower_are_written_together(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    """All sites are written for the blind range, the tower again for the loss behind it."""
    tower = (await register(cast, host="127.9.9.1", kind="node"))["id"]
    child = (await register(cast, host="127.9.9.2", parent_id=tower))["id"]
    start = floor_second(utc_now()) - timedelta(hours=1)
    await backdate(session, start)
    village, judging = Village(sessions, [tower, child], start, Random(0)), JudgingSessions(sessions)

    async def write(readings: Sequence[Reading], blind: Sequence[BlindRange] = ()) -> None:
        async with judging.transaction() as (writing, changes):
            block = AddressedBlock.of((reading, start) for reading in readings)
            await write_round(writing, changes, BufferBatch(blind, block))

    readings = [village.reading(site, second, OK) for second in range(0, 600, 60) for site in village.ids]
    for n in range(0, len(readings), 2):
        await write(readings[n : n + 2])
    assert len(judging.table.moved_rows()) == 2
    last = [village.reading(child, 600, TIMEOUT), village.reading(tower, 600, OK)]
    at = from_slot(last[0].slot)
    await write(last, [BlindRange(at - timedelta(seconds=40), at - timedelta(seconds=20), "uplink")])
    assert judging.is_loaded
    assert_same(await village.stored(), await village.expected([*readings, *last]))


async def test_a_commit_that_took_effect_once_its_connection_was_given_up_is_judged(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    site = (await register(cast, host="127.9.9.1"))["id"]
    start = floor_second(utc_now()) - timedelta(hours=1)
    await backdate(session, start)
    village, judging = Village(sessions, [site], start, Random(0)), JudgingSessions(sessions)

    async def write(reading: Reading) -> None:
        async with judging.transaction() as (writing, changes):
            await write_round(writing, changes, BufferBatch([], AddressedBlock.of([(reading, start)])))

    readings = [village.reading(site, second, OK) for second in range(0, 360, 60)]
    for reading in readings[:-1]:
        await write(reading)
    async with transaction(sessions) as late:
        await record_block(late, ReadingBlock.of(readings[-1:]))
    with pytest.raises(CarryOutdated):
        await write(readings[-1])
    await write(readings[-1])
    assert_same(await village.stored(), await village.expected(readings))


async def test_no_push_is_set_aside_because_another_one_has_written_what_is_in_memory(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    """As when a backup is restored under a worker: it knows its sites anew, and the push is judged."""
    site = (await register(cast, host="127.9.9.1"))["id"]
    start = floor_second(utc_now()) - timedelta(hours=1)
    await backdate(session, start)
    consumer, village = open_consumer(sessions, start), Village(sessions, [site], start, Random(0))
    for second in range(0, 180, 60):
        async with consumer.judging.transaction() as (writing, changes):
            block = AddressedBlock.of([(village.reading(site, second, OK), start)])
            await write_round(writing, changes, BufferBatch([], block))
    async with session.begin():
        await session.execute(text("UPDATE site_status SET version = version + 1"))
        pushed = Reading(site, to_slot(start) + 190, OK, 0, (), 60)
        await inbox.enqueue(session, [Delivery.of_site(site, utc_now(), [pushed])])
    for _ in range(2):
        await consumer.consume()
    async with session.begin():
        assert await session.scalar(text("SELECT count(*) FROM push_inbox")) == 0
        seen_at = await session.scalar(text("SELECT seen_at FROM site_status"))
    assert to_slot(seen_at) == pushed.slot


async def test_readings_without_news_wait_no_longer_than_steady_sites_are_written(
    worker: Worker, cast: Cast, session: AsyncSession
) -> None:
    """Of a short interval evidence would else be stale before the next is written."""
    site = (await register(cast, host="127.7.7.7"))["id"]
    start = floor_second(utc_now()) - timedelta(minutes=5)
    await backdate(session, start)
    await worker.start()
    context = worker.context
    for second in (0, 5):
        put(worker, [(Reading(site, to_slot(start) + second, OK, 3, (20_000,) * 3, 5), start)])
        await worker.writer.write()
    assert context.judging.every_s == 0.25 * 5
    put(worker, [(Reading(site, to_slot(start) + 10, OK, 3, (20_000,) * 3, 5), start)])
    await worker.writer.write_due()
    assert len(context.buffer) == 1
    worker.writer.last_write -= 2
    await worker.writer.write_due()
    assert len(context.buffer) == 0
