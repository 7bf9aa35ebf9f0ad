"""Status streams over real connections: slow clients, reconnects, revoked rights, limits."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text, update

from app.access.models import Account, Role, StreamTicket, Token
from app.api.app import create_app
from app.core.clock import utc_now
from app.postgres.engine import Counter, next_version, open_engine, open_sessions, transaction
from app.runtime import connections
from app.settings import Settings
from app.status import stream as streaming
from app.status.version import Version
from tests.access.browser import PASSWORD, account
from tests.benchmarks.polling import fill
from tests.conftest import Person, drop_database, make_database
from tests.factories import BERAU_VILLAGE, register
from tests.support.demo_process import wait_for
from tests.support.killing import Api
from tests.support.served_api import Served, served, serving
from tests.support.sse import Sse
from tests.support.status_streams import judged, states, ticket, until_told


async def test_a_stream_sends_the_full_status_and_then_each_change_at_once(live: Served) -> None:
    one, other = await register(live.cast), await register(live.cast, host="198.51.100.2")
    await judged(live, one, "up")
    await live.settle()
    stream = await live.stream(live.cast.vera)
    assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert stream.headers["cache-control"] == "no-cache, no-transform"
    assert stream.headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in stream.headers
    first = await stream.event()
    assert (first.kind, first.data["version"]) == ("snapshot", first.id)
    assert set(states(first.data)) == {one["code"], other["code"]}
    started = time.monotonic()
    await judged(live, other, "down")
    told = await until_told(stream, other["code"], "down")
    assert time.monotonic() - started < 2
    assert (told["removed"], "data_age_s" in told) == ([], True)


async def test_a_stream_keeps_to_its_callers_scope_and_filters(live: Served) -> None:
    cast = live.cast
    here = await register(cast)
    there = await register(cast, village_code=BERAU_VILLAGE, host="198.51.100.9", provider="iconplus")
    for site in (here, there):
        await judged(live, site, "up")
    await live.settle()
    ana, ben, icon, down = [
        await live.stream(person, asked)
        for person, asked in ((cast.ana, ""), (cast.ben, ""), (cast.icon, ""), (cast.vera, "state=down"))
    ]
    assert [set(states((await stream.event()).data)) for stream in (ana, ben, icon, down)] == [
        {here["code"]},
        {there["code"]},
        {there["code"]},
        set(),
    ]
    await judged(live, here, "down")
    await until_told(ana, here["code"], "down")
    await until_told(down, here["code"], "down")
    await cast.sari.patch(f"/sites/{there['id']}", {"village_code": "64.02.06.1001"})
    assert states((await ana.event()).data) == {there["code"]: "up"}, "it came from elsewhere"
    gone = await ben.event()
    assert (gone.kind, gone.data["changed"], gone.data["removed"]) == ("change", [], [there["id"]])
    assert here["code"].encode() not in gone.body
    assert (await live.stream(cast.ben, "region=64.02")).status == 403


async def test_a_stream_of_versions_tells_that_something_happened_and_not_what_nor_of_each_refresh(
    live: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "BEAT_S", 0)  # what is no news is a beat
    here, there = await register(live.cast), await register(live.cast, village_code=BERAU_VILLAGE, host="198.51.100.9")
    await judged(live, here, "up")
    await live.settle()
    stream = await live.stream(live.cast.ana, "detail=version")
    first = await stream.event()
    assert (first.kind, set(first.data)) == ("version", {"version", "generated_at", "data_age_s"})

    live.app.state.snapshot.refresh_s = 0  # a version each second
    while (event := await stream.event()).id == first.id:
        assert event.kind == "beat"
    assert event.kind == "beat", "a refresh of RTT and loss alone"

    async def kinds_until_settled() -> set[str]:
        await live.settle()
        settled, kinds = Version.parse(str(live.app.state.snapshot.version)), set()
        while Version.parse((event := await stream.event()).id) < settled:
            kinds.add(event.kind)
        return kinds | {event.kind}

    await judged(live, there, "down")
    assert await kinds_until_settled() == {"beat"}, "of another district"
    await judged(live, here, "down")
    assert "version" in await kinds_until_settled()
    assert (await live.stream(live.cast.ana, f"detail=version&since={first.id}")).status == 200
    assert (await live.stream(live.cast.ana, "detail=all")).status == 422


async def test_an_idle_stream_sends_beats_with_the_age_of_the_data(
    live: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "BEAT_S", 1)
    stream = await live.stream(live.cast.vera)
    kinds = [(await stream.event()).kind for _ in range(2)]
    assert kinds == ["snapshot", "beat"]
    beat = await stream.event()
    assert (beat.kind, beat.data["version"], beat.data["data_age_s"]) == ("beat", beat.id, None)


async def test_a_reconnecting_client_gets_what_it_missed_or_a_snapshot(live: Served) -> None:
    made = await register(live.cast)
    await live.settle()
    stream = await live.stream(live.cast.vera)
    seen = (await stream.event()).id
    stream.close()
    await judged(live, made, "up")
    await live.settle()
    back = await (await live.stream(live.cast.vera, last=seen)).event()
    assert (back.kind, states(back.data)) == ("change", {made["code"]: "up"})
    again = await (await live.stream(live.cast.vera, f"since={seen}", last=back.id)).event()
    assert (again.kind, again.id) == ("beat", back.id), "nothing was missed"
    assert (await (await live.stream(live.cast.vera, f"since={seen}")).event()).kind == "change"
    for lost in ("1.2.3.4.5", "of an earlier release"):
        assert (await (await live.stream(live.cast.vera, last=lost)).event()).kind == "snapshot"
    assert (await live.stream(live.cast.vera, "since=nonsense")).status == 422


async def test_a_restored_database_sends_a_new_snapshot(live: Served) -> None:
    made = await register(live.cast)
    await live.settle()
    stream = await live.stream(live.cast.vera)
    assert (await stream.event()).kind == "snapshot"
    async with transaction(live.sessions) as session:
        await session.execute(text("DELETE FROM site_status"))
        await session.execute(text("UPDATE change_counter SET version = version + 5 WHERE name = 'generation'"))
        await next_version(session, Counter.STATUS)
    while (event := await stream.event()).kind != "snapshot":
        pass
    assert made["code"] not in states(event.data)


async def test_a_ticket_opens_one_stream_of_its_owners_within_a_minute(live: Served) -> None:
    made = await register(live.cast)
    await register(live.cast, village_code=BERAU_VILLAGE, host="198.51.100.9")
    await live.settle()
    good = await ticket(live.cast.ana)
    opened = await live.stream(live.cast.stranger, f"ticket={good}")
    assert set(states((await opened.event()).data)) == {made["code"]}
    late = await ticket(live.cast.ana)
    async with transaction(live.sessions) as session:
        await session.execute(update(StreamTicket).values(expires_at=utc_now() - timedelta(seconds=1)))
    for bad in (good, late, "", "x" * 43):
        assert (await live.stream(live.cast.stranger, f"ticket={bad}")).status == 401
    assert (await live.stream(live.cast.sari, f"ticket={good}")).status == 401, "nothing makes up for a bad one"
    assert (await live.cast.stranger.get("/status", params={"ticket": await ticket(live.cast.ana)})).status_code == 422
    assert (await live.cast.stranger.post("/status/stream-ticket")).status_code == 401


async def test_a_ticket_opens_one_stream_on_any_replica_and_is_stored_hashed(live: Served) -> None:
    good = await ticket(live.cast.vera)
    async with serving(create_app(Settings(database_url=live.url))) as replica:
        ports = [live.port, replica] * 5
        tried = await asyncio.gather(*(live.stream(live.cast.stranger, f"ticket={good}", port=port) for port in ports))
        assert sorted(stream.status for stream in tried) == [200] + [401] * 9
        kept = await ticket(live.cast.vera)
        async with transaction(live.sessions) as session:
            rows = (await session.execute(text("SELECT t::text FROM stream_ticket t"))).scalars().all()
        assert len(rows) == 1
        assert kept not in rows[0]
        for stream in tried:
            stream.close()


async def ends(stream: Sse, *, within_s: float) -> None:
    with contextlib.suppress(EOFError):
        async with asyncio.timeout(within_s):
            while True:
                await stream.event(within_s)


async def test_a_stream_ends_within_five_seconds_of_its_callers_right_to_it(live: Served) -> None:
    made = await register(live.cast)
    await live.settle()
    async with live.sessions() as session:
        await account(session, "dian", Role.DISTRICT_OPERATOR, "64.02")
        await account(session, "eka", Role.DISTRICT_OPERATOR, "64.02")
    opened = [await live.stream(live.cast.ana), await live.stream(live.cast.vera)]
    for username in ("eka", "dian"):
        await sign_in(live.cast.stranger, username)
        opened.append(await live.stream(live.cast.stranger, f"ticket={await ticket(live.cast.stranger)}"))
    for stream in opened:
        assert states((await stream.event()).data) == {made["code"]: "unknown"}
    by_token, others, by_scope, by_session = opened
    async with transaction(live.sessions) as session:
        await session.execute(update(Token).where(Token.name == "ana").values(revoked_at=utc_now()))
        await session.execute(update(Account).where(Account.username == "eka").values(region_code="64.03"))
    assert (await live.cast.stranger.delete("/session")).status_code == 204
    await asyncio.gather(*(ends(stream, within_s=5) for stream in (by_token, by_scope, by_session)))
    await judged(live, made, "down")
    await until_told(others, made["code"], "down")


async def sign_in(person: Person, username: str) -> None:
    """Sign in as in a new browser."""
    person.client.cookies.clear()
    person.client.headers.pop("X-CSRF-Token", None)
    answer = await person.post("/session", {"username": username, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    assert (await person.post("/status/stream-ticket")).status_code == 403, "without its CSRF token"
    person.client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]


async def test_streams_are_limited_and_a_closed_one_frees_its_place(live: Served) -> None:
    live.app.state.settings.status.max_streams = 2
    streams = [await live.stream(live.cast.vera) for _ in range(2)]
    for stream in streams:
        await stream.event()
    refused = await live.cast.vera.get("/status/stream")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert refused.json()["type"].endswith("/too-many-streams")
    streams[0].close()
    await asyncio.sleep(0.2)
    assert live.app.state.streams.open == 1
    assert (await live.stream(live.cast.vera)).status == 200


async def test_a_caller_and_an_address_have_a_share_of_the_streams(live: Served) -> None:
    status = live.app.state.settings.status
    status.streams_per_caller, status.streams_per_address = 2, 3
    streams = [await live.stream(live.cast.vera) for _ in range(2)]
    for stream in streams:
        await stream.event()
    refused = await live.cast.vera.get("/status/stream")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
    assert refused.json()["type"].endswith("/too-many-streams-of-caller")
    other = await live.stream(live.cast.ana)
    assert (other.status, (await other.event()).kind) == (200, "snapshot")
    assert (await live.cast.ben.get("/status/stream")).status_code == 429, "from the same address"
    streams[0].close()
    await asyncio.to_thread(wait_for, lambda: live.app.state.streams.open == 2, 3, every_s=0.05)
    assert (await live.stream(live.cast.vera)).status == 200


async def test_streams_that_are_opened_at_once_keep_to_the_share(live: Served) -> None:
    live.app.state.settings.status.streams_per_caller = 2
    opened = await asyncio.gather(*(live.stream(live.cast.vera) for _ in range(12)))
    assert sorted(stream.status for stream in opened) == [200] * 2 + [429] * 10


async def test_head_opens_no_stream(live: Served) -> None:
    answer = await live.cast.vera.client.head("/api/v1/status/stream", timeout=3)
    assert (answer.status_code, answer.content) == (200, b"")
    await asyncio.sleep(0.1)
    assert live.app.state.streams.open == 0


@pytest.fixture
async def full(server_url: str) -> AsyncIterator[Served]:
    """A served API with 2,000 sites, each up or down."""
    url = await make_database(server_url)
    await fill(url, 2_000)
    engine = open_engine(url, name="test")
    async with served(url, open_sessions(engine)) as found:
        yield found
    await engine.dispose()
    await drop_database(url, server_url)


async def judge_all(live: Served, state: str) -> None:
    async with transaction(live.sessions) as session:
        version = await next_version(session, Counter.STATUS)
        await session.execute(
            text("UPDATE site_status SET state = :state, version = :version"), {"state": state, "version": version}
        )
    await live.settle()


async def test_a_slow_client_skips_versions(full: Served) -> None:
    slow = await full.stream(full.cast.vera, receive_buffer=32_768)
    slow.pause()
    for state in ("degraded", "down", "degraded", "up"):
        await judge_all(full, state)
    slow.resume()
    snapshot, change = await slow.event(20), await slow.event(20)
    assert (snapshot.kind, change.kind, len(states(snapshot.data))) == ("snapshot", "change", 2_000)
    assert set(states(change.data).values()) == {"up"}
    assert change.id == str(full.app.state.snapshot.version)


async def test_a_client_that_does_not_read_is_disconnected_and_the_others_go_on(
    full: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "UNREAD_MS", 2_000)
    stuck = await full.stream(full.cast.vera, receive_buffer=4096)
    stuck.pause()
    other = await full.stream(full.cast.vera)
    assert (await other.event()).kind == "snapshot"
    assert full.app.state.streams.open == 2
    started = time.monotonic()
    while full.app.state.streams.open == 2:
        assert time.monotonic() - started < 6
        await judge_all(full, "degraded" if int(time.monotonic()) % 2 else "up")
    await judge_all(full, "down")
    while set(states((event := await other.event()).data).values()) != {"down"}:
        assert event.kind == "change"


async def test_a_change_reaches_two_hundred_streams_within_two_seconds(full: Served) -> None:
    full.app.state.settings.status.streams_per_caller = 200
    streams = await asyncio.gather(*(full.stream(full.cast.vera) for _ in range(200)))
    for stream in streams:
        assert (await stream.event()).kind == "snapshot"
    async with full.sessions() as session:
        site_id, code = (await session.execute(text("SELECT id, code FROM site WHERE id = 7"))).one()
    started = time.monotonic()
    await judged(full, {"id": site_id}, "degraded")
    await asyncio.gather(*(until_told(stream, code, "degraded") for stream in streams))
    assert time.monotonic() - started < 2


async def test_streams_do_not_delay_a_stopping_api(live: Served, tmp_path: Path) -> None:
    replica = Api(live.url, tmp_path / "api")
    try:
        replica.start()
        await asyncio.to_thread(wait_for, lambda: replica.ready, 120)
        streams = [await live.stream(live.cast.vera, port=int(replica.url.rpartition(":")[2])) for _ in range(20)]
        for stream in streams:
            assert (await stream.event()).kind == "snapshot"
        assert await asyncio.to_thread(replica.end) < 4
        for stream in streams:
            await ends(stream, within_s=10)
    finally:
        await asyncio.to_thread(replica.close)
