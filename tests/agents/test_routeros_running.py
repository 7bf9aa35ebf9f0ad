"""The RouterOS agent, run by our reading of its script language against the service: no RouterOS runs here."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.support.agent_fixtures import Agent
from tests.support.push_samples import backdate_site
from tests.support.routeros import Block, Router, ScriptError, Time

URL = "http://test"
REPLY = "00:00:00.021866"


@dataclass
class Machine:
    """A router on its desk: its clock, the replies to its pings, and what becomes of its requests."""

    send: Callable[..., Coroutine[Any, Any, httpx.Response]]
    router: Router = field(init=False)
    uptime: Time = field(default_factory=lambda: Time(1000))
    replies: list[str] = field(default_factory=lambda: [REPLY] * 3)
    pings: list[dict[str, Any]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)  # failures of the next requests, "" for the server's own answer
    requests: list[dict[str, Any]] = field(default_factory=list)
    scripts: dict[str, dict[str, Any]] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=lambda: {"rx-byte": 0, "tx-byte": 0})
    traffic_bytes: int = 1000  # between two readings of a counter
    mode: bool = True  # whether its device-mode allows fetch and scheduler
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    def __post_init__(self) -> None:
        self.router = Router(
            {
                "ping": self.ping,
                "tool fetch": self.fetch,
                "system resource get uptime": lambda: self.uptime,
                "system device-mode get scheduler": lambda: self.mode,
                "find": lambda name: name if name in self.scripts else "",
                "system script get": self.script_field,
                "system script add": lambda name, **fields: self.scripts.update({name: fields}),
                "system script remove": lambda name: self.scripts.pop(name, None),
                "system scheduler add": lambda **fields: None,
                "system scheduler remove": lambda name: None,
                "ip route find": lambda **_: ["*1"],
                "ip route get": lambda route, field: "192.168.1.1%ether1",
                "interface get": self.counter,
                "certificate settings get builtin-trust-store": lambda: "default",
            }
        )

    def counter(self, interface: str, name: str) -> int:
        assert interface == "ether1"
        self.counters[name] += self.traffic_bytes
        return self.counters[name]

    def script_field(self, name: str, wanted: str) -> Any:
        if name not in self.scripts:
            raise ScriptError("no such item")
        return self.scripts[name][wanted]

    def ping(self, anchor: str, *flags: str, **options: Any) -> list[dict[str, str]]:
        self.pings.append({"anchor": anchor, **options})
        return [{"time": time} for time in self.replies]

    def fetch(self, *flags: str, url: str, **options: Any) -> dict[str, str]:
        self.requests.append({"url": url, **options})
        failure = self.answers.pop(0) if self.answers else ""
        if failure:
            raise ScriptError(f"{failure} (/tool/fetch; line 401)")
        headers = dict(part.split(": ") for part in options.get("http-header-field", "").split(",") if part)
        method, body = options.get("http-method", "get").upper(), options.get("http-data")
        sending = self.send(method, url, headers=headers, content=body)
        answer: httpx.Response = asyncio.run_coroutine_threadsafe(sending, self.loop).result(60)
        if not answer.is_success:
            raise ScriptError(f"Fetch failed with status {answer.status_code} (/tool/fetch; line 1)")
        return {"status": "finished", "data": answer.text}

    async def install(self, script: str) -> None:
        await asyncio.to_thread(self.router.run, script)

    async def beat(self, *, after_s: int = 60) -> None:
        self.uptime = Time(self.uptime + after_s)
        source = self.scripts["sinyal"]["source"]
        assert isinstance(source, Block)
        await asyncio.to_thread(self.router.run, source.source)

    @property
    def rows(self) -> list[str]:
        return self.router.globals.get("sinyalRows") or []

    @property
    def pause_s(self) -> int:
        return int(self.router.globals["sinyalNext"] - self.uptime)


async def script_of(agent: Agent, site_id: int | None = None) -> str:
    answer = await agent.client.post(
        f"/api/v1/sites/{site_id or agent.site['id']}/agent?kind=routeros", headers=agent.extra["headers"]
    )
    assert answer.status_code == 201, answer.text
    return answer.text


@pytest.fixture
async def machine(agent: Agent, cast: Any) -> Machine:
    agent.extra["headers"] = {"Authorization": cast.ana.client.headers["Authorization"]}
    machine = Machine(agent.client.request)
    await machine.install(await script_of(agent))
    return machine


async def test_it_measures_and_its_row_is_stored_once(machine: Machine, agent: Agent) -> None:
    await machine.beat(after_s=0)
    (reading,) = await agent.dequeue()
    assert (reading.outcome, reading.sent, reading.rtt_us) == ("ok", 3, (21866,) * 3)
    assert machine.rows == []
    await machine.beat()
    assert len(await agent.dequeue()) == 1
    assert (await agent.row("device"))["seq"] == 2
    assert machine.router.log[1:] == []


async def test_a_packet_is_waited_for_as_long_as_its_technology_needs(machine: Machine, agent: Agent) -> None:
    await machine.beat()
    assert [(ping["count"], ping["interval"]) for ping in machine.pings] == [(3, Time(2))]
    assert "interval=3s" in (await script_of(await made_geo(agent)))


async def made_geo(agent: Agent) -> Agent:
    changed = await agent.client.patch(
        f"/api/v1/sites/{agent.site['id']}", json={"technology": "geo"}, headers=agent.extra["headers"]
    )
    assert changed.status_code == 200, changed.text
    return agent


async def test_lost_packets_are_sent_as_lost_after_the_second_anchor_was_asked(machine: Machine, agent: Agent) -> None:
    machine.replies = [REPLY, "", ""]
    await machine.beat()
    (reading,) = await agent.dequeue()
    assert (reading.sent, reading.rtt_us) == (3, (21866,))
    assert len({ping["anchor"] for ping in machine.pings}) == 2


@pytest.mark.parametrize("wording", ["Fetch failed with status {}", "failure: Status {}"])
async def test_an_error_is_understood_in_the_words_of_every_version(
    machine: Machine, agent: Agent, wording: str
) -> None:
    machine.answers = [wording.format(502)]
    await machine.beat()
    assert len(machine.rows) == 1
    assert 30 <= machine.pause_s <= 120, "no longer than our own stop may silence it"
    machine.answers = [wording.format(413), wording.format(400)]
    await machine.beat(after_s=130)
    assert machine.rows == [], "the first of two rows was refused alone and set aside, the other one was sent"
    assert machine.router.globals["sinyalDropped"] == 1
    assert [reading.sent for reading in await agent.dequeue()] == [3]


async def test_a_refused_token_is_tried_again_within_minutes_and_no_line_number_is_taken_for_it(
    machine: Machine, agent: Agent
) -> None:
    await backdate_site(agent)
    machine.answers = ["failure: connection timeout"]
    await machine.beat()
    assert machine.pause_s == 0, "the link is down: at the next beat"
    pauses = []
    for _ in range(7):
        machine.answers = ["failure: Status 401"]
        await machine.beat(after_s=4000)
        pauses.append(machine.pause_s)
    assert pauses == [120, 240, 480, 960, 1920, 1920, 1920]
    await machine.beat(after_s=2000)
    assert machine.rows == []
    assert len(await agent.dequeue()) == 9


async def test_another_sites_rows_do_not_come_along(machine: Machine, agent: Agent, cast: Any) -> None:
    machine.answers = ["failure: connection timeout"] * 2
    await machine.beat()
    boot = machine.router.globals["sinyalBoot"]
    await machine.install(await script_of(agent))
    await machine.beat()
    assert (machine.router.globals["sinyalBoot"], len(machine.rows)) == (boot, 2), "the same site: they stay"
    other = await cast.ana.client.post("/api/v1/sites", json=OTHER)
    await machine.install(await script_of(agent, other.json()["id"]))
    await machine.beat()
    assert machine.router.globals["sinyalBoot"] != boot
    assert await agent.dequeue() == []


OTHER = {"village_code": "64.02.05.2003", "technology": "fiber", "provider": "telkom-wms", "probe": "push"}


async def test_a_home_router_is_told_what_to_press_and_nothing_is_installed(machine: Machine, agent: Agent) -> None:
    machine.mode = False
    machine.scripts.clear()
    with pytest.raises(ScriptError, match="device-mode"):
        await machine.install(await script_of(agent))
    assert machine.scripts == {}
    assert any("/system/device-mode/update mode=advanced" in line for line in machine.router.printed)


async def test_a_granted_download_is_made_and_reported(machine: Machine, agent: Agent) -> None:
    await machine.beat()
    grant = '{"accepted":1,"speedtest_grant":"q3Vn0x-2","speedtest":{"down_bytes":9}}'
    real, machine.send = machine.send, answering(grant)
    await machine.beat()
    machine.send = real
    asked = machine.requests[-3:]
    assert [request["url"] for request in asked] == [
        f"{URL}/api/v1/push",
        f"{URL}/api/v1/speedtest?grant=q3Vn0x-2",
        f"{URL}/api/v1/speedtest/report",
    ]
    assert (asked[1]["output"], asked[2]["http-data"]) == ("none", '{"grant":"q3Vn0x-2"}')


async def test_a_link_in_use_is_not_tested(machine: Machine, agent: Agent) -> None:
    await machine.beat()
    machine.send, machine.traffic_bytes = answering('{"accepted":1,"speedtest_grant":"q3Vn0x-2"}'), 90_000
    await machine.beat()
    assert [request["url"] for request in machine.requests[2:]] == [f"{URL}/api/v1/speedtest/report"]
    figures = '"deferred":true,"rx_bps":72000,"tx_bps":72000'
    assert machine.requests[-1]["http-data"] == f'{{"grant":"q3Vn0x-2",{figures}}}'


def answering(text: str) -> Callable[..., Coroutine[Any, Any, httpx.Response]]:
    async def send(*_: Any, **__: Any) -> httpx.Response:
        return httpx.Response(200, text=text)

    return send


async def test_removal_ends_its_token(machine: Machine, agent: Agent) -> None:
    await machine.beat()
    machine.router.globals["sinyalEnd"] = "yes"
    await machine.beat()
    assert machine.router.printed[-1].startswith("Token diakhiri")
    machine.router.globals["sinyalEnd"] = "no"
    await machine.beat()
    assert len(machine.rows) == 1, "refused"
