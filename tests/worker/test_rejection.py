"""One entry that cannot be written keeps no other from being written, and is not taken for an unavailable database."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.testing import capture_logs

from app.core.clock import from_slot, utc_now
from app.judging import ingest, propagation
from app.judging.blind_ranges import BlindRange
from app.judging.dirty_range import DirtyRange
from app.measurements import partitions
from app.postgres.leader_lock import NoLongerLeader
from app.worker import writer
from app.worker.process import Worker
from app.worker.rejection import MOST_WRITES, write_in_parts
from probes.contract import Outcome, Reading
from tests.conftest import Cast
from tests.factories import register
from tests.worker.conftest import WallClock, put


class Table:
    """Takes what is written, unless one of the entries at once is poison."""

    def __init__(self, *poison: int) -> None:
        self.poison, self.writes = poison, 0
        self.written: list[int] = []
        self.rejected: list[int] = []

    async def write(self, part: Sequence[int]) -> None:
        self.writes += 1
        if any(entry in self.poison for entry in part):
            raise TypeError
        self.written += part

    async def reject(self, part: Sequence[int], error: Exception) -> None:
        self.rejected += part


def in_one_part(entries: Sequence[int]) -> list[Sequence[int]]:
    return [entries]


async def test_poison_is_rejected_and_the_rest_is_written_in_order() -> None:
    table, parts = Table(0, 700, 701, 999), in_one_part(range(1000))
    await write_in_parts(parts, table.write, table.reject)
    assert table.rejected == [0, 700, 701, 999]
    assert table.written == [entry for entry in range(1000) if entry not in table.poison]
    assert parts == []


async def test_where_everything_is_poison_a_call_ends_and_leaves_the_rest() -> None:
    table, parts = Table(*range(5000)), in_one_part(range(5000))
    await write_in_parts(parts, table.write, table.reject)
    assert table.writes == MOST_WRITES
    left = [entry for part in parts for entry in part]
    assert table.rejected + left == list(range(5000))


async def test_the_failure_of_an_empty_part_is_raised() -> None:
    async def fail(part: Sequence[int]) -> None:
        raise TypeError

    with pytest.raises(TypeError):
        await write_in_parts(in_one_part([]), fail, Table().reject)


@pytest.mark.parametrize("error", [OperationalError("", None, Exception()), ConnectionError(), NoLongerLeader()])
async def test_an_unavailable_database_rejects_nothing(error: Exception) -> None:
    async def fail(part: Sequence[int]) -> None:
        raise error

    table, parts = Table(), in_one_part([1, 2])
    with pytest.raises(type(error)):
        await write_in_parts(parts, fail, table.reject)
    assert (parts, table.rejected) == ([[1, 2]], [])


async def registered(worker: Worker, cast: Cast, number_of: int) -> list[dict[str, Any]]:
    sites = [await register(cast, host=f"127.7.7.{number}") for number in range(1, number_of + 1)]
    await worker.start()
    return sites


def put_readings(worker: Worker, site_ids: Sequence[int], *seconds: int) -> None:
    now = worker.context.slot
    readings = [Reading(i, now + second, Outcome.OK, 3, (900,), 60) for second in seconds for i in site_ids]
    plans = worker.context.schedule.plans
    put(worker, [(one, plans[one.key].addressed_at) for one in readings])


async def count_readings(session: AsyncSession) -> dict[int, int]:
    async with session.begin():
        rows = await session.execute(text("SELECT site_id, count(*) AS readings FROM measurement GROUP BY site_id"))
        return {row.site_id: row.readings for row in rows}


async def test_a_judge_that_raises_on_one_site_keeps_no_other_sites_readings_back(
    worker: Worker, cast: Cast, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, *good = [site["id"] for site in await registered(worker, cast, 6)]
    real = ingest.ingest_readings

    async def judge(session: AsyncSession, readings: Any, *rest: Any, **options: Any) -> Any:
        result = await real(session, readings, *rest, **options)
        if any(reading.key == bad for reading, _ in readings):
            raise TypeError("unsupported operand")
        return result

    monkeypatch.setattr(ingest, "ingest_readings", judge)
    put_readings(worker, [good[0], bad, *good[1:]], -50, -40, -30)
    with capture_logs() as logs:
        assert await worker.writer.write()
    assert await count_readings(session) == dict.fromkeys(good, 3)
    assert worker.context.buffer.is_empty
    assert worker.context.current_counters().dropped_readings == 3
    rejected = [log for log in logs if log["event"] == "reading_rejected"]
    assert [(log["site"], log["slot"] - worker.context.slot <= -30) for log in rejected] == [(bad, True)] * 3
    assert all(isinstance(log["exc_info"], TypeError) for log in rejected), "with its traceback"
    assert not worker.writer.is_failing


async def test_what_keeps_the_beat_alone_from_being_written_is_no_readings_fault(
    worker: Worker, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [site["id"] for site in await registered(worker, cast, 2)]
    real = writer.write_beat

    async def fail(*_: Any, **__: Any) -> None:
        raise TypeError("not serializable")

    monkeypatch.setattr(writer, "write_beat", fail)
    put_readings(worker, ids, -50)
    with capture_logs() as logs:
        assert not await worker.writer.write()
        assert not await worker.writer.write()
    (failed,) = [log for log in logs if log["log_level"] == "error"]
    assert (failed["event"], type(failed["exc_info"])) == ("write_failed", TypeError), "logged once"
    assert (len(worker.context.buffer), worker.context.buffer.dropped) == (2, 0)
    monkeypatch.setattr(writer, "write_beat", real)
    assert await worker.writer.write()
    assert worker.context.buffer.is_empty


async def test_a_blind_range_that_cannot_be_judged_is_rejected_alone(
    worker: Worker, cast: Cast, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site,) = await registered(worker, cast, 1)
    real, now = ingest.ingest_readings, worker.context.slot
    bad = BlindRange(from_slot(now - 20), from_slot(now - 10), "uplink")

    async def judge(session: AsyncSession, readings: Any, blind: Any, **options: Any) -> Any:
        if bad in blind:
            raise KeyError("site")
        return await real(session, readings, blind, **options)

    monkeypatch.setattr(ingest, "ingest_readings", judge)
    worker.context.buffer.put_blind(bad, BlindRange(from_slot(now - 30), from_slot(now - 25), "uplink"))
    put_readings(worker, [site["id"]], -50, -5)
    with capture_logs() as logs:
        assert await worker.writer.write()
    assert await count_readings(session) == {site["id"]: 2}
    async with session.begin():
        assert await session.scalar(text("SELECT count(*) FROM blind")) == 1
    (rejected,) = [log for log in logs if log["event"] == "blind_range_rejected"]
    assert isinstance(rejected["exc_info"], KeyError)
    assert worker.context.counters.dropped_blind_ranges == 1


async def test_a_clock_correction_that_raises_keeps_no_reading_back(
    worker: Worker, wall_clock: WallClock, cast: Cast, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site,) = await registered(worker, cast, 1)

    async def fail(*_: Any, **__: Any) -> None:
        raise TypeError

    monkeypatch.setattr(propagation, "rejudge_after_clock_set_back", fail)
    wall_clock.ahead_s = -5
    assert worker.clock_watch.check()
    put_readings(worker, [site["id"]], -50)
    with capture_logs() as logs:
        assert await worker.writer.write()
    assert await count_readings(session) == {site["id"]: 1}
    assert [log["event"] for log in logs if "exc_info" in log] == ["clock_correction_rejected"]
    assert worker.clock_watch.uncorrected is None


async def test_a_clock_correction_that_raises_leaves_the_partitions_of_the_new_present(
    worker: Worker, wall_clock: WallClock, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise TypeError

    monkeypatch.setattr(propagation, "rejudge_after_clock_set_back", fail)
    monkeypatch.setattr(writer, "utc_now", lambda: utc_now() - timedelta(days=400))
    wall_clock.ahead_s = -400 * 86_400
    assert worker.clock_watch.check()
    await worker.writer.write()
    name = partitions.hour_of(utc_now() - timedelta(days=400)).name
    async with session.begin():
        assert await session.scalar(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": name})


async def test_the_last_flush_ends_although_a_sweep_is_slower_than_it(
    worker: Worker, cast: Cast, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site,) = await registered(worker, cast, 1)
    real, late = writer.write_batch, [True]

    async def write(session: AsyncSession, *args: Any, **options: Any) -> Any:
        if late and late.pop():  # a sweep ends during the last write: its timeout waits for a canary
            reading = Reading(site["id"], worker.context.slot, Outcome.TIMEOUT, 5, (), 60)
            put(worker, [(reading, None)])
        return await real(session, *args, **options)

    monkeypatch.setattr(writer, "write_batch", write)
    put_readings(worker, [site["id"]], -50)
    async with asyncio.timeout(10):
        await worker.probe_loop.flush()
    assert worker.context.buffer.is_empty
    assert await count_readings(session) == {site["id"]: 2}


async def test_a_step_of_the_clock_while_the_one_before_is_corrected_is_corrected_as_well(
    worker: Worker, wall_clock: WallClock
) -> None:
    wall_clock.ahead_s = -5
    assert worker.clock_watch.check()
    first = worker.clock_watch.uncorrected
    assert first is not None
    wall_clock.ahead_s = 5
    assert worker.clock_watch.check()
    worker.clock_watch.mark_corrected(first)
    second = worker.clock_watch.uncorrected
    assert second is not None
    assert (second.set_back_to, second.generation) == (first.set_back_to, 2)
    worker.clock_watch.mark_corrected(second)
    assert worker.clock_watch.uncorrected is None


async def test_a_worker_that_leads_no_longer_drops_nothing_and_logs_no_error(
    worker: Worker, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site,) = await registered(worker, cast, 1)

    async def fail(*_: Any, **__: Any) -> None:
        raise NoLongerLeader

    monkeypatch.setattr(writer, "write_batch", fail)
    put_readings(worker, [site["id"]], -50)
    with capture_logs() as logs:
        assert not await worker.writer.write()
    assert (len(worker.context.buffer), worker.context.buffer.dropped, logs) == (1, 0, [])


async def test_a_site_that_cannot_be_judged_again_keeps_no_other_from_following_the_registry(
    worker: Worker, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites = await registered(worker, cast, 3)
    put_readings(worker, [site["id"] for site in sites], 2)
    assert await worker.writer.write()
    bad, judged, real = sites[1]["id"], list[int](), propagation.rejudge_reconfigured

    async def rejudge(session: AsyncSession, ranges: Sequence[DirtyRange]) -> Any:
        if any(dirty.site_id == bad for dirty in ranges):
            raise TypeError
        judged.extend(dirty.site_id for dirty in ranges)
        return await real(session, ranges)

    monkeypatch.setattr(propagation, "rejudge_reconfigured", rejudge)
    for site in sites:
        answer = await cast.sari.patch(f"/sites/{site['id']}", {"technology": "geo"})
        assert answer.status_code == 200, answer.text
    with capture_logs() as logs:
        await worker.registry_refresh.refresh()
    assert sorted(judged) == [site["id"] for site in sites if site["id"] != bad]
    (rejected,) = [log for log in logs if log["event"] == "reconfiguration_rejected"]
    assert (rejected["site"], type(rejected["exc_info"])) == (bad, TypeError)
    version = worker.registry_refresh.version
    await worker.registry_refresh.refresh()
    assert worker.registry_refresh.version == version
