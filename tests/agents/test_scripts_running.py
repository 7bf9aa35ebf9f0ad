"""The OpenWrt and the Linux agent as they run: in ash and dash, against a real server, over a link that breaks."""

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from app.postgres.engine import open_engine, open_sessions, transaction
from app.runtime.migrate import migrate
from simulator.namespace import Namespace, NamespaceUnavailable
from tests.agents.agent_machine import (
    LINK,
    Link,
    Machine,
    Received,
    answer_pings,
    busybox_tools,
    linked,
    linux_tools,
    until,
)
from tests.conftest import drop_database, make_database
from tests.factories import register
from tests.status.api_process import Served, served
from tests.support.speedtest_agent import create_grant, get_test

SHELLS = {"openwrt": "busybox ash", "linux": "dash"}
TOOLS = {"openwrt": busybox_tools, "linux": linux_tools}
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
PORTAL = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>"
TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


@pytest.fixture(scope="module")
def village() -> Iterator[Namespace]:
    try:
        opened = Namespace.open()
    except NamespaceUnavailable as problem:
        pytest.skip(str(problem))
    with opened:
        answer_pings(opened, answered=True)
        yield opened


@pytest.fixture(scope="module")
async def server(server_url: str) -> AsyncIterator[Served]:
    url = await make_database(server_url)
    engine = open_engine(url, name="agents")
    await migrate(engine)
    async with served(url, open_sessions(engine), anchors=["127.0.8.1", "127.0.8.2"]) as found:
        yield found
    await engine.dispose()
    await drop_database(url, server_url)


@dataclass
class Field:
    """One site: its machine, its link, and what came of it."""

    machine: Machine
    link: Link
    received: Received
    site_id: int
    server: Served


async def settle(
    stack: contextlib.AsyncExitStack, village: Namespace, server: Served, folder: Path, kind: str, port: int
) -> Field:
    """A site whose machine has installed its agent."""
    site = await register(server.cast, probe="push", host=None)
    link = await stack.enter_async_context(linked(village, port, server.port))
    asked = f"/sites/{site['id']}/agent?kind={kind}"
    answer = await server.cast.ana.post(asked, headers={"Host": f"{LINK}:{port}"})
    assert answer.status_code == 201, answer.text
    tools = TOOLS[kind](folder / f"{kind}-tools")
    machine = Machine(village, folder / kind, answer.text, shell=SHELLS[kind], tools=tools)
    machine.set(
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
    return Field(machine, link, Received(server.sessions, site["id"]), site["id"], server)


@pytest.fixture
async def field(village: Namespace, server: Served, tmp_path: Path) -> AsyncIterator[Field]:
    """A router with OpenWrt."""
    async with contextlib.AsyncExitStack() as stack:
        yield await settle(stack, village, server, tmp_path, "openwrt", 8000)


async def everything_came(field: Field, boot: str, last: int) -> bool:
    return (await field.received.seqs()).get(boot, []) == list(range(1, last + 1))


async def live_through(field: Field, *, survives: bool) -> None:
    """Reports, a link that is cut, a server that fails, answers that are lost, and a power cut."""
    machine, link = field.machine, field.link
    machine.start()
    await until(field.received.seqs)
    await link.cut()
    await until(lambda: len(machine.rows) >= 3)
    await link.mend()
    link.says = BROKEN
    await until(lambda: machine.read("code") == "500")
    link.says, link.swallows = None, True
    came = sum(map(len, (await field.received.seqs()).values()))
    await until(lambda: more_than(field, came))  # taken, and never acknowledged
    link.swallows = False
    boot = machine.read("boot")
    await until(lambda: not machine.rows)
    await link.cut()
    await until(lambda: len(machine.rows) >= 2)
    machine.kill()
    kept, last = machine.rows, int(machine.read("seq"))
    machine.power_cut()
    machine.start()
    await link.mend()
    await until(lambda: again(field, boot))
    if survives:
        await until(lambda: everything_came(field, boot, json.loads(kept[-1])["seq"]))
    machine.kill()
    await machine.tick(now=True)
    assert machine.rows == []
    seqs = await field.received.seqs()
    assert set(seqs) == {boot, machine.read("boot")}, "a power cut is a new boot"
    first = json.loads(kept[0])["seq"]
    measured = [*range(1, first), *(json.loads(row)["seq"] for row in kept if survives)]
    assert seqs[boot] == measured, "nothing is lost but what was in the RAM of a router without power"
    assert last - measured[-1] <= (1 if survives else len(kept) + 1)
    rows = await field.received.rows()
    assert len(rows) == sum(map(len, seqs.values())), "and nothing is doubled"
    assert all(row.outcome == "ok" and len(row.rtt_us) == 1 for row in rows)


async def more_than(field: Field, count: int) -> bool:
    return sum(map(len, (await field.received.seqs()).values())) > count


async def again(field: Field, boot: str) -> bool:
    return any(len(seqs) >= 2 for other, seqs in (await field.received.seqs()).items() if other != boot)


async def test_over_cuts_failures_lost_answers_and_a_power_cut_nothing_is_lost_and_nothing_doubled(
    village: Namespace, server: Served, tmp_path: Path
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        router = await settle(stack, village, server, tmp_path, "openwrt", 8001)
        machine = await settle(stack, village, server, tmp_path, "linux", 8002)
        await asyncio.gather(live_through(router, survives=False), live_through(machine, survives=True))


async def test_without_an_answer_of_ours_nothing_is_deleted(field: Field) -> None:
    field.link.says = PORTAL
    await field.machine.tick()
    assert len(field.machine.rows) == 1, "a provider's own page is no acknowledgement"
    assert field.machine.read("code") == "000"
    status = await field.machine.status()
    assert (status.returncode, "menunggu / waiting: 1" in status.stdout) == (1, True)
    field.link.says = None
    await field.machine.tick()
    assert field.machine.rows == []
    assert (await field.machine.status()).returncode == 0


async def test_a_revoked_token_stops_sending_and_never_measuring(field: Field) -> None:
    await field.server.cast.ana.client.delete(f"/api/v1/sites/{field.site_id}/agent")
    await field.machine.tick()
    asked = field.link.requests
    await field.machine.tick()
    assert field.link.requests == asked
    assert len(field.machine.rows) == 2
    assert "token" in (await field.machine.status()).stdout


async def test_what_is_too_large_is_sent_in_smaller_parts_and_never_thrown_away_unsaid(field: Field) -> None:
    machine = field.machine
    field.link.says = TOO_LARGE
    machine.set(SEND_S=0)
    for _ in range(2):
        await machine.tick()
    (refused,) = (machine.ram / "refused").read_text().splitlines()[:1]
    assert json.loads(refused)["seq"] == 1
    assert machine.read("dropped") == "2"
    assert "refused" in (await machine.status()).stdout


async def test_the_spool_is_bounded_the_oldest_go_first_and_are_counted(field: Field) -> None:
    await field.link.cut()
    field.machine.set(KEEP_ROWS=3, BATCH_ROWS=1)
    for _ in range(6):
        await field.machine.tick()
    seqs = [json.loads(row)["seq"] for row in field.machine.rows]
    assert (seqs, field.machine.read("dropped")) == ([1, 4, 5, 6], "2"), "one waits in the batch under way"
    await field.link.mend()
    await field.machine.tick()
    assert field.machine.rows == []
    assert [*(await field.received.seqs()).values()] == [[1, 5, 6, 7]]
    query = text("SELECT dropped FROM device WHERE site_id = :site")
    async with transaction(field.server.sessions) as session:
        assert await session.scalar(query, {"site": field.site_id}) == 3


async def test_a_clock_that_was_never_set_is_not_told(field: Field) -> None:
    field.machine.set(SINCE=4_000_000_000)
    await field.link.cut()
    await field.machine.tick()
    (row,) = map(json.loads, field.machine.rows)
    assert "clock" not in row
    await field.link.mend()
    await field.machine.tick()
    assert await field.received.seqs() != {}


async def test_a_dead_anchor_is_no_loss_of_the_link_and_two_are(field: Field, village: Namespace) -> None:
    field.machine.set(ANCHORS="'127.0.8.1 192.0.2.1'")
    await field.link.cut()
    await field.machine.tick()
    answer_pings(village, answered=False)
    try:
        await field.machine.tick()
    finally:
        answer_pings(village, answered=True)
    found = [len(json.loads(row)["rtt_ms"]) for row in field.machine.rows]
    assert found == [1, 0]


async def test_an_agent_that_cannot_ping_says_so_and_is_not_silent(field: Field) -> None:
    field.machine.agent.write_text(field.machine.agent.read_text().replace(" ping -c", " /nowhere/ping -c"))
    await field.machine.tick()
    assert field.link.requests == 1
    query = text("SELECT measures FROM device WHERE site_id = :site")
    async with transaction(field.server.sessions) as session:
        assert await session.scalar(query, {"site": field.site_id}) is False
    assert "TIDAK MENGUKUR / NOT MEASURING" in (await field.machine.status()).stdout


async def test_an_agent_with_nothing_to_tell_sends_that(field: Field) -> None:
    test = await asyncio.create_subprocess_exec("sh", "-c", "sleep 30; :", "sinyal-agent")
    await field.machine.tick()
    (field.machine.ram / "beat.lock").symlink_to(str(test.pid))
    await field.machine.tick(now=True)
    test.kill()
    await test.wait()
    assert field.link.requests == 2
    assert field.machine.read("code") == "200"


async def test_a_removed_agent_ends_its_token(field: Field) -> None:
    await field.machine.tick()
    agent, folder = field.machine.agent, field.machine.folder
    moved = agent.read_text()
    for place in ("/etc/", "/usr/bin/", "/lib/upgrade/", "/var/", "/run/"):
        moved = moved.replace(f" {place}", f" {folder}{place}")
    agent.write_text(moved)
    removed = await asyncio.to_thread(field.machine.run, str(agent), "remove", SINYAL_CONF=str(field.machine.conf))
    assert "token diakhiri" in removed.stdout
    assert not agent.exists()
    query = text("SELECT count(*) FROM device_token WHERE site_id = :site AND revoked_at IS NULL")
    async with transaction(field.server.sessions) as session:
        assert await session.scalar(query, {"site": field.site_id}) == 0


async def test_a_torn_line_spoils_no_batch(field: Field) -> None:
    await field.link.cut()
    await field.machine.tick()
    (field.machine.ram / "batch").unlink()
    with (field.machine.ram / "rows").open("a") as file:
        file.write('{"boot":"torn","se\0\0\n')
    await field.link.mend()
    await field.machine.tick()
    assert field.machine.rows == []
    assert len(await field.received.rows()) == 1


async def test_a_machine_that_moved_to_another_site_brings_no_readings_along(field: Field) -> None:
    script, elsewhere = field.machine.folder / "sinyal.sh", field.machine.folder / "var/run/sinyal"
    elsewhere.mkdir(parents=True)
    running = field.machine.agent.open()
    field.machine.run(str(script), SINYAL_ROOT=str(field.machine.folder))
    assert elsewhere.exists(), "the same site again"
    assert os.fstat(running.fileno()).st_nlink == 0, "a shell reads on in the file that it began with"
    running.close()
    script.write_text(script.read_text().replace("SITE=64.", "SITE=65.").replace("^SITE=64.", "^SITE=65."))
    field.machine.run(str(script), SINYAL_ROOT=str(field.machine.folder))
    assert not elsewhere.exists()


async def test_speed_tests_run_when_they_are_granted_and_only_then(
    village: Namespace, server: Served, tmp_path: Path
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        router = await settle(stack, village, server, tmp_path, "openwrt", 8003)
        machine = await settle(stack, village, server, tmp_path, "linux", 8004)
        await asyncio.gather(measure_speed(router), measure_speed(machine))


async def measure_speed(field: Field) -> None:
    await field.machine.tick()
    assert field.link.requests == 1
    code = await create_grant(field.server, site_id=field.site_id, down=3_000_000, up=500_000)
    await field.machine.tick(now=True)
    test = await get_test(field.server, code)
    assert (test.down_bytes, test.up_bytes) == (3_000_000, 500_000)
    assert test.ended_at is not None, "it was reported"
    assert None not in (test.agent_down_mbps, test.agent_up_mbps, test.rtt_idle_ms, test.rtt_loaded_ms)
    asked = field.link.requests
    await field.machine.tick(now=True)
    assert field.link.requests == asked + 1
    assert not (field.machine.ram / "up").exists()


async def test_nothing_is_measured_while_a_speed_test_fills_the_link(field: Field) -> None:
    await field.machine.tick()
    test = await asyncio.create_subprocess_exec("sh", "-c", "sleep 30; :", "sinyal-agent")
    (field.machine.ram / "speed.lock").symlink_to(str(test.pid))
    await field.machine.tick(now=True)
    assert len(await field.received.rows()) == 1
    test.kill()
    await test.wait()
    await field.machine.tick(now=True)
    assert len(await field.received.rows()) == 2, "a lock whose holder is dead holds nothing"


async def test_a_client_that_sets_no_headers_puts_the_token_into_the_body(field: Field) -> None:
    (wget := field.machine.tools / "wget").unlink()
    wget.write_text('#!/bin/sh\n[ "$1" = --help ] || exec busybox wget "$@"\n')
    wget.chmod(0o755)
    (field.machine.tools / "busybox").symlink_to(shutil.which("busybox") or "")
    await field.machine.tick()
    assert await field.received.seqs() != {}
    assert field.link.heads[-1].lower().count(b"authorization") == 0
