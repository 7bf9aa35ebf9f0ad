"""What was counted once is told again: until something changes it, and not a moment longer."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.aggregates.cache_key import Watermark
from app.aggregates.response_cache import Remembered
from app.availability.daily_availability import count_days
from app.core.clock import to_slot, utc_now
from app.judging.blind_ranges import BlindRange
from app.latency.rollup import roll_up
from app.postgres.engine import Counter, Sessions, next_version, transaction
from app.settings import AggregatesSettings
from app.worker import writer as worker
from probes.contract import CENTRAL, Outcome, Reading
from tests.availability.past import blame, day, under_contract
from tests.conftest import Cast, Person
from tests.factories import BERAU_VILLAGE, register
from tests.support.monthly_close import CLOSES, END, MONTH, START, close, contracted

__all__ = ["contracted"]

HOUR = timedelta(hours=1)
OUTAGE, GAP = (day(2, 6), day(2, 8)), (day(2, 12), day(2, 16))
SETTLED = {"from": day(3).isoformat(), "to": day(1).isoformat()}
RUNNING = {"period": "24h"}
COUNTED = ("state_segment", "availability_day", "rollup_hour", "rollup_day", "region_day", "measurement")


@pytest.fixture(autouse=True)
def remembering(app: FastAPI) -> None:
    app.state.settings = app.state.settings.model_copy(update={"aggregates": AggregatesSettings(refresh_s=10)})


class Clock:
    now = 1_800_000_000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """It says which few seconds it is, and stands still."""
    clock = Clock()
    monkeypatch.setattr("app.aggregates.cache_key.time.time", lambda: clock.now)
    return clock


class Statements(list[str]):
    """What was sent to the database."""

    def counting(self) -> list[str]:
        return [one for one in self if any(table in one for table in COUNTED) and "change_counter" not in one]


@pytest.fixture
def statements(engine: AsyncEngine) -> Iterator[Statements]:
    found = Statements()

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        found.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield found
    event.remove(engine.sync_engine, "before_cursor_execute", note)


class Watched:
    """One site that was looked at each half hour for four days through the worker's own door: an outage, and a gap."""

    def __init__(self, sessions: Sessions, cast: Cast, site_id: int) -> None:
        self.sessions, self.cast, self.site_id = sessions, cast, site_id

    async def look(self, start: datetime, end: datetime, outcome: Outcome = Outcome.OK, rtt_us: int = 20_000) -> None:
        rtts = (rtt_us,) * 3 if outcome is Outcome.OK else ()
        slots = range(to_slot(start), to_slot(end), 1800)
        items = [(Reading(self.site_id, slot, outcome, 3, rtts, 3600, None, CENTRAL), day(4)) for slot in slots]
        async with transaction(self.sessions) as session:
            await worker.write_batch(session, items, [])

    async def count(self) -> None:
        async with transaction(self.sessions) as session:
            await count_days(session, utc_now(), days=400, stale_days=400)
        more = True
        while more:
            async with transaction(self.sessions) as session:
                more = await roll_up(session, utc_now())

    @property
    def questions(self) -> dict[str, str]:
        return {
            "site": f"/sites/{self.site_id}/uptime",
            "region": "/regions/64.02/uptime",
            "provider": "/providers/telkom-wms/uptime",
            "ranking": "/ranking?by=provider",
            "site latency": f"/sites/{self.site_id}/latency",
            "region latency": "/regions/64.02/latency",
            "provider latency": "/providers/telkom-wms/latency",
        }

    async def ask(self, name: str, period: dict[str, str] = SETTLED, **headers: str) -> tuple[str, Any]:
        path, _, query = self.questions[name].partition("?")
        asked = dict(pair.split("=") for pair in query.split("&") if pair) | period
        answer = await self.cast.sari.get(path, params=asked, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.headers["etag"], answer.json()

    async def ask_all(self, period: dict[str, str] = SETTLED) -> dict[str, tuple[str, Any]]:
        return {name: await self.ask(name, period) for name in self.questions}


@pytest.fixture
async def watched(sessions: Sessions, session: AsyncSession, cast: Cast, clock: Clock) -> Watched:
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
    watched = Watched(sessions, cast, site["id"])
    await watched.look(day(4), OUTAGE[0])
    await watched.look(*OUTAGE, Outcome.TIMEOUT)
    await watched.look(OUTAGE[1], GAP[0])
    await watched.look(GAP[1], utc_now())
    await watched.count()
    return watched


UPTIMES, LATENCIES = ("site", "region", "provider", "ranking"), ("site latency", "region latency", "provider latency")


async def test_the_same_question_twice_is_counted_once(watched: Watched, statements: Statements) -> None:
    for period in (SETTLED, RUNNING, {"period": "7d", "step": "hour"}, {"from": day(0).isoformat()}):
        names = [name for name in watched.questions if not (name == "ranking" and "step" in period)]
        for name in names:
            statements.clear()
            first = await watched.ask(name, period)
            assert statements.counting(), name
            statements.clear()
            assert await watched.ask(name, period) == first
            assert statements.counting() == [], name
            assert len([one for one in statements if "SAVEPOINT" not in one]) <= 6, name


async def test_who_has_the_answer_is_told_so_without_counting(
    watched: Watched, app: FastAPI, statements: Statements
) -> None:
    etags = {name: (await watched.ask(name))[0] for name in watched.questions}
    app.state.remembered = Remembered()
    statements.clear()
    for name, etag in etags.items():
        path, _, query = watched.questions[name].partition("?")
        asked = dict(pair.split("=") for pair in query.split("&") if pair) | SETTLED
        for tag in (etag, f"W/{etag}", f'"other", {etag}'):
            answer = await watched.cast.sari.get(path, params=asked, headers={"If-None-Match": tag})
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
        answer = await watched.cast.sari.get(path, params=asked, headers={"If-None-Match": etag, "Accept": "text/csv"})
        assert answer.status_code == 200, "as a table it has another tag"
    assert len(statements.counting()) > 0


Change = Callable[[Watched, AsyncSession], Awaitable[None]]


async def late_batch(watched: Watched, session: AsyncSession) -> None:
    await watched.look(*GAP)


async def late_outage(watched: Watched, session: AsyncSession) -> None:
    await watched.look(*GAP, Outcome.TIMEOUT)


async def blindness(watched: Watched, session: AsyncSession) -> None:
    async with transaction(watched.sessions) as writing:
        await worker.write_batch(writing, [], [BlindRange(OUTAGE[0] - HOUR, OUTAGE[1], "uplink")])


async def cause(watched: Watched, session: AsyncSession) -> None:
    await blame(session, watched.site_id, *OUTAGE, "power")


async def maintenance(watched: Watched, session: AsyncSession) -> None:
    wanted = {
        "site": str(watched.site_id),
        "started_at": OUTAGE[0].isoformat(),
        "ended_at": OUTAGE[1].isoformat(),
        "title": "works",
        "reason": "was announced",
    }
    made = await watched.cast.sari.post("/maintenance", wanted)
    assert made.status_code == 201, made.text


async def terms(watched: Watched, session: AsyncSession) -> None:
    contract = (await watched.cast.sari.get("/contracts")).json()["items"][0]["id"]
    wanted = {"min_outage_s": 86_000, "sla_target_pct": 12, "effective_from": str((day(4) + HOUR * 8).date())}
    changed = await watched.cast.sari.patch(f"/contracts/{contract}", wanted)
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
async def test_a_change_of_the_past_shows_at_once_and_stays_when_it_is_counted(
    kind: str, watched: Watched, session: AsyncSession
) -> None:
    change, names = CHANGES[kind]
    before = await watched.ask_all()
    await change(watched, session)
    after = await watched.ask_all()
    for name in names:
        assert after[name][0] != before[name][0], name
        assert after[name][1] != before[name][1], name
    await watched.count()
    settled = await watched.ask_all()
    for name in watched.questions:
        assert settled[name][1] == after[name][1], name
        if name in names:
            assert settled[name][0] != before[name][0], name
    assert await watched.ask_all() == settled


async def test_a_new_reading_shows_within_seconds_and_leaves_the_past_alone(
    watched: Watched, clock: Clock, session: AsyncSession
) -> None:
    today = {"from": day(1).isoformat(), "to": utc_now().isoformat()}
    past, before = await watched.ask_all(), await watched.ask_all(today)
    await watched.look(utc_now() - 3 * HOUR, utc_now() - 2 * HOUR, rtt_us=45_000)
    assert await watched.ask_all() == past
    clock.now += 10
    after = await watched.ask_all(today)
    for name in LATENCIES:
        assert after[name][0] != before[name][0], name
        assert after[name][1]["total"]["max_ms"] == 45, name
    assert await watched.ask_all() == past


async def test_figures_of_today_are_no_older_than_the_setting_says(
    watched: Watched, clock: Clock, statements: Statements
) -> None:
    first = await watched.ask("region", RUNNING)
    clock.now += 9
    assert await watched.ask("region", RUNNING) == first
    clock.now += 1
    statements.clear()
    assert (await watched.ask("region", RUNNING))[0] != first[0]
    assert statements.counting()


async def test_an_incident_of_today_shows_at_once(watched: Watched, session: AsyncSession) -> None:
    first = await watched.ask("region", RUNNING)
    async with session.begin():
        await next_version(session, Counter.INCIDENT)
    assert (await watched.ask("region", RUNNING))[0] != first[0]


async def test_rounds_leave_the_past_alone_however_long_they_go_on(
    watched: Watched, session: AsyncSession, clock: Clock, statements: Statements
) -> None:
    before = await watched.ask_all()
    async with session.begin():
        await next_version(session, Counter.STATUS)
        await next_version(session, Counter.INCIDENT)
    clock.now += 86_400
    statements.clear()
    assert await watched.ask_all() == before
    assert statements.counting() == []


async def test_a_day_that_is_over_but_not_counted_goes_on_by_itself(
    watched: Watched, session: AsyncSession, clock: Clock
) -> None:
    settled = await watched.ask("region")
    async with session.begin():
        await session.execute(text("DELETE FROM counted_day WHERE day = :day"), {"day": (day(2) + HOUR * 8).date()})
    first = await watched.ask("region")
    assert first[0] != settled[0]
    clock.now += 10
    assert (await watched.ask("region"))[0] != first[0]


async def test_a_node_is_never_taken_for_settled(watched: Watched, session: AsyncSession, clock: Clock) -> None:
    async with session.begin():
        await session.execute(text("UPDATE site SET kind = 'node'"))
    first = await watched.ask("site")
    clock.now += 10
    assert (await watched.ask("site"))[0] != first[0]


async def test_a_site_that_moves_counts_elsewhere_at_once(watched: Watched) -> None:
    async def in_berau() -> Any:
        return (await watched.cast.sari.get("/regions/64.03/uptime?period=24h")).json()["total"]["sites"]

    before = await watched.ask_all()
    assert await in_berau() == 0
    moved = await watched.cast.sari.patch(f"/sites/{watched.site_id}", {"village_code": BERAU_VILLAGE})
    assert moved.status_code == 200, moved.text
    await asyncio.sleep(1.1)  # a set-up holds from its second on
    assert await in_berau() == 1
    after = await watched.ask_all()
    assert all(after[name][0] != before[name][0] for name in watched.questions)
    assert {name: body for name, (_, body) in after.items()} == {name: body for name, (_, body) in before.items()}


async def test_a_renamed_provider_is_ranked_by_its_new_name(watched: Watched) -> None:
    before = await watched.ask("ranking")
    assert (await watched.cast.sari.patch("/providers/telkom-wms", {"name": "Telkom Baru"})).status_code == 200
    after = await watched.ask("ranking")
    assert after[0] != before[0]
    assert after[1]["items"][0]["name"] == "Telkom Baru"


@pytest.mark.usefixtures("clock")
async def test_a_month_that_is_closed_or_corrected_says_so_at_once(
    session: AsyncSession, cast: Cast, contracted: int
) -> None:
    path = f"/sites/{contracted}/uptime?period={MONTH:%Y-%m}&step=month"

    async def asked() -> Any:
        answer = await cast.sari.get(path)
        return answer.headers["etag"], answer.json()["total"]

    before = await asked()
    await close(session, CLOSES)
    closed = await asked()
    assert (before[1]["closed_at"], closed[1]["closed_at"] is None) == (None, False)
    assert closed[0] != before[0]
    await blame(session, contracted, START, END, "power")
    assert (await asked())[1]["correction"] is None, "not yet"
    await close(session, CLOSES)
    corrected = await asked()
    assert corrected[1]["correction"]["down_by_cause"] == {"power": 4 * 3600}
    assert corrected[0] != closed[0]


async def test_nobody_is_told_what_was_counted_for_another_scope(watched: Watched) -> None:
    cast = watched.cast
    path = f"/regions/64.02/uptime?from={day(3):%Y-%m-%d}&to={day(1):%Y-%m-%d}"

    async def sites(person: Person) -> Any:
        answer = await person.get(path)
        return answer.status_code if answer.status_code != 200 else answer.json()["total"]["sites"]

    assert [await sites(person) for person in (cast.sari, cast.ana, cast.ben, cast.icon)] == [1, 1, 403, 0]
    ranking = f"/ranking?by=site&from={day(3):%Y-%m-%d}&to={day(1):%Y-%m-%d}"
    seen = [len((await person.get(ranking)).json()["items"]) for person in (cast.sari, cast.ana, cast.ben, cast.icon)]
    assert seen == [1, 1, 0, 0]
    latency = f"/sites/{watched.site_id}/latency?period=24h"
    assert [(await person.get(latency)).status_code for person in (cast.sari, cast.ben)] == [200, 404]


async def test_it_comes_zipped_to_those_who_take_it(watched: Watched) -> None:
    path = f"/regions/64.02/uptime?from={day(3):%Y-%m-%d}&to={day(1):%Y-%m-%d}&step=hour"
    plain = await watched.cast.sari.get(path, headers={"Accept-Encoding": "identity"})
    zipped = await watched.cast.sari.get(path, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert zipped.headers["content-encoding"] == "gzip"
    assert int(zipped.headers["content-length"]) < len(plain.content) / 3
    assert plain.json() == zipped.json()
    assert plain.headers["etag"] != zipped.headers["etag"]
    for answer in (plain, zipped):
        assert set(answer.headers["vary"].split(", ")) == {"Accept", "Accept-Encoding"}
        assert answer.headers["cache-control"] == "private, no-cache"


def mark(number: int) -> Watermark:
    return Watermark((("past", number),), None)


async def test_who_asks_the_same_at_once_waits_for_the_same_count() -> None:
    remembered, counts = Remembered(), 0

    async def count() -> bytes:
        nonlocal counts
        counts += 1
        await asyncio.sleep(0.05)
        return b"%d" % counts

    first = asyncio.create_task(remembered.get("a", mark(1), count))
    await asyncio.sleep(0)
    others = [asyncio.create_task(remembered.get("a", mark(1), count)) for _ in range(20)]
    await asyncio.sleep(0.01)
    first.cancel()  # who asked first hangs up: the others are answered all the same
    assert {(await other).whole for other in others} == {b"1"}
    assert (await remembered.get("a", mark(2), count)).whole == b"2"
    assert (await remembered.get("b", mark(2), count)).whole == b"3"
    assert counts == 3


async def test_a_count_that_failed_is_tried_again() -> None:
    remembered, tries = Remembered(), 0

    async def count() -> bytes:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OSError
        return b"counted"

    with pytest.raises(OSError):  # noqa: PT011  # whatever it was
        await remembered.get("a", mark(1), count)
    assert (await remembered.get("a", mark(1), count)).whole == b"counted"


async def test_what_was_not_asked_for_longest_makes_room() -> None:
    remembered, counted = Remembered(most_bytes=3000), []

    async def ask(name: str, size: int = 900) -> None:
        async def count() -> bytes:
            counted.append(name)
            return b"x" * size

        await remembered.get(name, mark(1), count)

    for name in ("a", "b", "c", "a", "d", "a", "c", "b"):
        await ask(name)
    assert counted == ["a", "b", "c", "d", "b"], "b was asked for longest ago when d needed room"
    await ask("large", 10_000_000)
    assert sum(made.size for made in remembered._made.values()) <= 3000
    await ask("a")
    assert counted[-1] == "a"
