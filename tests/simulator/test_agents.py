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

from simulator.agent import Agent, Cadence, World
from simulator.agent_memory import KEPT, Memory
from simulator.agent_secret import secret_of, token
from simulator.agents_main import Field, acting_of
from simulator.clock import Clock
from simulator.host_plan import Host, Plan
from simulator.http_client import Line, NoAnswer
from simulator.journal import Journal, read
from simulator.network_model import Acting, Weather
from simulator.script import Agents, Behaviour, Script

HOST = Host("127.9.9.1", "cellular", "64.02.05.2003-01", "64.02.05.2003", probe="push")
SCRIPT = Script(technologies={"cellular": Behaviour(rtt_ms=5, jitter_ms=0, loss_pct=0)}, agents=Agents())
BEAT_S = 0.03


class Server:
    """Takes everything in, unless told otherwise."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.said: list[dict[str, Any]] = []
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
            self.said.append(json.loads(body))
            self.headers.append(headers)
        answer = json.dumps({"accepted": 1, "duplicates": 0, "rejected": []}).encode()
        writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer)
        await writer.drain()
        writer.close()

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for said in self.said for row in said.get("batch", [said])]

    async def until(self, true: Callable[[], Any]) -> None:
        async with asyncio.timeout(10):
            while not true():  # noqa: ASYNC110  # what is waited for happens in several places
                await asyncio.sleep(0.01)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    yield made
    listening.close()
    await listening.wait_closed()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.agent.FIRST_S", 0.0)
    monkeypatch.setattr("simulator.agent.BOOT_S", (0.0, 0.0))
    monkeypatch.setattr("simulator.agent.SPACING_S", 0.0)
    monkeypatch.setattr("simulator.agent.TRIES_S", (0.0,))


class Site:
    """An agent with the network around it."""

    def __init__(self, server: Server, tmp_path: Path, *, send_every_s: float = BEAT_S, **says: Any) -> None:
        self.clock = Clock()
        self.clock.start()
        self.folder, self.weather = tmp_path, Weather(Plan(SCRIPT, [HOST]))
        self.journal = Journal(tmp_path)
        world = World(self.weather, self.clock, server.url, "secret", 1, Agents(**says), self.journal)
        self.agent = Agent(HOST, Cadence(BEAT_S, send_every_s, 3.0), world)
        self.agent.start()

    def now_s(self) -> float:
        return self.agent._now_s()

    def befalls(self, kind: str, for_s: float = 3600.0) -> Acting:
        now_s = self.now_s()
        told = {"kind": kind, "codes": [HOST.code], "start_s": now_s - 10, "end_s": now_s + for_s, "loss_pct": None}
        acting = acting_of(told | {"rtt_ms": None})
        self.weather.act([acting], now_s)
        return acting

    def clears(self) -> None:
        self.weather._told.clear()
        self.weather.act([], self.now_s())

    def told(self, what: str) -> list[dict[str, Any]]:
        self.journal.flush()
        return [line for line in read(self.folder) if line["what"] == what]


@pytest.fixture
async def at_site(server: Server, tmp_path: Path) -> AsyncIterator[Callable[..., Site]]:
    made: list[Site] = []

    def make(**given: Any) -> Site:
        made.append(Site(server, tmp_path, **given))
        return made[-1]

    yield make
    for one in made:
        one.agent.stop()
        one.journal.close()
    await asyncio.sleep(0)


async def test_an_unmetered_agent_sends_every_reading_as_it_is_from_its_own_address(
    server: Server, at_site: Callable[..., Site]
) -> None:
    at_site()
    await server.until(lambda: len(server.said) > 3)
    flat = [said for said in server.said if "batch" not in said]
    assert flat
    assert [row["seq"] for row in flat] == sorted(row["seq"] for row in flat)
    assert {row["boot"] for row in flat} == {flat[0]["boot"]}
    assert {row["sent"] for row in flat} == {3}
    assert server.peers == {HOST.address}
    pairs = zip(server.said, server.headers, strict=True)
    secrets = {said.get("token") or head["Authorization"].split()[1] for said, head in pairs}
    assert secrets == {token("secret", HOST.code)}


async def test_a_metered_agent_measures_often_and_sends_seldom(server: Server, at_site: Callable[..., Site]) -> None:
    at_site(send_every_s=BEAT_S * 8)
    await server.until(lambda: len(server.said) > 3)
    assert all("batch" in said for said in server.said)
    assert len(server.rows) > 2 * len(server.said)
    assert {said["boot"] for said in server.said} == {row["boot"] for row in server.rows}


async def test_what_could_not_be_sent_comes_later_and_nothing_is_missing(
    server: Server, at_site: Callable[..., Site]
) -> None:
    site = at_site()
    await server.until(lambda: server.said)
    site.befalls("outage")
    last = len(server.said)
    await server.until(lambda: site.agent._memory is not None and len(site.agent._memory.rows) > 5)
    assert len(server.said) <= last + 1
    site.clears()
    await server.until(lambda: len(server.rows) > 10)
    seqs = [row["seq"] for row in server.rows]
    assert seqs == list(range(len(seqs)))
    answered = [row.get("received", len(row.get("rtt_ms", ()))) for row in server.rows]
    assert 0 in answered
    assert answered[-1] == 3


async def test_while_we_are_blind_its_anchors_answer(server: Server, at_site: Callable[..., Site]) -> None:
    site = at_site()
    await server.until(lambda: server.said)
    site.befalls("blind")
    await server.until(lambda: site.agent._memory is not None and len(site.agent._memory.rows) > 5)
    site.clears()
    await server.until(lambda: len(server.rows) > 10)
    assert {row.get("received", len(row.get("rtt_ms", ()))) for row in server.rows} == {3}


async def test_a_server_that_fails_is_tried_again(server: Server, at_site: Callable[..., Site]) -> None:
    server.status = 503
    site = at_site()
    await server.until(lambda: len(site.told("tried")) > 2)
    assert site.told("acknowledged") == []
    server.status = 200
    await server.until(lambda: len(server.rows) > 3)
    assert [row["seq"] for row in server.rows][:3] == [0, 1, 2]


async def test_a_power_cut_costs_boot_count_uptime_and_what_was_kept(
    server: Server, at_site: Callable[..., Site]
) -> None:
    server.status = 503
    site = at_site()
    await server.until(lambda: site.agent._memory is not None and len(site.agent._memory.rows) > 3)
    before = site.agent._memory
    assert before is not None
    kept = [[row["boot"], row["seq"]] for row in before.rows]
    site.agent.power_cut(site.now_s())
    server.status = 200
    await server.until(lambda: len(server.rows) > 2)
    (lost,) = site.told("lost")
    assert lost["rows"] == kept
    assert before.boot not in {row["boot"] for row in server.rows}
    assert server.rows[0]["seq"] == 0
    assert server.rows[0]["uptime_s"] < 600


async def test_what_is_sent_twice_says_the_same_twice(server: Server, at_site: Callable[..., Site]) -> None:
    at_site(duplicate_pct=100)
    await server.until(lambda: len(server.said) > 6)
    seqs = [row["seq"] for row in server.rows]
    assert len(set(seqs)) < len(seqs)


async def test_late_readings_come_after_newer_ones(server: Server, at_site: Callable[..., Site]) -> None:
    at_site(send_every_s=BEAT_S * 6, late_pct=60, late_s=BEAT_S * 10)

    def late() -> bool:
        seqs = [row["seq"] for row in server.rows]
        return seqs != sorted(seqs) and set(range(10)) <= set(seqs)

    await server.until(late)


async def test_an_agent_may_come_with_readings_of_a_boot_before_and_a_wrong_clock(
    server: Server, at_site: Callable[..., Site]
) -> None:
    site = at_site(backlog_pct=100, backlog_rows=4, backlog_s=7200)
    await server.until(lambda: server.said)
    old = [row for row in server.rows if row["boot"].startswith("before")]
    assert [(row["seq"], "uptime_s" in row) for row in old] == [(n, False) for n in range(4)]
    wrong = Agent(HOST, site.agent.cadence, replace(site.agent.world, says=Agents(clock_wrong_pct=100)))
    assert wrong._wrong_s != 0.0


def test_without_room_the_oldest_reading_goes_and_is_counted() -> None:
    memory = Memory(Random(1), booted=0.0)
    for n in range(KEPT + 7):
        memory.measured([1.0], now=float(n), wall=float(n))
    assert (memory.rows[0]["seq"], memory.dropped, memory.waiting) == (7, 7, KEPT)


async def test_nobody_listening_is_no_answer() -> None:
    with pytest.raises(NoAnswer):
        await Line("http://127.0.0.1:1", "127.9.9.2").post("/", b"", {})


async def test_the_field_follows_the_registry_and_cuts_the_power_of_those_meant(server: Server, tmp_path: Path) -> None:
    clock = Clock()
    clock.start()
    field = Field(SCRIPT, clock, Journal(None), server=server.url, secret="x")
    pinged = replace(HOST, address="127.9.9.3", code="64.02.05.2004-01", probe="icmp", down_mbps=50.0)
    field.adopt([HOST, pinged])
    assert list(field.agents) == [HOST.code]
    assert 10 < field.shape_of(pinged.address).mbps <= 50
    await server.until(lambda: server.said)
    agent = field.agents[HOST.code]
    told = {"kind": "power", "codes": [HOST.code], "start_s": 0.0, "end_s": 3600.0, "loss_pct": None, "rtt_ms": None}
    field.act(acting_of(told))
    assert agent._memory is None
    field.adopt([pinged])
    assert field.agents == {}
    field.stop()


def test_the_secret_is_made_once_and_is_ours_alone(tmp_path: Path) -> None:
    first = secret_of(tmp_path)
    assert secret_of(tmp_path) == first
    assert stat.S_IMODE(os.stat(tmp_path / "agents.secret").st_mode) == 0o600
    assert token(first, "a").startswith("sd-")
    assert token(first, "a") != token(first, "b")
    assert set(token(first, "a")) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
