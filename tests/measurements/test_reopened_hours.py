"""A clock that was ahead is set back while hours are being packed: hours are opened again, and nothing is dropped."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from app.core.clock import to_slot, utc_now
from app.measurements import packing, partitions, reader, store
from app.postgres.engine import Sessions, transaction
from probes.contract import Outcome, Reading
from tests.support.packed_hours import pack_until

NOW = utc_now()
HOUR = timedelta(hours=1)
START = partitions.day_of(NOW).start - timedelta(days=2)
READINGS = [Reading(site, to_slot(START) + 600 * n, Outcome.OK, 1, (n,), 60) for site in (1, 2) for n in range(6 * 30)]


async def step(sessions: Sessions) -> bool:
    async with transaction(sessions) as session:
        return await packing.pack_rows(session, NOW)


async def everything(sessions: Sessions) -> list[Reading]:
    async with transaction(sessions) as session:
        return (await reader.read_all(session, START, NOW)).readings()


@pytest.fixture
async def recorded(sessions: Sessions) -> Sessions:
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE rollup_watermark SET upto = :at"), {"at": START})
        await session.execute(
            text("UPDATE rollup_watermark SET upto = :at WHERE stage = 'hours'"), {"at": START + 30 * HOUR}
        )
        await store.record(session, READINGS)
    return sessions


@pytest.mark.parametrize("steps", [2, 4, 20])
async def test_hours_that_wait_to_be_packed_still_wait_when_later_ones_are_opened_again(
    recorded: Sessions, steps: int
) -> None:
    for _ in range(steps):
        await step(recorded)
    async with transaction(recorded) as session:
        before = await partitions.read_watermarks(session)
        await partitions.reopen(session, START + 27 * HOUR)
    assert before["packed"] < START + 26 * HOUR
    assert before["packing"] == START + 30 * HOUR
    await pack_until(recorded, START + 30 * HOUR)
    assert await everything(recorded) == READINGS
