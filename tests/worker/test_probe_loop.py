"""The worker's jobs on a real database, over real ICMP to addresses that nobody answers."""

import asyncio
import inspect
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import InterfaceError
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.testing import capture_logs

from app.agents import agent_tokens
from app.availability import daily_rollup
from app.core.clock import from_slot, utc_now
from app.judging import propagation
from app.judging.blind_ranges import BlindRange
from app.judging.dirty_range import DirtyRange
from app.latency import rollup
from app.measurements import reader
from app.postgres.engine import transaction
from app.worker import rollup_job, writer
from app.worker.context import WorkerContext
from app.worker.dead_mans_switch import DeadMansSwitch
from app.worker.process import Worker
from probes.contract import Outcome, Reading
from tests.conftest import Cast
from tests.factories import register
from tests.support.rejudged_village import backdate
from tests.worker.conftest import WallClock, put


async def states(session: AsyncSession) -> list[tuple[str, str | None]]:
    async with session.begin():
        rows = await session.execute(text("SELECT state, unknown_reason FROM site_status ORDER BY site_id"))
        return [(row.state, row.unknown_reason) for row in rows]


async def test_a_site_registered_while_the_worker_runs_is_probed_at_once(worker: Worker, cast: Cast) -> None:
    await worker.start()
    made = await register(cast, host="127.7.7.7")
    await worker.registry_refresh.refresh()
    now = worker.context.slot
    assert worker.context.schedule.take(now + 1).targets.key.tolist() == [made["id"]]
    await cast.sari.delete(f"/sites/{made['id']}")
    await worker.registry_refresh.refresh()
    assert worker.context.schedule.plans == {}


@pytest.mark.parametrize("then", ["the registry is read", "it dies", "it dies once its carry is written"])
async def test_what_was_read_of_a_former_address_and_recorded_before_the_refresh_is_our_fault(
    worker: Worker, cast: Cast, session: AsyncSession, then: str
) -> None:
    """A worker that dies in between leaves it to the next one."""
    moved, same = [(await register(cast, host=f"127.7.7.{number}"))["id"] for number in (7, 8)]
    await backdate(session, utc_now() - timedelta(hours=1))
    await worker.start()
    plans, before, late = dict(worker.context.schedule.plans), worker.context.slot - 20, worker.context.slot + 3

    async def answer(slot: int) -> None:
        put(worker, [(Reading(key, slot, Outcome.OK, 3, (900,) * 3, 60), plans[key].addressed_at) for key in plans])
        assert await worker.writer.write()

    await answer(before)
    response = await cast.sari.patch(f"/sites/{moved}", {"host": "127.7.7.9"})
    assert response.status_code == 200, response.text
    await answer(late)
    assert worker.context.counters.judged_at_once == 2, "the registry was not asked"
    if then == "it dies once its carry is written":
        await worker.writer.write_moved()
    if then != "the registry is read":
        context = worker.context
        worker = Worker(WorkerContext(context.sessions, context.prober, context.settings, context.clock))
    await worker.registry_refresh.refresh()
    await worker.writer.write()
    async with session.begin():
        stored = await reader.read(session, [(key, from_slot(before), from_slot(late + 1)) for key in (moved, same)])
    outcomes = [(reading.key, reading.outcome.value, reading.reason) for reading in stored.readings()]
    assert outcomes == [(moved, "ok", None), (moved, "fault", "moved"), (same, "ok", None), (same, "ok", None)]
    assert await states(session) == [("unknown", "never_seen"), ("up", None)], "of its new address nothing is known"
    assert worker.context.schedule.plans[moved].target.host == "127.7.7.9"


async def test_timeouts_while_our_uplink_is_down_are_our_fault(
    worker: Worker, cast: Cast, session: AsyncSession
) -> None:
    made = await register(cast, host="127.7.7.7")
    await worker.start()
    plan = worker.context.schedule.plans[made["id"]]
    first = worker.context.slot - 40
    answered = Reading(made["id"], first, Outcome.OK, 3, (900, 900, 900), 60)
    lost = [Reading(made["id"], first + second, Outcome.TIMEOUT, 3, (), 60) for second in (10, 20)]
    worker.context.canaries.seen_until = float(first)
    items = [(reading, plan.addressed_at) for reading in (answered, *lost)]
    put(worker, items)
    await worker.canary_watch.probe_canaries()
    await worker.writer.write()
    assert await states(session) == [("up", None)]
    assert len(worker.context.buffer) == 2
    await worker.stop()
    assert await states(session) == [("up", None)]
    async with session.begin():
        assert await session.scalar(text("SELECT count(*) FROM blind WHERE reason = 'uplink'")) == 1


async def test_canaries_that_are_silent_at_an_orderly_end_are_recorded_and_not_reported(
    worker: Worker, session: AsyncSession
) -> None:
    await worker.start()
    worker.context.canaries.seen_until = float(worker.context.slot)
    with capture_logs() as logs:
        await worker.stop()
    assert logs == []
    async with session.begin():
        assert list(await session.scalars(text("SELECT reason FROM blind"))) == ["uplink"]


async def test_no_push_is_missed_before_a_canary_answers_this_worker(worker: Worker) -> None:
    await worker.start()
    due, turn = utc_now(), timedelta(seconds=60)
    for site_id in (1, 2):
        worker.context.peers.record(site_id, due - timedelta(seconds=5))
    assert worker.context.peers.find(due, turn, exclude=3) == ()
    worker.context.canaries.seen_until = due.timestamp() + 60
    await worker.canary_watch.probe_canaries()
    assert worker.context.peers.find(due, turn, exclude=3) == (1, 2)


async def test_readings_taken_while_the_database_is_unavailable_are_written_once_it_is_back(
    worker: Worker, cast: Cast, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await register(cast, host="127.7.7.7")
    await worker.start()
    plan, now = worker.context.schedule.plans[made["id"]], worker.context.slot
    real = writer.write_batch

    async def away(*_: object, **__: object) -> None:
        raise InterfaceError("connection is closed", None, Exception())

    for second in range(3):
        monkeypatch.setattr(writer, "write_batch", away)
        reading = Reading(made["id"], now - 30 + second, Outcome.OK, 3, (900,), 60)
        put(worker, [(reading, plan.addressed_at)])
        await worker.writer.write()
    assert worker.context.current_counters().buffered_readings == 3
    assert worker.context.counters.failed_writes == 3
    monkeypatch.setattr(writer, "write_batch", real)
    await worker.writer.write()
    assert worker.context.current_counters().buffered_readings == 0
    async with session.begin():
        assert (
            await session.scalar(text("SELECT count(*) FROM measurement WHERE site_id = :id"), {"id": made["id"]}) == 3
        )


async def test_readings_without_news_wait_to_be_batched_and_a_change_is_written_at_once(
    worker: Worker, cast: Cast
) -> None:
    known, fresh = [(await register(cast, host=f"127.7.7.{n}"))["id"] for n in (7, 8)]
    await worker.start()
    now = worker.context.slot
    worker.context.canaries.seen_until = now + 60.0

    async def writes_after(key: int, outcome: Outcome, second: int) -> int:
        rtts = (900,) if outcome is Outcome.OK else ()
        reading = Reading(key, now - 60 + second, outcome, 3, rtts, 60)
        put(worker, [(reading, worker.context.schedule.plans[key].addressed_at)])
        await worker.writer.write_due()
        return worker.context.counters.writes

    assert await writes_after(known, Outcome.OK, 0) == 1  # the first answer ever
    assert await writes_after(known, Outcome.OK, 1) == 1
    assert await writes_after(known, Outcome.FAULT, 2) == 1
    assert await writes_after(fresh, Outcome.OK, 3) == 2
    assert len(worker.context.buffer) == 0
    assert await writes_after(known, Outcome.TIMEOUT, 4) == 3
    assert await writes_after(known, Outcome.TIMEOUT, 5) == 4  # the confirmation
    assert await writes_after(known, Outcome.TIMEOUT, 6) == 4
    assert await writes_after(known, Outcome.OK, 7) == 5


async def test_one_reading_that_the_database_refuses_does_not_keep_the_others_back(
    worker: Worker, cast: Cast, session: AsyncSession
) -> None:
    made = await register(cast, host="127.7.7.7")
    await worker.start()
    plan, now = worker.context.schedule.plans[made["id"]], worker.context.slot
    good = [Reading(made["id"], now - 60 + second, Outcome.OK, 3, (900,), 60) for second in range(7)]
    ancient = Reading(made["id"], 1_000_000_000, Outcome.OK, 3, (900,), 60)  # no partition is for it
    items = [(reading, plan.addressed_at) for reading in (*good[:3], ancient, *good[3:])]
    put(worker, items)
    for _ in range(12):
        await worker.writer.write()
    assert worker.context.current_counters().dropped_readings == 1
    async with session.begin():
        assert (
            await session.scalar(text("SELECT count(*) FROM measurement WHERE site_id = :id"), {"id": made["id"]}) == 7
        )


async def test_the_time_since_the_last_beat_is_a_blind_range(worker: Worker, session: AsyncSession) -> None:
    async with transaction(worker.context.sessions) as writing:
        long_ago = worker.context.started_at - timedelta(hours=1)
        await writer.write_beat(writing, now=long_ago, started_at=long_ago, blind_since=None, figures={})
    await worker.start()
    await worker.writer.write()
    async with session.begin():
        (row,) = await session.execute(text("SELECT reason, ended_at - started_at AS lasted FROM blind"))
    assert row.reason == "stopped"
    assert row.lasted >= timedelta(minutes=59)


async def test_a_step_of_the_wall_clock_is_a_blind_range(
    worker: Worker, wall_clock: WallClock, session: AsyncSession
) -> None:
    await worker.start()
    assert not worker.clock_watch.check()
    wall_clock.ahead_s = 90
    assert worker.clock_watch.check()
    assert not worker.clock_watch.check()
    await worker.writer.write()
    async with session.begin():
        (row,) = await session.execute(text("SELECT reason, ended_at - started_at AS lasted FROM blind"))
    assert (row.reason, worker.context.counters.clock_steps) == ("clock", 1)
    assert timedelta(seconds=90) <= row.lasted <= timedelta(seconds=92)


async def test_a_worker_that_stood_still_was_stopped(worker: Worker, session: AsyncSession) -> None:
    await worker.start()
    now = worker.context.clock.now()
    assert not worker.clock_watch.check_stall(now - 5)
    assert worker.clock_watch.check_stall(now - 60)
    await worker.writer.write()
    async with session.begin():
        (row,) = await session.execute(text("SELECT source, reason, ended_at - started_at AS lasted FROM blind"))
    assert (row.source, row.reason) == ("central", "stopped")
    assert timedelta(seconds=60) <= row.lasted <= timedelta(seconds=65)


async def test_sweeps_are_started_without_waiting_for_each_other(worker: Worker, cast: Cast) -> None:
    for number in range(1, 4):
        await register(cast, host=f"127.7.7.{number}", lifecycle="active")
    await worker.start()
    schedule, slot = worker.context.schedule, worker.context.slot
    for plan in list(schedule.plans.values()):
        schedule.put(plan, now=slot - 1, at_once=True)
    loop = asyncio.get_running_loop()
    started = loop.time()
    await worker.probe_loop.probe_due()
    assert loop.time() - started < 1
    await worker.stop()
    assert worker.context.counters.readings == 3


async def test_a_clock_that_was_set_back_leaves_no_state_in_the_future(
    worker: Worker, wall_clock: WallClock, cast: Cast, session: AsyncSession
) -> None:
    made = await register(cast, host="127.7.7.7")
    await worker.start()
    since, now = worker.context.schedule.plans[made["id"]].addressed_at, worker.context.slot
    early = [Reading(made["id"], now + second, Outcome.OK, 3, (900,), 60) for second in (-60, 3000, 3060)]
    put(worker, [(reading, since) for reading in early])
    await worker.writer.write()
    assert (await cast.sari.get(f"/sites/{made['id']}")).json()["state"] == "unknown", "of evidence from the future"
    wall_clock.ahead_s = 3600
    worker.context.clock.reanchor()
    wall_clock.ahead_s = 0
    assert worker.clock_watch.check()
    await worker.writer.write()
    assert await states(session) == [("up", None)], "of the reading a minute ago"
    again = Reading(made["id"], now + 1, Outcome.OK, 3, (900,), 60)
    put(worker, [(again, since)])
    await worker.writer.write()
    assert await states(session) == [("up", None)]
    async with session.begin():
        future = "SELECT count(*) FROM state_segment WHERE started_at > now() + interval '1 minute'"
        assert await session.scalar(text(future)) == 0


async def test_a_cancelled_write_puts_its_readings_back(
    worker: Worker, cast: Cast, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await register(cast, host="127.7.7.7")
    await worker.start()
    since, now = worker.context.schedule.plans[made["id"]].addressed_at, worker.context.slot
    real = writer.write_batch

    async def endless(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(writer, "write_batch", endless)
    put(worker, [(Reading(made["id"], now - 5, Outcome.OK, 3, (900,), 60), since)])
    writing = asyncio.create_task(worker.writer.write())
    await asyncio.sleep(0.1)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    assert len(worker.context.buffer) == 1
    monkeypatch.setattr(writer, "write_batch", real)
    await worker.stop()
    assert len(worker.context.buffer) == 0


async def test_the_outside_watcher_is_called_only_while_readings_are_written(worker: Worker) -> None:
    heard: list[bytes] = []

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readline())
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    watcher = await asyncio.start_server(watch, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{watcher.sockets[0].getsockname()[1]}/beat"
    switch = DeadMansSwitch(url, worker.writer)
    await switch.call()
    assert heard == [], "nothing has been written yet"
    await worker.writer.write()
    await switch.call()
    assert heard == [b"GET /beat HTTP/1.1\r\n"]
    worker.writer.last_write -= 61
    await switch.call()
    assert len(heard) == 1
    watcher.close()
    await watcher.wait_closed()
    worker.writer.last_write += 61
    await switch.call()  # a watcher that does not answer is no reason to stop


async def test_a_blind_range_that_the_database_refuses_keeps_no_reading_back(
    worker: Worker, cast: Cast, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await register(cast, host="127.7.7.7")
    await worker.start()
    since, now = worker.context.schedule.plans[made["id"]].addressed_at, worker.context.slot
    real = writer.write_batch

    async def refuses(session: AsyncSession, items: Any, blind: Any, **options: Any) -> Any:
        if blind:
            await session.execute(text("SELECT 1 / 0"))
        return await real(session, items, blind, **options)

    monkeypatch.setattr(writer, "write_batch", refuses)
    worker.context.buffer.put_blind(BlindRange(from_slot(now - 20), from_slot(now), "uplink"))
    readings = [Reading(made["id"], now - 40 + second, Outcome.OK, 3, (900,), 60) for second in range(8)]
    put(worker, [(reading, since) for reading in readings])
    for _ in range(3):
        await worker.writer.write()
    async with session.begin():
        assert await session.scalar(text("SELECT count(*) FROM measurement")) == 8
    assert (worker.context.buffer.dropped, worker.context.buffer.is_empty) == (0, True)


async def test_a_rollup_step_that_fails_keeps_no_other_step_from_running(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []

    async def roll_up(session: AsyncSession, now: datetime) -> bool:
        raise RuntimeError("took too long")

    async def count_days(session: AsyncSession, now: datetime) -> bool:
        counted.append("days")
        return len(counted) < 3

    monkeypatch.setattr(rollup, "roll_up", roll_up)
    monkeypatch.setattr(daily_rollup, "count_days", count_days)
    await rollup_job.run_rollups(worker.context.sessions)
    assert counted == ["days"] * 3


async def test_what_a_site_pushes_is_judged_and_it_is_never_probed(
    worker: Worker, cast: Cast, app: FastAPI, session: AsyncSession
) -> None:
    made = await register(cast, probe="push", host=None)
    await worker.start()
    assert worker.context.schedule.plans == {}
    async with session.begin():
        _, secret = await agent_tokens.mint(session, made["id"], by="Sari")
    beat = {"boot": "a1", "seq": 1, "sent": 3, "rtt_ms": [20.5, 21, 22]}
    answer = await cast.stranger.post("/push", beat, headers={"Authorization": f"Bearer {secret}"})
    assert answer.json()["accepted"] == 1
    await worker.inbox.consume()
    assert await states(session) == [("up", None)]
    assert worker.context.current_counters().pushed_rows == 1


async def test_diagnoses_of_a_worker_that_died_have_failed_when_the_next_one_starts(
    worker: Worker, cast: Cast, session: AsyncSession
) -> None:
    made = await register(cast, host="127.7.7.7")
    asked = (await cast.ana.post(f"/sites/{made['id']}/diagnose", {"kind": "ping"})).json()
    async with session.begin():
        await session.execute(text("UPDATE diagnosis SET status = 'running', started_at = now()"))
    await worker.start()
    left = (await cast.ana.get(f"/sites/{made['id']}/diagnoses/{asked['id']}")).json()
    assert (left["status"], left["problem"]) == ("failed", "the worker stopped before it was done")


async def test_every_job_is_a_coroutine_function_with_a_unique_name(worker: Worker) -> None:
    """APScheduler would not await anything else."""
    jobs = worker.jobs()
    assert all(inspect.iscoroutinefunction(job.run) for job in jobs)
    assert len({job.name for job in jobs}) == len(jobs) >= 16


async def test_a_new_name_has_no_past_judged_again_and_a_new_configuration_has(
    worker: Worker, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, judged, real = await register(cast), list[int](), propagation.rejudge_reconfigured

    async def rejudge(session: AsyncSession, ranges: Sequence[DirtyRange]) -> list[DirtyRange]:
        judged.extend(dirty.site_id for dirty in ranges)
        return await real(session, ranges)

    monkeypatch.setattr(propagation, "rejudge_reconfigured", rejudge)
    await worker.registry_refresh.refresh()
    addressed_at = worker.context.schedule.plans[site["id"]].addressed_at
    put(worker, [(Reading(site["id"], worker.context.slot + 2, Outcome.OK, 3, (900,), 60), addressed_at)])
    assert await worker.writer.write()
    for changes, expected in (({"name": "Balai Desa"}, []), ({"technology": "geo"}, [site["id"]])):
        assert (await cast.sari.patch(f"/sites/{site['id']}", changes)).status_code == 200
        await worker.registry_refresh.refresh()
        assert judged == expected
