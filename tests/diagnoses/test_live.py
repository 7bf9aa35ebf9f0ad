"""A diagnosis from request to last line, with a real API, a worker's runner and a network namespace."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from socket import AF_INET, IPPROTO_ICMP, SOCK_RAW
from typing import Any

import pytest
from sqlalchemy import text

from app.postgres.engine import open_engine, open_sessions, transaction
from app.settings import ProbeSettings
from app.worker.diagnosis_runner import DiagnosisRunner
from probes import diagnose
from probes.policy import AddressPolicy
from probes.sweep import Prober
from simulator.namespace import Namespace, NamespaceUnavailable
from tests.conftest import Person, drop_database, make_database
from tests.factories import register
from tests.probes.conftest import Responder
from tests.support.namespace_sockets import sockets_inside
from tests.support.served_api import Served, served
from tests.support.sse import Event, Sse

ALLOWED = ["127.0.0.0/8"]


@pytest.fixture(scope="module")
def network() -> Iterator[Namespace]:
    try:
        opened = Namespace.open()
    except NamespaceUnavailable as problem:
        pytest.skip(str(problem))
    with opened:
        yield opened


@dataclass
class Live:
    served: Served
    responder: Responder
    diagnoses: DiagnosisRunner

    async def request(self, **changed: Any) -> dict[str, Any]:
        site = await register(self.served.cast, host="127.30.0.1", **changed)
        answer = await self.served.cast.ana.post(f"/sites/{site['id']}/diagnose", {"kind": "ping", "count": 3})
        assert answer.status_code == 201, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def read(self, made: dict[str, Any]) -> dict[str, Any]:
        answer = await self.served.cast.vera.get(f"/sites/{made['site_id']}/diagnoses/{made['id']}")
        return answer.json()  # type: ignore[no-any-return]

    async def stream(self, made: dict[str, Any], person: Person | None = None) -> Sse:
        headers = {"Authorization": (person or self.served.cast.vera).client.headers["Authorization"]}
        path = f"/api/v1/sites/{made['site_id']}/diagnoses/{made['id']}/stream"
        found = await Sse.open(self.served.port, path, headers)
        self.served.opened.append(found)
        return found


@pytest.fixture
async def live(server_url: str, migrated_template: str, network: Namespace) -> AsyncIterator[Live]:
    url = await make_database(server_url, migrated_template)
    engine = open_engine(url, name="test")
    sessions, responder = open_sessions(engine), Responder(network)
    raw = network.socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)
    async with (
        served(url, sessions, probe=ProbeSettings(allow=ALLOWED)) as found,
        Prober.open(AddressPolicy(allow=ALLOWED), sockets=[raw]) as prober,
    ):
        diagnoses = DiagnosisRunner(sessions, prober, open_socket=sockets_inside(network))
        yield Live(found, responder, diagnoses)
        await diagnoses.stop()
    responder.close()
    await engine.dispose()
    await drop_database(url, server_url)


async def until(stream: Sse, kind: str) -> list[Event]:
    events = [await stream.event()]
    while events[-1].kind != kind:
        events.append(await stream.event())
    return events


async def test_a_stream_sends_each_line_as_the_worker_finds_it(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnose, "SPACING_S", 0.2)
    second = asyncio.Event()
    live.responder.behave = lambda request: live.responder.reply(request) if second.is_set() else None
    made = await live.request()
    stream = await live.stream(made)
    first = await stream.event()
    assert (stream.status, first.kind, first.data["status"], "no worker" in first.data["notice"]) == (
        200,
        "status",
        "waiting",
        True,
    )
    await live.diagnoses.start_waiting()
    events = await until(stream, "line")
    assert [event.data.get("status") for event in events[:-1]] == ["running"] * (len(events) - 1)
    assert events[-1].data["found"] == {"kind": "target", "host": "127.30.0.1", "address": "127.30.0.1"}
    second.set()
    events = await until(stream, "end")
    lines = [event.data for event in events if event.kind == "line"]
    assert [line["number"] for line in lines] == [2, 3, 4, 5]
    assert [line["found"]["kind"] for line in lines] == ["packet"] * 3 + ["summary"]
    assert events[-1].data["status"] == "done"
    with pytest.raises(EOFError):
        await stream.event()
    read = await live.read(made)
    assert (read["status"], [line["number"] for line in read["lines"]]) == ("done", [1, 2, 3, 4, 5])


async def test_nothing_is_sent_to_a_network_that_was_forbidden_since(live: Live) -> None:
    seen: list[Any] = []
    live.responder.behave = seen.append
    made = await live.request()
    forbidding = Prober(
        AddressPolicy(), live.diagnoses.prober.resolver, live.diagnoses.prober.client, asyncio.Semaphore(), None
    )
    live.diagnoses.prober = forbidding
    stream = await live.stream(made)
    await live.diagnoses.start_waiting()
    end = (await until(stream, "end"))[-1].data
    assert (end["status"], "127.0.0.0/8" in end["problem"], seen) == ("failed", True, [])
    assert (await live.read(made))["lines"] == []


async def test_a_stopping_worker_fails_its_running_diagnoses(live: Live) -> None:
    live.responder.behave = lambda request: None
    made = await live.request()
    stream = await live.stream(made)
    await live.diagnoses.start_waiting()
    await until(stream, "line")
    await live.diagnoses.stop()
    end = (await until(stream, "end"))[-1].data
    assert (end["status"], end["problem"]) == ("failed", "the worker was stopped before it was done")


async def test_a_stream_ends_when_its_callers_token_is_revoked_or_the_service_ends(live: Live) -> None:
    made = await live.request()
    one = await live.stream(made)
    assert (await one.event()).kind == "status"
    async with transaction(live.served.sessions) as session:
        await session.execute(text("UPDATE token SET revoked_at = now() WHERE name = 'vera'"))
    with pytest.raises(EOFError):
        await until(one, "nothing more")
    other = await live.stream(made, live.served.cast.ana)
    assert (await other.event()).kind == "status"
    live.served.app.state.streams.end()
    with pytest.raises(EOFError):
        await other.event()


async def test_concurrent_requests_for_one_site_open_one_diagnosis(live: Live) -> None:
    site = await register(live.served.cast, host="127.30.0.7")
    answers = await asyncio.gather(
        *(
            person.post(f"/sites/{site['id']}/diagnose", {"kind": "ping"})
            for person in (live.served.cast.ana, live.served.cast.sari)
            for _ in range(3)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201, 429, 429, 429, 429, 429]
