"""The speed-test runner: backlog after downtime, concurrent workers, a killed worker, real downloads."""

import asyncio
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.core.errors import NotFound
from app.judging.addressed_block import AddressedBlock
from app.postgres.engine import Sessions, transaction
from app.probing.write_buffer import excuse_loaded
from app.throughput import speedtest_grants
from app.throughput.store import PullTest
from app.worker.speedtest_runner import DRAIN_S, OnBytes, SpeedtestRunner, download_by
from probes.contract import Outcome, Reading
from probes.policy import AddressPolicy
from probes.sweep import Prober
from probes.throughput import SLACK_BYTES, DownloadResult
from simulator import shaped_server
from simulator.shaped_server import Shape
from tests.support.speedtest_month import DAY, Month


@pytest.fixture
async def month(committed_sessions: Sessions) -> Month:
    async with transaction(committed_sessions) as session:
        providers = list(await session.scalars(text("SELECT id FROM provider ORDER BY id")))
    return Month(committed_sessions, providers)


async def at_once(order: PullTest, on_bytes: OnBytes) -> DownloadResult:
    return DownloadResult(mbps=20.0, bytes=order.max_bytes)


async def count(month: Month, what: str) -> int:
    async with transaction(month.sessions) as session:
        return int(await session.scalar(text(f"SELECT count(*) FROM throughput_test WHERE {what}")) or 0)


async def start_until(month: Month, runner: SpeedtestRunner, mode: str) -> datetime:
    """Let time pass until a test of this mode runs; return when that is."""
    at = month.now
    while not await count(month, f"mode = '{mode}' AND status = 'running'"):
        await runner.start_due(at)
        at += timedelta(minutes=20)
    return at


async def test_moments_that_passed_while_no_worker_ran_say_so(month: Month) -> None:
    await month.register(10, [None])
    await SpeedtestRunner(month.sessions, at_once).start_due(month.now)
    await SpeedtestRunner(month.sessions, at_once).start_due(month.now + 3 * DAY)
    rows = await month.rows()
    stopped = [row for row in rows if row.reason == "stopped"]
    assert len(stopped) > 40
    assert all(row.status == "skipped" for row in stopped)
    late = month.now + 3 * DAY
    assert all(row.waits_until >= late for row in rows if row.reason != "stopped"), "what may still begin does"


async def test_two_workers_at_once_begin_each_test_once(month: Month) -> None:
    await month.register(20, [None])
    ran: list[int] = []

    async def run(order: PullTest, on_bytes: OnBytes) -> DownloadResult:
        ran.append(order.test_id)
        await asyncio.sleep(0)
        return DownloadResult(mbps=20.0, bytes=order.max_bytes)

    workers = [SpeedtestRunner(month.sessions, run) for _ in range(3)]
    for minutes in range(0, 12 * 60, 30):
        await asyncio.gather(*(one.start_due(month.now + timedelta(minutes=minutes)) for one in workers))
        await asyncio.gather(*(task for one in workers for task in one.running.values()))
    assert len(ran) == len(set(ran)) > 5
    assert await count(month, "status = 'done'") == len(ran)


async def test_one_at_a_time_behind_a_gateway(month: Month) -> None:
    await month.register(60, [None])
    forever = asyncio.Event()

    async def run(order: PullTest, on_bytes: OnBytes) -> DownloadResult:
        await forever.wait()
        return DownloadResult()

    speed = SpeedtestRunner(month.sessions, run)
    for minutes in (0, 50, 51):
        await speed.start_due(month.now + timedelta(minutes=minutes))
        async with transaction(month.sessions) as session:
            most = await session.scalar(
                text("""
                SELECT max(n) FROM (SELECT count(*) AS n FROM throughput_test WHERE status = 'running'
                    GROUP BY provider_id UNION ALL SELECT count(*) FROM throughput_test
                    WHERE status = 'running' AND parent_id IS NOT NULL GROUP BY parent_id) _
            """)
            )
        assert (most or 0) <= 1
    assert await count(month, "reason IN ('provider_busy', 'parent_busy')") > 0
    await speed.stop()
    assert await count(month, "mode = 'pull' AND status = 'running'") == 0
    kept = await count(month, f"reason = 'stopped' AND reserved_bytes = allowed_down_bytes + {SLACK_BYTES}")
    assert kept > 0, "what it may have cost counts as spent"


async def test_a_test_that_a_dead_worker_left_is_given_up_and_counts_in_full(month: Month) -> None:
    await month.register(2, [None])
    forever = asyncio.Event()

    async def run(order: PullTest, on_bytes: OnBytes) -> DownloadResult:
        await forever.wait()
        return DownloadResult()

    dead = SpeedtestRunner(month.sessions, run)
    at = await start_until(month, dead, "pull")
    for task in dead.running.values():
        task.cancel()
    await SpeedtestRunner(month.sessions, at_once).start_due(at + timedelta(minutes=2))
    (row,) = [row for row in await month.rows() if row.reason == "stopped"]
    assert (row.status, row.reserved_bytes) == ("failed", row.allowed_down_bytes + SLACK_BYTES)
    assert (await month.spent_bytes())[row.site_id] == row.allowed_down_bytes + SLACK_BYTES


@pytest.mark.parametrize(
    ("happened", "status", "reason", "kept"),
    [
        ("", "skipped", "not_taken", "0"),
        ("down_began_at = :at", "failed", "cut_off", "allowed_down_bytes + 65536"),  # the api was killed meanwhile
        ("down_began_at = :at, up_began_at = :at", "failed", "cut_off", "reserved_bytes"),
        (
            "down_began_at = :at, down_ms = 900, down_mbps = 8, down_bytes = 900000, "
            "reserved_bytes = allowed_up_bytes + 327680",
            "invalid",
            "not_reported",
            "0",
        ),
    ],
)
async def test_a_grant_that_ends_by_its_time_keeps_reserved_what_nobody_counted(
    happened: str, status: str, reason: str, kept: str, month: Month
) -> None:
    await month.register(1, [None])
    speed = SpeedtestRunner(month.sessions, at_once)
    at = await start_until(month, speed, "push")
    async with transaction(month.sessions) as session:
        if happened:
            await session.execute(text(f"UPDATE throughput_test SET {happened} WHERE status = 'running'"), {"at": at})
        expected = await session.scalar(text(f"SELECT {kept} FROM throughput_test WHERE status = 'running'"))
    await speed.start_due(at + timedelta(minutes=20))
    (row,) = [row for row in await month.rows() if row.grant_code]
    assert (row.status, row.reason, row.reserved_bytes) == (status, reason, expected)
    assert (row.started_at is None) == (status == "skipped"), "who never began may be asked again soon"


async def test_a_test_whose_link_stays_in_use_ends_as_deferred_and_costs_nothing(month: Month) -> None:
    await month.register(1, [None])
    speed = SpeedtestRunner(month.sessions, at_once)
    at = await start_until(month, speed, "push")
    async with transaction(month.sessions) as session:
        await session.execute(
            text("UPDATE throughput_test SET expires_at = now() + interval '1 h' WHERE grant_code <> ''")
        )
        code = await session.scalar(text("SELECT grant_code FROM throughput_test WHERE status = 'running'"))
        await speedtest_grants.defer(session, code or "", rx_bps=90_000, tx_bps=1_000)
        await session.execute(text("UPDATE throughput_test SET deferred_at = :at WHERE deferrals > 0"), {"at": at})
    async with transaction(month.sessions) as session:
        with pytest.raises(NotFound):
            await speedtest_grants.defer(session, code or "", rx_bps=None, tx_bps=None)
    (row,) = [row for row in await month.rows() if row.deferrals]
    assert (row.status, row.reason, row.reserved_bytes) == ("waiting", "link_in_use", 0)
    await speed.start_due(at + timedelta(hours=2))
    (row,) = [row for row in await month.rows() if row.deferrals]
    assert (row.status, row.reason, row.grant_code) == ("skipped", "deferred", None)
    assert (row.deferred_rx_bps, row.started_at) == (90_000, None)


async def test_a_look_into_a_test_of_ours_judges_neither_loss_nor_round_trips(month: Month) -> None:
    await month.register(8, [None])
    arriving, ended = asyncio.Event(), asyncio.Event()

    async def run(order: PullTest, on_bytes: OnBytes) -> DownloadResult:
        await arriving.wait()
        on_bytes()
        await ended.wait()
        return DownloadResult(mbps=20.0, bytes=order.max_bytes)

    speed, at, before = SpeedtestRunner(month.sessions, run), month.now, time.monotonic()
    while not await count(month, "mode = 'pull' AND status = 'running' AND parent_id IS NOT NULL"):
        await speed.start_due(at)
        at += timedelta(minutes=20)
    await asyncio.sleep(0)
    assert not speed.sites_loaded_since(before), "a test that gets no answer fills no link"
    arriving.set()
    await asyncio.sleep(0.01)
    (row,) = [row for row in await month.rows() if row.status == "running" and row.parent_id]
    busy = speed.sites_loaded_since(time.monotonic())
    assert {row.site_id, row.parent_id} <= busy
    slow = Reading(row.site_id, 1, Outcome.OK, 3, (900_000, 900_000), 60)
    lost = Reading(row.parent_id, 1, Outcome.TIMEOUT, 3, (), 60)
    sound = Reading(0, 1, Outcome.TIMEOUT, 3, (), 60)
    block = AddressedBlock.of((one, at) for one in (slow, lost, sound))
    assert excuse_loaded(block, busy).readings.readings() == [
        replace(slow, sent=0, rtt_us=(), reason="speed test"),
        replace(lost, outcome=Outcome.FAULT, reason="speed test"),
        sound,
    ]
    assert row.site_id in speed.sites_loaded_since(before), "a look that began before the last byte"
    assert row.site_id not in speed.sites_loaded_since(time.monotonic() + DRAIN_S), "though the test goes on"
    ended.set()
    await asyncio.gather(*speed.running.values())


@pytest.mark.parametrize(
    ("agent", "came"),
    [
        ("routeros/1", ("skipped", "agent_cannot")),
        ("windows/1", ("skipped", "agent_cannot")),
        ("openwrt/1", ("running", None)),
        (None, ("running", None)),
    ],
)
async def test_an_agent_that_does_no_speed_tests_keeps_nobody_waiting(
    agent: str | None, came: tuple[str, str | None], month: Month
) -> None:
    await month.register(1, [None])
    async with transaction(month.sessions) as session:
        await session.execute(
            text("""
            INSERT INTO device (site_id, heard_at, told_s, boot, seq, agent, accepted, duplicates, rejected)
            SELECT id, :at, 60, 'a', 1, :agent, 1, 0, 0 FROM site
        """),
            {"at": month.now, "agent": agent},
        )
    speed, at = SpeedtestRunner(month.sessions, at_once), month.now
    while not (rows := [row for row in await month.rows() if row.status != "waiting"]):
        await speed.start_due(at)
        at += timedelta(minutes=20)
    assert (rows[0].status, rows[0].reason) == came


async def test_a_clock_that_was_ahead_for_a_while_stops_no_plans_and_doubles_none(month: Month) -> None:
    await month.register(10, [None])
    speed = SpeedtestRunner(month.sessions, at_once)
    await speed.start_due(month.now)
    await speed.start_due(month.now + 20 * DAY)
    ahead = await count(month, "true")
    for hours in (0, 24):
        await speed.start_due(month.now + timedelta(hours=hours))
        await asyncio.gather(*speed.running.values())
    assert await count(month, "true") == ahead, "each moment is there once"
    async with transaction(month.sessions) as session:
        await session.execute(text("DELETE FROM throughput_test"))
    await speed.start_due(month.now + 2 * DAY)
    assert await count(month, "true") > 0


@pytest.mark.parametrize(
    ("url", "came"),
    [
        ("http://127.77.0.1:{port}/", ("done", None)),
        ("http://127.99.0.1:{port}/", ("failed", "forbidden")),
        ("http://tidak-ada.invalid:{port}/", ("failed", "unresolvable")),
        ("nonsense", ("failed", "bad_url")),
    ],
)
async def test_a_real_download_goes_where_the_policy_lets_it(url: str, came: tuple[str, Any], month: Month) -> None:
    await month.register(2, [None])
    arrived: list[int] = []
    async with await shaped_server.start(lambda _: Shape(30, 10), host="0.0.0.0") as server:
        port = server.sockets[0].getsockname()[1]
        async with transaction(month.sessions) as session:
            await session.execute(
                text("UPDATE site SET speed_url = :url WHERE probe <> 'push'"), {"url": url.format(port=port)}
            )
        async with Prober.open(AddressPolicy(allow=["127.77.0.0/16"], deny=["127.0.0.0/8"]), sockets=[]) as prober:
            pull = download_by(prober)

            async def briefly(order: PullTest, on_bytes: OnBytes) -> DownloadResult:
                arrived.append(0)
                return await pull(replace(order, host=None, max_bytes=6_000_000, max_s=2), lambda: arrived.append(1))

            speed, at = SpeedtestRunner(month.sessions, briefly), month.now
            while not await count(month, "mode = 'pull' AND started_at IS NOT NULL"):
                await speed.start_due(at)
                at += timedelta(minutes=30)
            await asyncio.gather(*speed.running.values())
    (row,) = [row for row in await month.rows() if row.mode == "pull" and row.started_at]
    assert (row.status, row.reason) == came
    assert row.reserved_bytes == 0
    assert (row.down_mbps is None) == (row.status != "done") == (not any(arrived))
