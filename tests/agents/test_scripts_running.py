"""The OpenWrt and Linux agents, run in ash and dash against a real server, over a link that breaks."""

import asyncio
import contextlib
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from app.judging.claims import LATE
from app.postgres.engine import transaction
from app.profiles import profiles
from app.push import device_cache
from app.push.timestamps import BEFORE_TOKEN
from simulator.namespace import Namespace, NamespaceUnavailable
from tests.agents.agent_machine import (
    LINK,
    Link,
    Machine,
    StoredPushes,
    answer_pings,
    busybox_tools,
    linux_tools,
    open_link,
    wait_until,
)
from tests.factories import register
from tests.support.served_api import Served
from tests.support.speedtest_agent import create_grant, get_test

pytestmark = pytest.mark.real_time

SHELLS = {"openwrt": "busybox ash", "linux": "dash"}
TOOLS = {"openwrt": busybox_tools, "linux": linux_tools}
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
PORTAL = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>"
TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
OURS_TOO_LARGE = TOO_LARGE.replace(b"\r\n\r\n", b"\r\nContent-Type: application/problem+json\r\n\r\n")
UNAUTHORIZED = TOO_LARGE.replace(b"413 Content Too Large", b"401 Unauthorized")


@pytest.fixture(scope="module")
def village() -> Iterator[Namespace]:
    try:
        opened = Namespace.open()
    except NamespaceUnavailable as problem:
        pytest.skip(str(problem))
    with opened:
        answer_pings(opened, answered=True)
        yield opened


@dataclass
class Installation:
    """A site with a machine that has installed its agent, the machine's link, and what the server stored."""

    machine: Machine
    link: Link
    stored: StoredPushes
    site_id: int
    server: Served


async def install(
    stack: contextlib.AsyncExitStack, village: Namespace, server: Served, folder: Path, kind: str, port: int
) -> Installation:
    site = await register(server.cast, probe="push", host=None)
    async with transaction(server.sessions) as session:  # rows of one second move apart, to before it
        await session.execute(
            text("UPDATE site SET addressed_at = now() - interval '1 h' WHERE id = :site"), {"site": site["id"]}
        )
    link = await stack.enter_async_context(open_link(village, port, server.port))
    path = f"/sites/{site['id']}/agent?kind={kind}"
    answer = await server.cast.ana.post(path, headers={"Host": f"{LINK}:{port}"})
    assert answer.status_code == 201, answer.text
    tools = TOOLS[kind](folder / f"{kind}-tools")
    machine = Machine(village, folder / kind, answer.text, shell=SHELLS[kind], tools=tools)
    machine.configure(
        URL=f"http://{LINK}:{port}",  # the link stands before ingest
        RUN=machine.ram,
        SPOOL=machine.disk if kind == "linux" else machine.ram,
        BEAT_S=1,
        LONGEST_S=2,
        JITTER_S=0,
        PACKETS=1,
        PING_WAIT_S=1,
        PUSH_TIMEOUT_S=3,
    )
    stack.callback(machine.kill)
    return Installation(machine, link, StoredPushes(server.sessions, site["id"]), site["id"], server)


@pytest.fixture
async def computer(village: Namespace, server: Served, tmp_path: Path) -> AsyncIterator[Installation]:
    async with contextlib.AsyncExitStack() as stack:
        yield await install(stack, village, server, tmp_path, "linux", 8005)


@pytest.fixture
async def router(village: Namespace, server: Served, tmp_path: Path) -> AsyncIterator[Installation]:
    async with contextlib.AsyncExitStack() as stack:
        yield await install(stack, village, server, tmp_path, "openwrt", 8000)


async def all_rows_stored(router: Installation, boot: str, last: int) -> bool:
    return (await router.stored.seqs()).get(boot, []) == list(range(1, last + 1))


async def run_through_failures(router: Installation, *, disk_survives: bool) -> None:
    """Push through a link that is cut, a server that fails, lost responses, and a power cut."""
    machine, link = router.machine, router.link
    machine.start()
    await wait_until(router.stored.seqs)
    await link.cut()
    await wait_until(lambda: len(machine.rows) >= 3)
    await link.restore()
    link.canned_response = BROKEN
    await wait_until(lambda: machine.read("code") == "500")
    link.canned_response, link.drops_responses = None, True
    stored = sum(map(len, (await router.stored.seqs()).values()))
    await wait_until(lambda: more_rows_than(router, stored))  # stored, but not acknowledged
    link.drops_responses = False
    boot = machine.read("boot")
    await wait_until(lambda: not machine.rows)
    await link.cut()
    await wait_until(lambda: len(machine.rows) >= 2)
    machine.kill()
    kept, last = machine.rows, int(machine.read("seq"))
    machine.power_cut()
    machine.start()
    await link.restore()
    await wait_until(lambda: another_boot_pushed(router, boot))
    if disk_survives:
        await wait_until(lambda: all_rows_stored(router, boot, json.loads(kept[-1])["seq"]))
    machine.kill()
    await machine.tick(now=True)
    assert machine.rows == []
    seqs = await router.stored.seqs()
    assert set(seqs) == {boot, machine.read("boot")}, "a power cut is a new boot"
    first = json.loads(kept[0])["seq"]
    measured = [*range(1, first), *(json.loads(row)["seq"] for row in kept if disk_survives)]
    assert seqs[boot] == measured, "only rows in the RAM of a router without power are lost"
    assert last - measured[-1] <= (1 if disk_survives else len(kept) + 1)
    readings = await router.stored.readings()
    assert len(readings) == sum(map(len, seqs.values())), "no row counts twice"
    claims = {LATE, BEFORE_TOKEN}  # the first push that arrives is empty: the row measured meanwhile is older
    assert {(reading.outcome.value, reading.reason in claims) for reading in readings} <= {
        ("ok", False),
        ("fault", True),
    }
    assert {len(reading.rtt_us) for reading in readings} == {1}


async def more_rows_than(router: Installation, count: int) -> bool:
    return sum(map(len, (await router.stored.seqs()).values())) > count


async def another_boot_pushed(router: Installation, boot: str) -> bool:
    return any(len(seqs) >= 2 for other, seqs in (await router.stored.seqs()).items() if other != boot)


async def test_no_row_is_lost_or_counted_twice_over_cuts_failures_lost_responses_and_a_power_cut(
    village: Namespace, server: Served, tmp_path: Path
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        router = await install(stack, village, server, tmp_path, "openwrt", 8001)
        machine = await install(stack, village, server, tmp_path, "linux", 8002)
        await asyncio.gather(
            run_through_failures(router, disk_survives=False), run_through_failures(machine, disk_survives=True)
        )


async def test_a_response_that_is_not_the_services_deletes_no_rows(router: Installation) -> None:
    router.link.canned_response = PORTAL
    await router.machine.tick()
    assert len(router.machine.rows) == 1, "a captive portal does not acknowledge rows"
    assert router.machine.read("code") == "000"
    status = await router.machine.status()
    assert (status.returncode, "menunggu / waiting: 1" in status.stdout) == (1, True)
    router.link.canned_response = None
    await router.machine.tick()
    assert router.machine.rows == []
    assert (await router.machine.status()).returncode == 0


async def test_a_revoked_token_stops_sending_but_not_measuring(router: Installation) -> None:
    await router.server.cast.ana.client.delete(f"/api/v1/sites/{router.site_id}/agent")
    await router.machine.tick()
    requests = router.link.requests
    await router.machine.tick()
    assert router.link.requests == requests
    assert len(router.machine.rows) == 2
    assert "token" in (await router.machine.status()).stdout


async def test_a_batch_that_is_too_large_is_split_and_a_rejected_row_is_set_aside_and_counted(
    computer: Installation,
) -> None:
    machine = computer.machine
    await machine.tick()
    computer.link.canned_response = OURS_TOO_LARGE
    for _ in range(2):
        await machine.tick(now=True)
    (refused,) = (machine.disk / "refused").read_text().splitlines()[:1]
    assert json.loads(refused)["seq"] == 2
    assert machine.read("dropped") == "2"
    assert "refused" in (await machine.status()).stdout


@pytest.mark.parametrize("response", [TOO_LARGE, UNAUTHORIZED])
async def test_what_a_proxy_answers_costs_no_row_and_silences_nothing(computer: Installation, response: bytes) -> None:
    machine = computer.machine
    computer.link.canned_response = response
    for _ in range(3):
        await machine.tick(now=response == TOO_LARGE)
    assert computer.link.requests >= 3
    assert (len(machine.rows), machine.read("dropped")) == (3, "0")
    computer.link.canned_response = None
    await machine.tick(now=response == TOO_LARGE)
    assert machine.rows == []


async def test_the_spool_is_bounded_and_drops_and_counts_the_oldest_rows(router: Installation) -> None:
    await router.link.cut()
    router.machine.configure(KEEP_ROWS=3, BATCH_ROWS=1)
    for _ in range(6):
        await router.machine.tick()
    seqs = [json.loads(row)["seq"] for row in router.machine.rows]
    assert (seqs, router.machine.read("dropped")) == ([4, 5, 6], "3")
    await router.link.restore()
    await router.machine.tick()
    assert router.machine.rows == []
    assert [*(await router.stored.seqs()).values()] == [[4, 5, 6, 7]]
    query = text("SELECT dropped FROM device WHERE site_id = :site")
    async with transaction(router.server.sessions) as session:
        assert await session.scalar(query, {"site": router.site_id}) == 3


async def test_a_clock_that_was_never_set_is_not_sent(router: Installation) -> None:
    router.machine.configure(SINCE=4_000_000_000)
    await router.link.cut()
    await router.machine.tick()
    assert len(router.machine.rows) == 1
    await router.link.restore()
    await router.machine.tick()
    assert await router.stored.seqs() != {}
    query = text("SELECT clock_offset_s FROM device WHERE site_id = :site")
    async with transaction(router.server.sessions) as session:
        assert await session.scalar(query, {"site": router.site_id}) is None


async def test_one_dead_anchor_is_no_packet_loss_and_two_are(router: Installation, village: Namespace) -> None:
    router.machine.configure(ANCHORS="'127.0.8.1 192.0.2.1'")
    await router.link.cut()
    await router.machine.tick()
    answer_pings(village, answered=False)
    try:
        await router.machine.tick()
    finally:
        answer_pings(village, answered=True)
    replies = [len(json.loads(row)["rtt_ms"]) for row in router.machine.rows]
    assert replies == [1, 0]


async def test_an_agent_that_cannot_ping_reports_it_and_still_pushes(router: Installation) -> None:
    router.machine.agent.write_text(router.machine.agent.read_text().replace("(ping -c", "(/nowhere/ping -c"))
    await router.machine.tick()
    assert router.link.requests == 2
    query = text("SELECT measures FROM device WHERE site_id = :site")
    async with transaction(router.server.sessions) as session:
        assert await session.scalar(query, {"site": router.site_id}) is False
    assert "TIDAK MENGUKUR / NOT MEASURING" in (await router.machine.status()).stdout


async def test_an_agent_without_new_rows_sends_an_empty_push(router: Installation) -> None:
    test = await asyncio.create_subprocess_exec("sh", "-c", "sleep 30; :", "sinyal-agent")
    await router.machine.tick()
    (router.machine.ram / "beat.lock").symlink_to(str(test.pid))
    await router.machine.tick(now=True)
    test.kill()
    await test.wait()
    assert router.link.requests == 3, "after an empty one, from which it learned the time, and the first row"
    assert router.machine.read("code") == "200"


async def test_a_removed_agent_revokes_its_token(router: Installation) -> None:
    await router.machine.tick()
    agent, folder = router.machine.agent, router.machine.folder
    moved = agent.read_text()
    for system_folder in ("/etc/", "/usr/bin/", "/lib/upgrade/", "/var/", "/run/"):
        moved = moved.replace(f" {system_folder}", f" {folder}{system_folder}")
    agent.write_text(moved)
    removed = await asyncio.to_thread(router.machine.run, str(agent), "remove", SINYAL_CONF=str(router.machine.conf))
    assert "token diakhiri" in removed.stdout
    assert not agent.exists()
    query = text("SELECT count(*) FROM device_token WHERE site_id = :site AND revoked_at IS NULL")
    async with transaction(router.server.sessions) as session:
        assert await session.scalar(query, {"site": router.site_id}) == 0


async def test_a_torn_line_does_not_affect_the_batch(router: Installation) -> None:
    await router.link.cut()
    await router.machine.tick()
    with (router.machine.ram / "rows").open("a") as file:
        file.write('{"boot":"torn","se\0\0')  # and no line break
    await router.link.restore()
    await router.machine.tick()
    assert (router.machine.rows, router.machine.read("dropped")) == ([], "1")
    assert len(await router.stored.readings()) == 2


async def test_a_machine_installed_for_another_site_discards_the_old_sites_rows(router: Installation) -> None:
    script, old_rows = router.machine.folder / "sinyal.sh", router.machine.folder / "var/run/sinyal"
    old_rows.mkdir(parents=True)
    running = router.machine.agent.open()
    router.machine.run(str(script), SINYAL_ROOT=str(router.machine.folder))
    assert old_rows.exists(), "the same site again"
    assert os.fstat(running.fileno()).st_nlink == 0, "a running shell keeps reading the old file"
    running.close()
    script.write_text(script.read_text().replace("SITE=64.", "SITE=65.").replace("^SITE=64.", "^SITE=65."))
    router.machine.run(str(script), SINYAL_ROOT=str(router.machine.folder))
    assert not old_rows.exists()


async def test_speed_tests_run_only_when_granted(village: Namespace, server: Served, tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        router = await install(stack, village, server, tmp_path, "openwrt", 8003)
        machine = await install(stack, village, server, tmp_path, "linux", 8004)
        await asyncio.gather(measure_speed(router), measure_speed(machine))


async def measure_speed(router: Installation) -> None:
    await router.machine.tick()
    code = await create_grant(router.server, site_id=router.site_id, down=3_000_000, up=500_000)
    await router.machine.tick(now=True)
    test = await get_test(router.server, code)
    assert (test.down_bytes, test.up_bytes) == (3_000_000, 500_000)
    assert test.ended_at is not None, "it was reported"
    assert None not in (test.agent_down_mbps, test.agent_up_mbps, test.rtt_idle_ms, test.rtt_loaded_ms)
    requests = router.link.requests
    await router.machine.tick(now=True)
    assert router.link.requests == requests + 1
    assert not (router.machine.ram / "up").exists()


async def test_nothing_is_measured_during_a_speed_test(router: Installation) -> None:
    await router.machine.tick()
    test = await asyncio.create_subprocess_exec("sh", "-c", "sleep 30; :", "sinyal-agent")
    (router.machine.ram / "speed.lock").symlink_to(str(test.pid))
    await router.machine.tick(now=True)
    assert len(await router.stored.readings()) == 1
    test.kill()
    await test.wait()
    await router.machine.tick(now=True)
    assert len(await router.stored.readings()) == 2, "the lock of a dead process is taken over"


async def test_a_client_that_cannot_set_headers_sends_the_token_in_the_body(router: Installation) -> None:
    (wget := router.machine.tools / "wget").unlink()
    wget.write_text('#!/bin/sh\n[ "$1" = --help ] || exec busybox wget "$@"\n')
    wget.chmod(0o755)
    (router.machine.tools / "busybox").symlink_to(shutil.which("busybox") or "")
    await router.machine.tick()
    assert await router.stored.seqs() != {}
    assert router.link.first_chunks[-1].lower().count(b"authorization") == 0


def uptime_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


async def hold_stream(agent: Installation) -> None:
    """Hold a stream, without ticks; wait for its second line."""
    machine, streams = agent.machine, agent.server.app.state.device_streams
    machine.configure(STREAM_BEAT_S=2, BEAT_S=60)
    machine.ram.mkdir(exist_ok=True)
    (machine.ram / "boot").write_text("held\n")
    (machine.ram / "ticked").write_text(f"{int(uptime_s())}\n")
    machine.run_in_background("stream", SINYAL_CONF=str(machine.conf))
    await wait_until(lambda: (held := streams.held.streams.get(agent.site_id)) and held.heard_at > held.span_from + 1)


async def test_both_shells_bound_a_break_of_the_link_that_they_hold_a_stream_over(
    village: Namespace, server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = {name: profile.model_copy(update={"stream_beat_s": 2}) for name, profile in profiles().items()}
    monkeypatch.setattr(device_cache, "profiles", lambda: short)
    async with contextlib.AsyncExitStack() as stack:
        agents = [await install(stack, village, server, tmp_path, kind, 8020 + n) for n, kind in enumerate(SHELLS)]
        for agent in agents:
            for name in ("curl", "mkfifo", "ls"):
                if not (agent.machine.tools / name).exists():
                    (agent.machine.tools / name).symlink_to(shutil.which(name) or "")
            await hold_stream(agent)
        began = uptime_s()
        answer_pings(village, answered=False)
        for agent in agents:
            agent.link.passing.clear()
        await asyncio.sleep(12)
        ended = uptime_s()
        answer_pings(village, answered=True)
        for agent in agents:
            agent.link.passing.set()
        for agent in agents:
            await wait_until(lambda agent=agent: agent.machine.read("breaks"))  # type: ignore[misc]
            found = json.loads(agent.machine.read("breaks").splitlines()[0])
            assert found["heard_s"] - 1 <= began <= found["from_s"], found
            assert found["lost_s"] <= ended <= found["to_s"], found
