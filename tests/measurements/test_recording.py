"""Blocks of readings into the store, each reading once."""

from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot, to_slot, utc_now
from app.measurements import reader
from app.measurements.recording import record_block
from probes.contract import Outcome, Reading
from probes.reading_block import ReadingBlock

SITE = 77
NOW = to_slot(utc_now())
READINGS = [
    Reading(SITE, NOW, Outcome.OK, 3, (20_000, 21_000, 19_000), 60),
    Reading(SITE, NOW + 60, Outcome.OK, 5, (1,), 60),
    Reading(SITE, NOW + 70, Outcome.TIMEOUT, 3, (), 60),
    Reading(SITE + 1, NOW, Outcome.FAULT, 0, (), 60, "not sent"),
]


@pytest.mark.parametrize("readings", [[], READINGS, READINGS[2:]], ids=["none", "all", "without answers"])
async def test_a_block_is_read_back_as_it_was_recorded(session: AsyncSession, readings: list[Reading]) -> None:
    assert (await record_block(session, ReadingBlock.of(readings))).tolist() == [True] * len(readings)
    ranges = [(site, from_slot(NOW), from_slot(NOW + 100)) for site in (SITE, SITE + 1)]
    assert (await reader.read(session, ranges)).readings() == readings


async def test_what_is_recorded_already_or_twice_in_a_block_is_new_once(session: AsyncSession) -> None:
    await record_block(session, ReadingBlock.of(READINGS[1:2]))
    block = ReadingBlock.of([*READINGS, replace(READINGS[0], sent=9)])
    assert (await record_block(session, block)).tolist() == [True, False, True, True, False]
    assert not (await record_block(session, block)).any()


async def test_a_reading_of_a_closed_hour_makes_it_stale(session: AsyncSession) -> None:
    await session.execute(
        text("UPDATE rollup_watermark SET upto = :upto WHERE stage = 'closed'"), {"upto": from_slot(NOW + 60)}
    )
    await record_block(session, ReadingBlock.of(READINGS))
    hours = (await session.execute(text("SELECT site_id, hour FROM stale_hour ORDER BY site_id, hour"))).all()
    hour = from_slot(NOW - NOW % 3600)
    assert [tuple(row) for row in hours] == [(SITE, hour), (SITE + 1, hour)]
