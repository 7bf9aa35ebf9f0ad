"""The simulated agents against a real HTTP server on the loopback."""

import asyncio
import gzip
import json
import os
import stat
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from simulator.agent import Agent, AgentContext, Cadence
from simulator.agent_memory import MAX_ROWS, AgentMemory
from simulator.agent_secret import secret_of, token
from simulator.agents_main import AgentFleet, decode_event
from simulator.clock import Clock
from simulator.host_plan import HostPlan, SimulatedHost
from simulator.http_client import HttpClient, NoResponse
from simulator.journal import AgentLog
from simulator.network_model import ActiveEvent, NetworkModel
from simulator.script import AgentBehaviour, LinkBehaviour, Script
from tests.support.simulator_logs import read_agents

HOST = SimulatedHost("127.9.9.1", "cellular", "64.02.05.2003-01", "64.02.05.2003", probe="push")
SCRIPT = Script(technologies={"cellular": LinkBehaviour(rtt_ms=5, jitter_ms=0, loss_pct=0)}, agents=AgentBehaviour())
BEAT_S = 0.03


class Server:
    """Accepts every push, or answers with `status`."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.pushes: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.peers: set[str] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers["Content-Length"]))
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.peers.add(writer.get_extra_info("peername")[0])
        if self.status == 200:
            self.pushes.append(json.loads(body))
            self.headers.append(headers)
        answer = json.dumps({"accepted": 1, "duplicates": 0, "rejected": []}).encode()
        writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer)
        await writer.drain()
        writer.close()

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for push in self.pushes for row in push.get("batch", [push])]

    async def until(self, true: Callable[[], Any]) -> None:
        async with asyncio.timeout(10):
            while not true():  # noqa: ASYNC110  # what is waited for happens in several places
                await asyncio.sleep(0.01)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    yield server
    listening.close()
    await listening.wait_closed()


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.agent.FIRST_BEAT_WITHIN_S", 0.0)
    monkeypatch.setattr("simulator.agent.BOOT_S", (0.0, 0.0))
    monkeypatch.setattr("simulator.agent.SPACING_S", 0.0)
    monkeypatch.setattr("simulator.agent.SYN_RETRIES_S", (0.0,))


class Site:
    """An agent with the network around it."""

    def __init__(self, server: Server, tmp_path: Path, *, send_every_s: float = BEAT_S, **behaviour: Any) -> None:
        self.clock = Clock()
        self.clock.start()
        self.folder, self.network = tmp_path, NetworkModel(HostPlan(SCRIPT, [HOST]))
        self.journal = AgentLog(tmp_path)
        context = AgentContext(
            self.network, self.clock, server.url, "secret", 1, AgentBehaviour(**behaviour), self.journal
        )
        self.agent = Agent(HOST, Cadence(BEAT_S, send_every_s, 3.0), context)
        self.agent.start()

    def now_s(self) -> float:
        return self.agent._now_s()

    def begin_event(self, kind: str, for_s: float = 3600.0) -> ActiveEvent:
        now_s = self.now_s()
        message = {"kind": kind, "codes": [HOST.code], "start_s": now_s - 10, "end_s": now_s + for_s, "loss_pct": None}
        active = decode_event(message | {"rtt_ms": None})
        self.network.begin([active], now_s)
        return active

    def end_events(self) -> None:
        self.network._active.clear()
        self.network.begin([], self.now_s())

    def logged(self, what: str) -> list[dict[str, Any]]:
        self.journal.flush()
        return [line for line in read_agents(self.folder) if line["what"] == what]


@pytest.fixture
async def at_site(server: Server, tmp_path: Path) -> AsyncIterator[Callable[..., Site]]:
    sites: list[Site] = []

    def start(**options: Any) -> Site:
        sites.append(Site(server, tmp_path, **options))
        return sites[-1]

    yield start
    for site in sites:
        site.agent.stop()
        site.journal.close()
    await asyncio.sleep(0)


async def test_an_unmetered_agent_sends_every_reading_at_once_from_its_own_address(
    server: Server, at_site: Callable[..., Site]
) -> None:
    at_site()
    await server.until(lambda: len(server.pushes) > 3)
    flat = [push for push in server.pushes if "batch" not in push]
    assert flat
    assert [row["seq"] for row in flat] == sorted(row["seq"] for row in flat)
    assert {row["boot"] for row in flat} == {flat[0]["boot"]}
    assert {row["sent"] for row in flat} == {3}
    assert server.peers == {HOST.address}
    pairs = zip(server.pushes, server.headers, strict=True)
    secrets = {push.get("token") or head["Authorization"].split()[1] for push, head in pairs}
    assert secrets == {token("secret", HOST.code)}


async def test_a_metered_agent_sends_batches(server: Server, at_site: Callable[..., Site]) -> None:
    at_site(send_every_s=BEAT_S * 8)
    await server.until(lambda: len(server.pushes) > 3)
    assert all("batch" in push for push in server.pushes)
    assert len(server.rows) > 2 * len(server.pushes)
    assert {push["boot"] for push in server.pushes} == {row["boot"] for row in server.rows}


async def test_a_device_that_cannot_set_headers_compresses_nothing(
    server: Server, at_site: Callable[..., Site]
) -> None:
    site = at_site(send_every_s=BEAT_S * 8)
    site.agent._token_in_body = site.agent._zips = True
    await server.until(lambda: len(server.pushes) > 2)
    assert {push["token"] for push in server.pushes} == {token("secret", HOST.code)}
    assert not any("Content-Encoding" in headers for headers in server.headers)


async def test_readings_that_could_not_be_sent_are_sent_later_and_none_is_missing(
    server: Server, at_site: Callable[..., Site]
) -> None:
    site = at_site()
    await server.until(lambda: server.pushes)
    site.begin_event("outage")
    last = len(server.pushes)
    await server.until(lambda: site.agent._memory is not None and len(site.agent._memory.rows) > 5)
    assert len(server.pushes) <= last + 1
    site.end_events()
    await server.until(lambda: len(server.rows) > 10)
    seqs = [row["seq"] for row in server.rows]
    assert seqs == list(range(len(seqs)))
    answered = [row.get("received", len(row.get("rtt_ms", ()))) for row in server.rows]
    assert 0 in answered
    assert answered[-1] == 3


async def test_an_agents_anchors_answer_while_we_are_blind(server: Server, at_site: Callable[..., Site]) -> None:
    site = at_site()
    await server.until(lambda: server.pushes)
    site.begin_event("blind")
    await server.until(lambda: site.agent._memory is not None and len(site.agent._memory.rows) > 5)
    site.end_events()
    await server.until(lambda: len(server.rows) > 10)
    assert {row.get("received", len(row.get("rtt_ms", ()))) for row in server.rows} == {3}


async def test_a_failed_push_is_retried(server: Server, at_site: Callable[..., Site]) -> None:
    server.status = 503
    site = at_site()
    await server.until(lambda: len(site.logged("tried")) > 2)
    assert site.logged("acknowledged") == []
    server.status = 200
    await server.until(lambda: len(server.rows) > 3)
    assert [row["seq"] for row in server.rows][:3] == [0, 1, 2]


async def test_a_power_cut_resets_boot_id_sequence_uptime_and_memory(
    server: Server, at_site: Callable[..., Site]
) -> None:
    server.status = 503
    site = at_site()
    await server.until(lambda: site.agent._memory is not None and len(site.agent._memory.rows) > 3)
    before = site.agent._memory
    assert before is not None
    kept = [[row["boot"], row["seq"]] for row in before.rows]
    site.agent.power_cut(site.now_s())
    await server.until(lambda: site.agent._memory is not before)  # a push under way is refused, too
    server.status = 200
    await server.until(lambda: len(server.rows) > 2)
    (lost,) = site.logged("lost")
    assert lost["rows"] == kept
    assert before.boot not in {row["boot"] for row in server.rows}
    assert server.rows[0]["seq"] == 0
    assert server.rows[0]["uptime_s"] < 600


async def test_a_duplicated_push_repeats_its_rows(server: Server, at_site: Callable[..., Site]) -> None:
    at_site(duplicate_pct=100)
    await server.until(lambda: len(server.pushes) > 6)
    seqs = [row["seq"] for row in server.rows]
    assert len(set(seqs)) < len(seqs)


async def test_late_readings_arrive_after_newer_ones(server: Server, at_site: Callable[..., Site]) -> None:
    at_site(send_every_s=BEAT_S * 6, late_pct=60, late_s=BEAT_S * 10)

    def late() -> bool:
        seqs = [row["seq"] for row in server.rows]
        return seqs != sorted(seqs) and set(range(10)) <= set(seqs)

    await server.until(late)


async def test_an_agent_may_have_readings_of_an_earlier_boot_and_a_wrong_clock(
    server: Server, at_site: Callable[..., Site]
) -> None:
    site = at_site(backlog_pct=100, backlog_rows=4, backlog_s=7200)
    await server.until(lambda: server.pushes)
    old = [row for row in server.rows if row["boot"].startswith("before")]
    assert [(row["seq"], "uptime_s" in row) for row in old] == [(n, False) for n in range(4)]
    wrong = Agent(HOST, site.agent.cadence, replace(site.agent.context, behaviour=AgentBehaviour(clock_wrong_pct=100)))
    assert wrong._clock_off_s != 0.0


def test_a_full_memory_drops_and_counts_the_oldest_reading() -> None:
    memory = AgentMemory(Random(1), booted=0.0)
    for n in range(MAX_ROWS + 7):
        memory.measured([1.0], now=float(n), wall=float(n))
    assert (memory.rows[0]["seq"], memory.dropped, memory.waiting) == (7, 7, MAX_ROWS)


async def test_a_refused_connection_is_no_response() -> None:
    with pytest.raises(NoResponse):
        await HttpClient("http://127.0.0.1:1", "127.9.9.2").post("/", b"", {})


async def test_the_fleet_follows_the_hosts_and_cuts_the_power_of_selected_sites(server: Server, tmp_path: Path) -> None:
    clock = Clock()
    clock.start()
    fleet = AgentFleet(SCRIPT, clock, AgentLog(None), server=server.url, secret="x")
    pinged = replace(HOST, address="127.9.9.3", code="64.02.05.2004-01", probe="icmp", down_mbps=50.0)
    fleet.set_hosts([HOST, pinged])
    assert list(fleet.agents) == [HOST.code]
    assert 10 < fleet.shape_of(pinged.address).mbps <= 50
    await server.until(lambda: server.pushes)
    agent = fleet.agents[HOST.code]
    message = {"kind": "power", "codes": [HOST.code], "start_s": 0.0, "end_s": 3600.0, "loss_pct": None, "rtt_ms": None}
    fleet.begin_event(decode_event(message))
    assert agent._memory is None
    fleet.set_hosts([pinged])
    assert fleet.agents == {}
    fleet.stop()


def test_the_secret_is_created_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    first = secret_of(tmp_path)
    assert secret_of(tmp_path) == first
    assert stat.S_IMODE(os.stat(tmp_path / "agents.secret").st_mode) == 0o600
    assert token(first, "a").startswith("sd-")
    assert token(first, "a") != token(first, "b")
    assert set(token(first, "a")) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
