"""Packing on connections that really commit: beside writers, across a backup, and after an upgrade."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Connection, text

from app.core.clock import to_slot, utc_now
from app.measurements import packing, partitions, reader, store
from app.postgres import schema
from app.postgres.backup import backup, restore
from app.postgres.engine import Sessions, open_engine, open_sessions, transaction
from probes.contract import Outcome, Reading
from tests.conftest import drop_database, make_database

NOW = utc_now()
HOUR = timedelta(hours=1)
START = partitions.day_of(NOW).start - timedelta(days=2)
BEFORE_PACKS = "20261128_terms_recorded_by"
READINGS = [
    Reading(site, to_slot(START) + 300 * n, Outcome.OK, 3, (20_000 + n, 21_000), 60)
    for site in (1, 2)
    for n in range(12 * 25)
]


@pytest.fixture
async def url(server_url: str, migrated_template: str) -> AsyncIterator[str]:
    url = await make_database(server_url, migrated_template)
    yield url
    await drop_database(url, server_url)


@pytest.fixture
async def apart(url: str) -> AsyncIterator[Sessions]:
    engine = open_engine(url, name="test")
    sessions = open_sessions(engine)
    async with transaction(sessions) as session:
        await partitions.create_ahead(session, NOW)
        await session.execute(text("UPDATE rollup_watermark SET upto = :at"), {"at": START})
        await session.execute(text("UPDATE rollup_watermark SET upto = :at WHERE stage = 'hours'"), {"at": NOW})
    yield sessions
    await engine.dispose()


async def pack_all(sessions: Sessions) -> None:
    more = True
    while more:
        async with transaction(sessions) as session:
            more = await packing.pack_rows(session, NOW)


async def watermarks(sessions: Sessions) -> dict[str, datetime]:
    async with transaction(sessions) as session:
        return await partitions.read_watermarks(session)


async def everything(sessions: Sessions) -> list[Reading]:
    async with transaction(sessions) as session:
        return (await reader.read_all(session, START, NOW)).readings()


async def waits(task: "asyncio.Task[None]") -> bool:
    done, _ = await asyncio.wait({task}, timeout=0.3)
    return not done


async def record(sessions: Sessions, *readings: Reading) -> None:
    async with transaction(sessions) as session:
        await store.record(session, readings)


async def test_hours_are_packed_only_when_all_writers_in_them_have_committed(apart: Sessions) -> None:
    async with apart() as slow, slow.begin():
        await store.record(slow, READINGS[:1])
        packing_all = asyncio.create_task(pack_all(apart))
        assert await waits(packing_all)
    await packing_all
    assert await everything(apart) == READINGS[:1]


async def test_writers_packers_and_late_readings_of_one_hour_lose_nothing(apart: Sessions) -> None:
    await record(apart, *READINGS[::3])
    async with transaction(apart) as session:
        await packing.pack_rows(session, NOW)  # from here on all of these are late
    late = [READINGS[1::3][n::4] for n in range(4)]
    await asyncio.gather(
        *(record(apart, *some) for some in late), *(record(apart, *some) for some in late), pack_all(apart)
    )
    await asyncio.gather(pack_all(apart), record(apart, *READINGS[2::3]))
    assert await everything(apart) == READINGS
    async with transaction(apart) as session:
        assert await session.scalar(text("SELECT sum(readings) FROM reading_pack")) == len(READINGS)


async def test_a_partition_that_is_being_read_is_dropped_later_and_nobody_waits(apart: Sessions) -> None:
    await record(apart, *READINGS)
    async with apart() as reading, reading.begin():
        await reader.read_all(reading, START, NOW)
        await pack_all(apart)
        assert await reading.scalar(text("SELECT count(*) FROM measurement")) == len(READINGS)
    await pack_all(apart)
    async with transaction(apart) as session:
        assert (
            await session.scalar(text("SELECT count(*) FROM measurement WHERE slot < :at"), {"at": START + 24 * HOUR})
            == 0
        )
    assert await everything(apart) == READINGS


async def test_a_backup_carries_packs(apart: Sessions, url: str, server_url: str, tmp_path: Path) -> None:
    await record(apart, *READINGS)
    await pack_all(apart)
    backup(url, tmp_path / "dump")
    other = await make_database(server_url)
    try:
        restore(other, tmp_path / "dump")
        engine = open_engine(other, name="test")
        assert await everything(open_sessions(engine)) == READINGS
        await engine.dispose()
    finally:
        await drop_database(other, server_url)


async def test_rows_of_before_there_were_packs_are_packed_and_none_is_lost(apart: Sessions, url: str) -> None:
    engine = open_engine(url, name="migrations")

    def migrate(connection: Connection, to: str) -> None:
        config = schema.config()
        config.attributes["connection"] = connection
        (command.downgrade if to == BEFORE_PACKS else command.upgrade)(config, to)

    async with engine.begin() as connection:
        hours = await connection.scalars(
            text("SELECT c.relname FROM pg_class c WHERE c.relname ~ '^measurement_.*_..$'")
        )
        for name in hours.all():
            await connection.execute(text(f"DROP TABLE {name}"))
        await connection.run_sync(migrate, BEFORE_PACKS)
        today = partitions.day_of(NOW)
        await connection.execute(
            text(
                f"CREATE TABLE {today.name} PARTITION OF measurement "
                f"FOR VALUES FROM ('{today.start.isoformat()}') TO ('{today.end.isoformat()}')"
            )
        )
        await connection.execute(
            text(
                "INSERT INTO measurement (site_id, slot, source, outcome, sent, valid_s, rtt_us) "
                "SELECT key, to_timestamp(slot), 'central', 'ok', 3, 60, ARRAY[rtt, 21000] "
                "FROM unnest(cast(:keys AS int[]), cast(:slots AS bigint[]), cast(:rtts AS int[])) AS n(key, slot, rtt)"
            ),
            {
                "keys": [reading.key for reading in READINGS],
                "slots": [reading.slot for reading in READINGS],
                "rtts": [reading.rtt_us[0] for reading in READINGS],
            },
        )
        await connection.run_sync(migrate, "head")
    await engine.dispose()
    async with transaction(apart) as session:
        await partitions.create_ahead(session, NOW)
        oldest = (await partitions.list_partitions(session))[0]
        assert (await partitions.read_watermarks(session))["packed"] == oldest.start <= START
    await record(apart, READINGS[0], Reading(1, to_slot(NOW) + 60, Outcome.OK, 3, (1,), 60))
    await pack_all(apart)
    assert await everything(apart) == READINGS
    async with transaction(apart) as session:
        assert await session.scalar(text("SELECT count(*) FROM measurement WHERE slot < :at"), {"at": today.start}) == 0


async def test_hours_opened_again_while_they_are_being_packed_are_not_taken_for_packed(apart: Sessions) -> None:
    async def open_again() -> None:
        async with transaction(apart) as session:
            await partitions.reopen(session, START + HOUR)

    async with transaction(apart) as session:
        await store.record(session, READINGS)
    while (await watermarks(apart))["packing"] == START:
        async with transaction(apart) as session:
            await packing.pack_rows(session, NOW)
    async with transaction(apart) as session:
        for _ in range(2):
            await packing.pack_rows(session, NOW)
        opening = asyncio.create_task(open_again())
        await asyncio.sleep(0.2)
        assert not opening.done()
    await opening
    assert await watermarks(apart) == {"packing": START + HOUR, "packed": START + HOUR}
    await pack_all(apart)
    assert await everything(apart) == READINGS
