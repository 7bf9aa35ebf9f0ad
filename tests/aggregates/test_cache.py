"""Aggregate responses are cached until something changes them, and not a moment longer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from starlette.routing import BaseRoute

from app.aggregates.cache_key import DataVersion
from app.aggregates.response_cache import ENTRY_BYTES, ResponseCache
from app.availability.daily_rollup import count_days
from app.core.clock import to_slot, utc_now
from app.judging.blind_ranges import BlindRange
from app.latency.rollup import roll_up
from app.postgres.engine import Counter, Sessions, next_version, transaction
from app.settings import AggregatesSettings
from app.worker import writer as worker
from probes.contract import CENTRAL, Outcome, Reading
from tests.conftest import Cast, Person
from tests.factories import BERAU_VILLAGE, register
from tests.support.monthly_close import CLOSES, END, MONTH, START, close
from tests.support.shared_start import savepoint, shared_start
from tests.support.site_histories import day, record_cause, under_contract
from tests.support.uptime import when_yesterday_is_counted

HOUR = timedelta(hours=1)
OUTAGE, GAP = (day(2, 6), day(2, 8)), (day(2, 12), day(2, 16))
SETTLED = {"from": day(3).isoformat(), "to": day(1).isoformat()}
RUNNING = {"period": "24h"}
SOURCES = ("state_segment", "availability_day", "rollup_hour", "rollup_day", "region_day", "measurement")


@pytest.fixture(autouse=True)
def refresh_after_10_s(app: FastAPI) -> None:
    app.state.settings = app.state.settings.model_copy(update={"aggregates": AggregatesSettings(refresh_s=10)})


class Clock:
    now = 1_800_000_000.0


@pytest.fixture
def clock(app: FastAPI) -> Clock:
    """The clock of the response cache; it stands still until a test moves it."""
    clock = Clock()
    app.state.aggregate_cache = ResponseCache(clock=lambda: clock.now)
    return clock


class Statements(list[str]):
    """What was sent to the database."""

    def computing(self) -> list[str]:
        """Those that read what aggregates are computed from."""
        return [sql for sql in self if any(table in sql for table in SOURCES) and "change_counter" not in sql]


@pytest.fixture
def statements(engine: AsyncEngine) -> Iterator[Statements]:
    recorded = Statements()

    def record(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        recorded.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", record)
    yield recorded
    event.remove(engine.sync_engine, "before_cursor_execute", record)


class MeasuredSite:
    """A site measured each half hour for four days, written as the worker writes: with an outage and a gap."""

    def __init__(self, sessions: Sessions, cast: Cast, site_id: int) -> None:
        self.sessions, self.cast, self.site_id = sessions, cast, site_id

    async def measure(
        self, start: datetime, end: datetime, outcome: Outcome = Outcome.OK, rtt_us: int = 20_000
    ) -> None:
        rtts = (rtt_us,) * 3 if outcome is Outcome.OK else ()
        slots = range(to_slot(start), to_slot(end), 1800)
        items = [(Reading(self.site_id, slot, outcome, 3, rtts, 3600, None, CENTRAL), day(4)) for slot in slots]
        async with transaction(self.sessions) as session:
            await worker.write_batch(session, items, [])

    async def count(self) -> None:
        async with transaction(self.sessions) as session:
            await count_days(session, when_yesterday_is_counted(), days=400, stale_days=400)
        more = True
        while more:
            async with transaction(self.sessions) as session:
                more = await roll_up(session, utc_now())

    @property
    def paths(self) -> dict[str, str]:
        return {
            "site": f"/sites/{self.site_id}/uptime",
            "region": "/regions/64.02/uptime",
            "provider": "/providers/telkom-wms/uptime",
            "ranking": "/ranking?by=provider",
            "site latency": f"/sites/{self.site_id}/latency",
            "region latency": "/regions/64.02/latency",
            "provider latency": "/providers/telkom-wms/latency",
        }

    async def get(self, name: str, period: dict[str, str] = SETTLED, **headers: str) -> tuple[str, Any]:
        path, _, query = self.paths[name].partition("?")
        params = dict(pair.split("=") for pair in query.split("&") if pair) | period
        answer = await self.cast.sari.get(path, params=params, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.headers["etag"], answer.json()

    async def get_all(self, period: dict[str, str] = SETTLED) -> dict[str, tuple[str, Any]]:
        return {name: await self.get(name, period) for name in self.paths}


@pytest.fixture(scope="module")
async def history(engine: AsyncEngine, routes: list[BaseRoute]) -> AsyncIterator[tuple[AsyncConnection, int]]:
    async with shared_start(engine, routes) as start:
        yield start.connection, await write_history(start.sessions, start.session, start.cast)


@pytest.fixture
async def connection(history: tuple[AsyncConnection, int]) -> AsyncIterator[AsyncConnection]:
    async with savepoint(history[0]) as connection:
        yield connection


@pytest.fixture
def measured_site(history: tuple[AsyncConnection, int], sessions: Sessions, cast: Cast, clock: Clock) -> MeasuredSite:
    return MeasuredSite(sessions, cast, history[1])


async def write_history(sessions: Sessions, session: AsyncSession, cast: Cast) -> int:
    """Return the id of the site."""
    site = await register(cast, host="198.51.100.1")
    async with session.begin():
        for statement in (
            "UPDATE site SET created_at = :at, addressed_at = :at",
            "UPDATE site_configuration SET started_at = :at, addressed_at = :at",
            "UPDATE site_status SET addressed_at = :at, since = :at",
            "UPDATE rollup_watermark SET upto = :at, site_id = 0",
        ):
            await session.execute(text(statement), {"at": day(4)})
    await under_contract(session, site["id"], valid_from=day(4).date(), terms=[(day(4).date(), {})])
    measured_site = MeasuredSite(sessions, cast, site["id"])
    await measured_site.measure(day(4), OUTAGE[0])
    await measured_site.measure(*OUTAGE, Outcome.TIMEOUT)
    await measured_site.measure(OUTAGE[1], GAP[0])
    await measured_site.measure(GAP[1], utc_now())
    await measured_site.count()
    return measured_site.site_id


UPTIMES, LATENCIES = ("site", "region", "provider", "ranking"), ("site latency", "region latency", "provider latency")


async def test_a_repeated_request_is_computed_once(measured_site: MeasuredSite, statements: Statements) -> None:
    for period in (SETTLED, RUNNING, {"period": "7d", "step": "hour"}, {"from": day(0).isoformat()}):
        names = [name for name in measured_site.paths if not (name == "ranking" and "step" in period)]
        for name in names:
            statements.clear()
            first = await measured_site.get(name, period)
            assert statements.computing(), name
            statements.clear()
            assert await measured_site.get(name, period) == first
            assert statements.computing() == [], name
            assert len([sql for sql in statements if "SAVEPOINT" not in sql]) <= 6, (name, statements)


async def test_a_matching_etag_gets_304_without_computing(
    measured_site: MeasuredSite, app: FastAPI, statements: Statements
) -> None:
    etags = {name: (await measured_site.get(name))[0] for name in measured_site.paths}
    app.state.aggregate_cache = ResponseCache(clock=app.state.aggregate_cache.clock)
    statements.clear()
    for name, etag in etags.items():
        path, _, query = measured_site.paths[name].partition("?")
        params = dict(pair.split("=") for pair in query.split("&") if pair) | SETTLED
        for tag in (etag, f"W/{etag}", f'"other", {etag}'):
            answer = await measured_site.cast.sari.get(path, params=params, headers={"If-None-Match": tag})
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
        answer = await measured_site.cast.sari.get(
            path, params=params, headers={"If-None-Match": etag, "Accept": "text/csv"}
        )
        assert answer.status_code == 200, "CSV has another tag"
    assert len(statements.computing()) > 0


Change = Callable[[MeasuredSite, AsyncSession], Awaitable[None]]


async def late_batch(measured_site: MeasuredSite, session: AsyncSession) -> None:
    await measured_site.measure(*GAP)


async def late_outage(measured_site: MeasuredSite, session: AsyncSession) -> None:
    await measured_site.measure(*GAP, Outcome.TIMEOUT)


async def blindness(measured_site: MeasuredSite, session: AsyncSession) -> None:
    async with transaction(measured_site.sessions) as writing:
        await worker.write_batch(writing, [], [BlindRange(OUTAGE[0] - HOUR, OUTAGE[1], "uplink")])


async def cause(measured_site: MeasuredSite, session: AsyncSession) -> None:
    await record_cause(session, measured_site.site_id, *OUTAGE, "power")


async def maintenance(measured_site: MeasuredSite, session: AsyncSession) -> None:
    window = {
        "site": str(measured_site.site_id),
        "started_at": OUTAGE[0].isoformat(),
        "ended_at": OUTAGE[1].isoformat(),
        "title": "works",
        "reason": "was announced",
    }
    made = await measured_site.cast.sari.post("/maintenance", window)
    assert made.status_code == 201, made.text


async def terms(measured_site: MeasuredSite, session: AsyncSession) -> None:
    contract = (await measured_site.cast.sari.get("/contracts")).json()["items"][0]["id"]
    effective_from = str((day(4) + HOUR * 8).date())
    changes = {"min_outage_s": 86_000, "sla_target_pct": 12, "effective_from": effective_from, "reason": "amended"}
    changed = await measured_site.cast.sari.patch(f"/contracts/{contract}", changes)
    assert changed.status_code == 200, changed.text


CHANGES: dict[str, tuple[Change, tuple[str, ...]]] = {
    "a late batch": (late_batch, UPTIMES + LATENCIES),
    "late losses": (late_outage, UPTIMES + LATENCIES),
    "blindness": (blindness, UPTIMES + LATENCIES),
    "a cause": (cause, ("site", "region", "provider")),
    "maintenance": (maintenance, UPTIMES),
    "terms of a contract": (terms, ("site", "region", "provider")),
}


@pytest.mark.parametrize("kind", CHANGES)
async def test_a_retroactive_change_shows_at_once_and_stays_once_it_is_counted(
    kind: str, measured_site: MeasuredSite, session: AsyncSession
) -> None:
    change, names = CHANGES[kind]
    before = await measured_site.get_all()
    await change(measured_site, session)
    after = await measured_site.get_all()
    for name in names:
        assert after[name][0] != before[name][0], name
        assert after[name][1] != before[name][1], name
    await measured_site.count()
    settled = await measured_site.get_all()
    for name in measured_site.paths:
        assert settled[name][1] == after[name][1], name
        if name in names:
            assert settled[name][0] != before[name][0], name
    assert await measured_site.get_all() == settled


async def test_a_new_reading_shows_within_seconds_and_does_not_expire_settled_periods(
    measured_site: MeasuredSite, clock: Clock, session: AsyncSession
) -> None:
    today = {"from": day(1).isoformat(), "to": utc_now().isoformat()}
    past, before = await measured_site.get_all(), await measured_site.get_all(today)
    begun = max(utc_now() - 3 * HOUR, day(0) + timedelta(seconds=1))  # of a day that is not over
    await measured_site.measure(begun, max(utc_now() - 2 * HOUR, begun + timedelta(seconds=1)), rtt_us=45_000)
    assert await measured_site.get_all() == past
    clock.now += 10
    after = await measured_site.get_all(today)
    for name in LATENCIES:
        assert after[name][0] != before[name][0], name
        assert after[name][1]["total"]["max_ms"] == 45, name
    assert await measured_site.get_all() == past


async def test_figures_of_today_are_no_older_than_the_setting_says(
    measured_site: MeasuredSite, clock: Clock, statements: Statements
) -> None:
    first = await measured_site.get("region", RUNNING)
    clock.now += 9
    assert await measured_site.get("region", RUNNING) == first
    clock.now += 1
    statements.clear()
    assert (await measured_site.get("region", RUNNING))[0] != first[0]
    assert statements.computing()


async def test_an_incident_of_today_shows_at_once(measured_site: MeasuredSite, session: AsyncSession) -> None:
    first = await measured_site.get("region", RUNNING)
    async with session.begin():
        await next_version(session, Counter.INCIDENT)
    assert (await measured_site.get("region", RUNNING))[0] != first[0]


async def test_sweeps_and_incidents_never_expire_settled_periods(
    measured_site: MeasuredSite, session: AsyncSession, clock: Clock, statements: Statements
) -> None:
    before = await measured_site.get_all()
    async with session.begin():
        await next_version(session, Counter.STATUS)
        await next_version(session, Counter.INCIDENT)
    clock.now += 86_400
    statements.clear()
    assert await measured_site.get_all() == before
    assert statements.computing() == []


async def test_a_day_that_is_over_but_not_counted_keeps_expiring(
    measured_site: MeasuredSite, session: AsyncSession, clock: Clock
) -> None:
    settled = await measured_site.get("region")
    async with session.begin():
        await session.execute(text("DELETE FROM counted_day WHERE day = :day"), {"day": (day(2) + HOUR * 8).date()})
    first = await measured_site.get("region")
    assert first[0] != settled[0]
    clock.now += 10
    assert (await measured_site.get("region"))[0] != first[0]


async def test_the_uptime_of_a_node_is_never_settled(
    measured_site: MeasuredSite, session: AsyncSession, clock: Clock
) -> None:
    async with session.begin():
        await session.execute(text("UPDATE site_configuration SET kind = 'node'"))
    first = await measured_site.get("site")
    clock.now += 10
    assert (await measured_site.get("site"))[0] != first[0]


async def test_a_site_that_moves_counts_elsewhere_at_once(measured_site: MeasuredSite) -> None:
    async def in_berau() -> Any:
        return (await measured_site.cast.sari.get("/regions/64.03/uptime?period=24h")).json()["total"]["sites"]

    before = await measured_site.get_all()
    assert await in_berau() == 0
    moved = await measured_site.cast.sari.patch(f"/sites/{measured_site.site_id}", {"village_code": BERAU_VILLAGE})
    assert moved.status_code == 200, moved.text
    await asyncio.sleep(1.1)  # a configuration is in force from the next second on
    assert await in_berau() == 1
    after = await measured_site.get_all()
    assert all(after[name][0] != before[name][0] for name in measured_site.paths)
    assert {name: body for name, (_, body) in after.items()} == {name: body for name, (_, body) in before.items()}


async def test_a_renamed_provider_is_ranked_by_its_new_name(measured_site: MeasuredSite) -> None:
    before = await measured_site.get("ranking")
    assert (await measured_site.cast.sari.patch("/providers/telkom-wms", {"name": "Telkom Baru"})).status_code == 200
    after = await measured_site.get("ranking")
    assert after[0] != before[0]
    assert after[1]["items"][0]["name"] == "Telkom Baru"


@pytest.mark.usefixtures("clock")
async def test_a_month_that_is_closed_or_corrected_shows_at_once(
    session: AsyncSession, cast: Cast, contracted: int
) -> None:
    path = f"/sites/{contracted}/uptime?period={MONTH:%Y-%m}&step=month"

    async def row() -> Any:
        answer = await cast.sari.get(path)
        return answer.headers["etag"], answer.json()["total"]

    before = await row()
    await close(session, CLOSES)
    closed = await row()
    assert (before[1]["closed_at"], closed[1]["closed_at"] is None) == (None, False)
    assert closed[0] != before[0]
    await record_cause(session, contracted, START, END, "power")
    assert (await row())[1]["correction"] is None, "not yet"
    await close(session, CLOSES)
    corrected = await row()
    assert corrected[1]["correction"]["down_by_cause"] == {"power": 4 * 3600}
    assert corrected[0] != closed[0]


async def test_a_response_is_never_shared_between_scopes(measured_site: MeasuredSite) -> None:
    cast = measured_site.cast
    path = f"/regions/64.02/uptime?from={day(3):%Y-%m-%d}&to={day(1):%Y-%m-%d}"

    async def sites(person: Person) -> Any:
        answer = await person.get(path)
        return answer.status_code if answer.status_code != 200 else answer.json()["total"]["sites"]

    assert [await sites(person) for person in (cast.sari, cast.ana, cast.ben, cast.icon)] == [1, 1, 403, 0]
    ranking = f"/ranking?by=site&from={day(3):%Y-%m-%d}&to={day(1):%Y-%m-%d}"
    seen = [len((await person.get(ranking)).json()["items"]) for person in (cast.sari, cast.ana, cast.ben, cast.icon)]
    assert seen == [1, 1, 0, 0]
    latency = f"/sites/{measured_site.site_id}/latency?period=24h"
    assert [(await person.get(latency)).status_code for person in (cast.sari, cast.ben)] == [200, 404]


async def test_a_response_is_gzipped_for_clients_that_accept_it(measured_site: MeasuredSite) -> None:
    path = f"/regions/64.02/uptime?from={day(3):%Y-%m-%d}&to={day(1):%Y-%m-%d}&step=hour"
    plain = await measured_site.cast.sari.get(path, headers={"Accept-Encoding": "identity"})
    zipped = await measured_site.cast.sari.get(path, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert zipped.headers["content-encoding"] == "gzip"
    assert int(zipped.headers["content-length"]) < len(plain.content) / 3
    assert plain.json() == zipped.json()
    assert plain.headers["etag"] != zipped.headers["etag"]
    for answer in (plain, zipped):
        assert set(answer.headers["vary"].split(", ")) == {"Accept", "Accept-Encoding", "Accept-Language"}
        assert answer.headers["cache-control"] == "private, no-cache"


def version(number: int) -> DataVersion:
    return DataVersion((("past", number),), None)


async def test_concurrent_requests_for_one_body_share_its_computation() -> None:
    cache, runs = ResponseCache(), 0

    async def compute() -> bytes:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.05)
        return b"%d" % runs

    first = asyncio.create_task(cache.get("a", version(1), compute))
    await asyncio.sleep(0)
    others = [asyncio.create_task(cache.get("a", version(1), compute)) for _ in range(20)]
    await asyncio.sleep(0.01)
    first.cancel()  # its client hangs up; the others still get the body
    assert {(await other).plain for other in others} == {b"1"}
    assert (await cache.get("a", version(2), compute)).plain == b"2"
    assert (await cache.get("b", version(2), compute)).plain == b"3"
    assert runs == 3


async def test_a_body_is_kept_even_when_every_client_hung_up() -> None:
    cache, computed = ResponseCache(), asyncio.Event()

    async def compute() -> bytes:
        computed.set()
        return b"body"

    async def fail() -> bytes:
        raise AssertionError("computed again")

    request = asyncio.create_task(cache.get("a", version(1), compute))
    await asyncio.sleep(0)
    request.cancel()
    await computed.wait()
    await asyncio.sleep(0)
    assert (await cache.get("a", version(1), fail)).plain == b"body"


async def test_an_older_version_that_is_computed_late_does_not_replace_a_newer_body() -> None:
    cache, finish = ResponseCache(), asyncio.Event()

    async def compute_late() -> bytes:
        await finish.wait()
        return b"old"

    async def compute() -> bytes:
        return b"new"

    async def fail() -> bytes:
        raise AssertionError("computed again")

    late = asyncio.create_task(cache.get("a", version(1), compute_late))
    await asyncio.sleep(0)
    await cache.get("a", version(2), compute)
    finish.set()
    assert (await late).plain == b"old"
    assert (await cache.get("a", version(2), fail)).plain == b"new"


async def test_a_failed_computation_is_tried_again() -> None:
    cache, tries = ResponseCache(), 0

    async def compute() -> bytes:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OSError("database unavailable")
        return b"computed"

    with pytest.raises(OSError, match="database unavailable"):
        await cache.get("a", version(1), compute)
    assert (await cache.get("a", version(1), compute)).plain == b"computed"


class Requests:
    """Requests to a cache, with the keys that had to be computed for them."""

    def __init__(self, *, max_bytes: int) -> None:
        self.cache = ResponseCache(max_bytes=max_bytes)
        self.computed: list[str] = []

    async def get(self, key: str, size: int = 0, *, number: int = 1) -> None:
        async def compute() -> bytes:
            self.computed.append(key)
            return b"x" * size

        await self.cache.get(key, version(number), compute)


async def test_the_least_recently_used_body_makes_room_and_no_other() -> None:
    requests = Requests(max_bytes=3 * (ENTRY_BYTES + 900))
    for key in ("a", "b", "c", "a", "d", "a", "c", "b"):
        await requests.get(key, 900)
    assert requests.computed == ["a", "b", "c", "d", "b"], "b was the least recently used when d needed room"
    assert requests.cache.size == 3 * (ENTRY_BYTES + 900)


async def test_a_body_larger_than_the_cache_is_not_kept_and_evicts_nothing() -> None:
    requests = Requests(max_bytes=3000)
    await requests.get("a")
    for _ in range(2):
        await requests.get("large", 10_000_000)
        await requests.get("a")
    assert requests.computed == ["a", "large", "large"]
    assert requests.cache.size <= 3000


async def test_the_number_of_empty_bodies_is_bounded_too() -> None:
    requests = Requests(max_bytes=10 * ENTRY_BYTES)
    for number in range(1000):
        await requests.get(str(number))
    assert requests.cache.size == 10 * ENTRY_BYTES


async def test_a_new_version_replaces_the_old_body() -> None:
    requests = Requests(max_bytes=10 * ENTRY_BYTES)
    for number in (1, 2, 2, 3):
        await requests.get("a", number=number)
    assert requests.computed == ["a", "a", "a"]
    assert requests.cache.size == ENTRY_BYTES
