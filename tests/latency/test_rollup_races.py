"""Readings recorded while a rollup runs are never lost; on several connections that really commit."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import WITA, midnight, to_slot, utc_now
from app.latency.rollup import roll_up
from app.measurements import partitions
from app.measurements import store as measurements
from app.postgres.engine import Sessions, open_engine, open_sessions, transaction
from probes.contract import CENTRAL, Outcome, Reading
from tests.conftest import drop_database, make_database

HOUR = timedelta(hours=1)
SITE = 1
START = midnight(utc_now().astimezone(WITA).date()) - 24 * HOUR
CLOSING = START + HOUR + timedelta(seconds=30)


@pytest.fixture
async def apart(server_url: str, migrated_template: str) -> AsyncIterator[Sessions]:
    url = await make_database(server_url, migrated_template)
    engine = open_engine(url, name="test")
    sessions = open_sessions(engine)
    async with transaction(sessions) as session:
        await partitions.create_ahead(session, utc_now())
        for statement in (
            "INSERT INTO provider (slug, name) VALUES ('p', 'p')",
            "INSERT INTO site (code, kind, village_code, name, host_static, technology, provider_id, link_role, probe, "
            "lifecycle, addressed_at, version, created_at, updated_at) SELECT code, 'access_point', code, 'a', true, "
            "'fiber', 1, 'primary', 'push', 'active', :start, 1, :start, :start FROM region "
            "WHERE code = '64.02.05.2003'",
            "UPDATE rollup_watermark SET upto = :start",
        ):
            await session.execute(text(statement), {"start": START} if ":start" in statement else {})
    yield sessions
    await engine.dispose()
    await drop_database(url, server_url)


def reading(second: int) -> Reading:
    return Reading(SITE, to_slot(START) + second, Outcome.OK, 1, (20_000,), 60, None, CENTRAL)


async def step(sessions: Sessions) -> bool:
    async with transaction(sessions) as session:
        return await roll_up(session, CLOSING)


async def waits(task: "asyncio.Task[Any]") -> bool:
    done, _ = await asyncio.wait({task}, timeout=0.3)
    return not done


async def received(session: AsyncSession) -> int | None:
    packets: int | None = await session.scalar(text("SELECT received FROM rollup_hour"))
    return packets


async def test_an_hour_is_closed_only_when_all_writers_in_it_have_committed(apart: Sessions) -> None:
    async with apart() as slow, slow.begin():
        await measurements.record(slow, [reading(10)])
        closing = asyncio.create_task(step(apart))
        assert await waits(closing)
    await closing
    while await step(apart):
        pass
    async with apart() as session:
        assert await received(session) == 1
        assert await session.scalar(text("SELECT count(*) FROM stale_hour")) == 0


async def test_a_writer_waits_only_while_the_hour_is_closed_and_marks_it_stale(apart: Sessions) -> None:
    async with apart() as closer, closer.begin():
        assert await roll_up(closer, CLOSING)

        async def record() -> None:
            async with transaction(apart) as session:
                await measurements.record(session, [reading(20)])

        recording = asyncio.create_task(record())
        assert await waits(recording)
    await recording
    async with apart() as session:
        assert await session.scalar(text("SELECT count(*) FROM stale_hour")) == 1


async def test_readings_recorded_while_their_hour_is_counted_again_are_counted_next_time(apart: Sessions) -> None:
    while await step(apart):
        pass
    async with transaction(apart) as session:
        await measurements.record(session, [reading(30)])

    async def record() -> None:
        async with transaction(apart) as session:
            await measurements.record(session, [reading(40)])

    async with apart() as counter, counter.begin():
        assert await roll_up(counter, CLOSING)
        recording = asyncio.create_task(record())
        assert await waits(recording)
    await recording
    async with apart() as session:
        assert await received(session) == 1
    while await step(apart):
        pass
    async with apart() as session:
        assert await received(session) == 2


async def test_a_writer_does_not_wait_for_the_rollup(apart: Sessions) -> None:
    assert await step(apart)
    async with apart() as counter, counter.begin():
        assert await roll_up(counter, CLOSING)
        async with transaction(apart) as session:
            await measurements.record(session, [reading(50), reading(5000)])
