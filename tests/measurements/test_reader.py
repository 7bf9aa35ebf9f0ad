"""Stored readings come back as columns, each as it was recorded."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Row, text

from app.core.clock import from_slot, to_slot, utc_now
from app.measurements import pack_store, partitions, reader, store
from app.postgres.engine import Sessions, transaction
from probes.contract import AGENT, CENTRAL, SILENCE, Outcome, Reading
from probes.reading_block import ReadingBlock
from tests.conftest import Cast
from tests.factories import register

START = to_slot(utc_now()) // 3600 * 3600 - 7200


async def readings_of(cast: Cast) -> list[Reading]:
    """Return readings of two sites, in the order that the reader has: every outcome, source and odd number."""
    first, second = sorted([(await register(cast))["id"], (await register(cast, host="198.51.100.9"))["id"]])
    return [
        Reading(first, START, Outcome.OK, 3, (20_000, 1, 2_147_483_647), 60),
        Reading(first, START + 1, Outcome.TIMEOUT, 5, (), 60, None, SILENCE),
        Reading(first, START + 60, Outcome.FAULT, 0, (), 30, "not sent: é", CENTRAL),
        Reading(first, START + 60, Outcome.OK, 32_767, (0,), 32_767, "late", AGENT),
        Reading(second, START, Outcome.TIMEOUT, 3, (7, 8), 10, "refused", CENTRAL),
        Reading(second, START + 3599, Outcome.OK, 40, tuple(range(40)), 60, "late", AGENT),
    ]


async def test_readings_come_back_as_they_were_recorded(sessions: Sessions, cast: Cast) -> None:
    readings = await readings_of(cast)
    start, end = from_slot(START), from_slot(START + 3600)
    first, second = readings[0].key, readings[-1].key
    async with transaction(sessions) as session:
        await store.record(session, readings[::-1])
        assert (await reader.read_all(session, start, end)).readings() == readings
        assert (await reader.read_all(session, start, end, after=first)).readings() == readings[4:]
        assert (await reader.read_all(session, start, end, upto=first)).readings() == readings[:4]
        twice = [(first, start, end), (first, start, end), (second, end - timedelta(seconds=1), end)]
        assert (await reader.read(session, twice)).readings() == [*readings[:4], readings[5]]
        lost = await reader.read_all(session, start, end, outcomes=[Outcome.TIMEOUT], sources=[CENTRAL])
        assert lost.readings() == [readings[4]]
        assert len(await reader.read_all(session, end, end + timedelta(hours=1))) == 0
        assert len(await reader.read(session, [])) == 0


async def test_a_stored_reading_that_no_column_holds_is_an_error_and_never_another_reading(
    sessions: Sessions, cast: Cast
) -> None:
    readings = await readings_of(cast)
    start, end = from_slot(START), from_slot(START + 3600)
    for damage in ("source = 'elsewhere' WHERE sent = 5", "rtt_us = '{1,NULL}' WHERE sent = 3"):
        async with transaction(sessions) as session:
            await store.record(session, readings)
            await session.execute(text(f"UPDATE measurement SET {damage}"))
            with pytest.raises(ValueError, match=r"reading|round-trip"):
                await reader.read_all(session, start, end)
            await session.execute(text("DELETE FROM measurement"))


async def test_the_pack_of_an_hour_is_read_once_however_many_ranges_touch_it(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = from_slot(START) - timedelta(hours=24)
    readings = [
        Reading(site, to_slot(hours) + 600 * n, Outcome.OK, 1, (n,), 60, None, AGENT)
        for site in (1, 2)
        for n in range(20)
    ]
    read, unpacked = list[int](), pack_store._unpacked

    def counted(rows: Sequence[Row[Any]]) -> tuple[ReadingBlock, list[Row[Any]]]:
        read.append(len(rows))
        return unpacked(rows)

    monkeypatch.setattr(pack_store, "_unpacked", counted)
    async with transaction(sessions) as session:
        await session.execute(text("UPDATE rollup_watermark SET upto = now()"))
        await partitions.create_pack_days(session, [hours, from_slot(START)])
        await pack_store.merge(session, ReadingBlock.of(readings))
        read.clear()
        ranges = [(r.key, from_slot(r.slot), from_slot(r.slot + 1)) for r in readings if r.slot % 3600 != 1200]
        found = await reader.read(session, ranges)
    assert found.readings() == [reading for reading in readings if reading.slot % 3600 != 1200]
    assert read == [2 * 4]
