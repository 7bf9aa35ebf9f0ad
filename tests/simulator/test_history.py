"""A simulated past is what living through it would have come to: nothing skipped may make a difference."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.access import store as access
from app.access.models import Role
from app.api.app import create_app
from app.availability.daily_availability import count_days
from app.core.clock import WITA, from_slot, midnight, to_slot, utc_now
from app.judging import judge_context, judge_state_store, propagation, segments
from app.judging.blind_ranges import BlindRange
from app.judging.degraded import WINDOW_READINGS
from app.judging.dirty_range import DirtyRange
from app.judging.fold import fold
from app.judging.judge import JudgeState
from app.judging.judge_state_store import state_from_checkpoint
from app.judging.rejudge import initial_state
from app.judging.segments import Segment, SegmentRange
from app.latency.rollup import roll_up
from app.postgres.engine import Sessions, open_engine, open_sessions, transaction
from app.registry import providers
from app.registry.models import State
from app.registry.regions import REGIONS_CSV
from app.runtime.migrate import migrate
from app.settings import Settings
from app.worker import writer as worker
from probes.contract import AGENT, CENTRAL, Outcome, Reading
from simulator.history import scenarios, steady_state
from simulator.history.length import HistoryError, read_days
from simulator.history.samples import SAMPLES, harmless
from simulator.history.scenarios import Spell, Spells, Subject
from simulator.history.write import write_history
from simulator.registration import register, wanted
from simulator.script import Agents, EventKind, Script
from simulator.villages import PROVIDERS
from tests.conftest import drop_database, make_database

DAYS, SITES, TOWERS = 3, 40, 2
HOUR_S = 3_600


@dataclass
class World:
    engine: AsyncEngine
    sessions: Sessions
    drawn: Spells
    said: list[str]

    async def rows(self, statement: str, **given: Any) -> list[tuple[Any, ...]]:
        async with transaction(self.sessions) as session:
            return [tuple(row) for row in await session.execute(text(statement), given)]

    async def ids(self) -> list[int]:
        """Those that hang on nothing first."""
        return [row[0] for row in await self.rows("SELECT id FROM site ORDER BY parent_id IS NOT NULL, id")]


def eventful(seed: int, found: Sequence[Subject], start: int, end: int) -> Spells:
    """Far more than ever happens: all that can, in three days."""
    drawn = scenarios.draw(seed, found, start, end)
    for one in found:
        random = Random(f"{seed} {one.code}")
        for _ in range(random.randrange(7)):
            kind = random.choice([EventKind.OUTAGE, EventKind.OUTAGE, EventKind.LOSS, EventKind.SLOW])
            low = random.randrange(start, end)
            high = low + random.choice([8, 50, 200, 900, 5_000, 20_000])
            spell = Spell(kind, low, high, 40.0 if kind is EventKind.LOSS else 0, 1_900.0)
            drawn.setdefault(one.id, []).append(spell)
    return {site_id: list(scenarios.apart(many, end)) for site_id, many in scenarios.under_towers(found, drawn).items()}


def often_blind(seed: int, start: int, end: int) -> list[BlindRange]:
    random, step = Random(seed), (end - start) // 9
    begins = [start + n * step + random.randrange(step // 2) for n in range(8)]
    return [
        BlindRange(from_slot(low), from_slot(low + random.choice([20, 100, 700])), random.choice(["uplink", "stopped"]))
        for low in begins
    ]


async def made(server_url: str, patch: pytest.MonkeyPatch, *, raw_hours: int, days: int, sites: int) -> World:
    engine = open_engine(await make_database(server_url), name="test", command_timeout_s=None)
    await migrate(engine)
    world = World(engine, open_sessions(engine), {}, [])
    async with transaction(world.sessions) as session:
        await providers.ensure_providers(session, PROVIDERS)
        await register(session, wanted(REGIONS_CSV, Script(sites=sites, nodes=TOWERS, agents=Agents())))

    def draw(*given: Any) -> Spells:
        world.drawn = eventful(*given)
        return world.drawn

    with patch.context() as patched:
        patched.setattr("simulator.history.write.draw", draw)
        patched.setattr("simulator.history.write.blind", often_blind)
        assert await write_history(engine, days=days, seed=3, raw_hours=raw_hours, say=world.said.append)
    return world


@pytest.fixture(scope="module")
async def world(server_url: str) -> AsyncIterator[World]:
    """Three days of which every reading is kept."""
    with pytest.MonkeyPatch.context() as patch:
        world = await made(server_url, patch, raw_hours=24 * DAYS + 24, days=DAYS, sites=SITES)
    yield world
    await world.engine.dispose()
    await drop_database(world.engine.url.render_as_string(hide_password=False), server_url)


@pytest.fixture(scope="module")
async def older(server_url: str) -> AsyncIterator[World]:
    """Two days of which the readings of the last six hours are kept."""
    with pytest.MonkeyPatch.context() as patch:
        world = await made(server_url, patch, raw_hours=6, days=2, sites=12)
    yield world
    await world.engine.dispose()
    await drop_database(world.engine.url.render_as_string(hide_password=False), server_url)


READINGS = """
    SELECT site_id, extract(epoch FROM slot)::bigint, outcome, sent, rtt_us, valid_s, source FROM measurement
    ORDER BY site_id, slot
"""


async def readings(world: World) -> dict[int, list[Reading]]:
    found: dict[int, list[Reading]] = {}
    for site_id, slot, outcome, sent, rtt_us, valid_s, source in await world.rows(READINGS):
        one = Reading(site_id, slot, Outcome(outcome), sent, tuple(rtt_us), valid_s, source=source)
        found.setdefault(site_id, []).append(one)
    return found


async def written(session: AsyncSession, ids: Sequence[int]) -> dict[int, tuple[list[Segment], Any, JudgeState]]:
    found = await segments.read_ranges(
        session, dict.fromkeys(ids, SegmentRange(from_slot(0), from_slot(9_999_999_999)))
    )
    rows = await judge_state_store.lock_sites(session, ids)
    query = text("SELECT at, carry::text FROM checkpoint WHERE site_id = :id ORDER BY at")
    return {
        n: (
            found[n],
            [(at, state_from_checkpoint(carry)) for at, carry in await session.execute(query, {"id": n})],
            judge_state_store.state_from_row(rows[n]),
        )
        for n in ids
    }


async def test_it_is_exactly_what_judging_every_single_reading_comes_to(world: World) -> None:
    ids, read = await world.ids(), await readings(world)
    assert len(ids) == SITES + TOWERS
    async with transaction(world.sessions) as session:
        stored = await written(session, ids)
        for site_id in ids:
            span = from_slot(read[site_id][0].slot - 86_400), utc_now()
            about = (await judge_context.load(session, [site_id], [CENTRAL, AGENT], *span))[site_id]
            folded = fold(initial_state(about.configurations[0]), read[site_id], about)
            laid, checkpoints, carry = stored[site_id]
            assert laid == segments.apply_changes([], folded.changes)
            assert carry == folded.state
            assert checkpoints == folded.checkpoints


async def test_no_look_is_missing_and_none_is_too_many(world: World) -> None:
    """At every interval, but for the stops; more often only right after a loss."""
    stops = await world.rows("SELECT started_at, ended_at FROM blind WHERE reason = 'stopped'")
    for found in (await readings(world)).values():
        for a, b in pairwise(found):
            stopped = any(to_slot(low) < b.slot and to_slot(high) > a.slot for low, high in stops)
            assert b.slot - a.slot <= 66 or stopped
            assert b.slot - a.slot >= 60 or a.outcome is Outcome.TIMEOUT or a.sent == 5


async def test_who_reports_himself_is_read_by_his_agent_alone_at_its_own_pace_and_is_never_hidden(world: World) -> None:
    pushing = {n for (n,) in await world.rows("SELECT id FROM site WHERE probe = 'push'")}
    assert 0 < len(pushing) < SITES
    read = await readings(world)
    assert {n: {one.source for one in found} for n, found in read.items()} == {
        n: {AGENT if n in pushing else CENTRAL} for n in read
    }
    for n in pushing:
        assert {(b.slot - a.slot, b.sent) for a, b in pairwise(read[n])} == {(60, 3)}
    unknown = await world.rows(
        "SELECT DISTINCT site_id FROM state_segment WHERE state = 'unknown' AND unknown_reason <> 'never_seen'"
    )
    assert unknown
    assert not pushing & {n for (n,) in unknown}


async def test_every_drawn_outage_is_there_with_its_bounds_and_none_besides(world: World) -> None:
    rows = await world.rows("SELECT site_id, state, started_at, ended_at FROM state_segment ORDER BY 1, 3")
    blind = [(to_slot(a) - 8, to_slot(b) + 120) for a, b in await world.rows("SELECT started_at, ended_at FROM blind")]
    (end,) = (await world.rows("SELECT extract(epoch FROM ended_at)::bigint FROM simulation"))[0]
    outages = {
        (n, spell.start, spell.end)
        for n, many in world.drawn.items()
        for spell in many
        if spell.kind is EventKind.OUTAGE and spell.end < end - 3 * HOUR_S
    }
    seen = 0
    for site_id, start, finish in outages:
        if finish - start < 120 or any(low < finish + 120 and start - 120 < high for low, high in blind):
            continue
        bad = [
            (to_slot(low), high and to_slot(high))
            for n, state, low, high in rows
            if n == site_id and state in ("down", "unreachable") and to_slot(low) < finish
        ]
        low, high = min(a for a, _ in bad if a >= start - 60), max(b or 0 for _, b in bad)
        assert start <= low <= start + 66 or any(other.kind is EventKind.LOSS for other in world.drawn[site_id])
        assert finish <= high <= finish + 66 or any(other.kind is EventKind.LOSS for other in world.drawn[site_id])
        seen += 1
    assert seen > 20
    for site_id, state, low, high in rows:
        if state in ("down", "unreachable"):
            assert any(
                spell.kind in (EventKind.OUTAGE, EventKind.LOSS)
                and spell.start <= to_slot(low)
                and (high is None or to_slot(low) < spell.end)
                for spell in world.drawn[site_id]
            ), (site_id, low, high)


async def test_every_second_of_every_site_and_day_is_counted_once(world: World) -> None:
    rows = await world.rows(
        "SELECT site_id, day, up + degraded + down + unreachable + unknown + maintenance + inactive "
        "FROM availability_day"
    )
    assert len(rows) == SITES * DAYS
    assert {seconds for _, _, seconds in rows} == {86_400}
    states = {row[0] for row in await world.rows("SELECT DISTINCT state FROM state_segment")}
    assert {"up", "degraded", "down", "unreachable", "unknown"} >= states >= {"up", "degraded", "down", "unknown"}


FIGURES = {
    "rollup_hour": "site_id, hour",
    "rollup_day": "site_id, day",
    "region_day": "region_code, day, provider_id, technology",
}


async def test_counting_all_of_it_again_comes_to_the_same(world: World) -> None:
    """Also the hours that were never counted, but taken from a site's sample hours."""
    kept = {table: await world.rows(f"SELECT * FROM {table} ORDER BY {key}") for table, key in FIGURES.items()}
    days = await world.rows("SELECT * FROM availability_day ORDER BY site_id, day")
    hours = await world.rows("SELECT upto FROM rollup_watermark WHERE stage = 'hours'")
    await world.rows("DELETE FROM rollup_hour RETURNING 1")
    await world.rows("DELETE FROM rollup_day RETURNING 1")
    await world.rows("DELETE FROM counted_day RETURNING 1")
    await world.rows(
        "UPDATE rollup_watermark SET upto = (SELECT started_at FROM simulation) WHERE stage <> 'closed' RETURNING 1"
    )
    more = True
    while more:
        async with transaction(world.sessions) as session:
            more = await roll_up(session, hours[0][0])
    for table, key in FIGURES.items():
        assert await world.rows(f"SELECT * FROM {table} ORDER BY {key}") == kept[table]
    async with transaction(world.sessions) as session:
        await count_days(session, utc_now(), days=DAYS)
    assert await world.rows("SELECT * FROM availability_day ORDER BY site_id, day") == days


async def test_judging_any_of_it_again_changes_nothing(world: World) -> None:
    ids, random = await world.ids(), Random(5)
    (start,) = (await world.rows("SELECT started_at FROM simulation"))[0]
    async with transaction(world.sessions) as session:
        before = await written(session, ids)
        begins = [start + timedelta(seconds=random.randrange(60 * HOUR_S)) for _ in ids]
        spans = [DirtyRange(n, at, at + timedelta(hours=2)) for n, at in zip(ids, begins, strict=True)]
        await propagation.rejudge_with_children(session, spans)
        assert await written(session, ids) == before


async def test_what_is_older_than_the_readings_stays_closed(older: World) -> None:
    ids = await older.ids()
    (start, readings_from) = (await older.rows("SELECT started_at, readings_from FROM simulation"))[0]
    assert await older.rows("SELECT 1 FROM measurement WHERE slot < :at", at=readings_from) == []
    assert len(await older.rows("SELECT DISTINCT site_id FROM measurement")) == len(ids)
    async with transaction(older.sessions) as session:
        before = await written(session, ids)
        await propagation.rejudge_with_children(session, [DirtyRange(n, start, utc_now()) for n in ids])
        assert await written(session, ids) == before


async def test_the_worker_goes_on_without_a_seam(older: World) -> None:
    async with transaction(older.sessions) as session:
        ids = await older.ids()
        rows = await judge_state_store.lock_sites(session, ids)
        good = [n for n in ids if rows[n].state == State.UP]
        assert good
        newest = max(rows[n].seen_at for n in good)
        assert utc_now() - newest < timedelta(seconds=90)
        slot = to_slot(utc_now()) + 1
        items = [(Reading(n, slot, Outcome.OK, 3, (20_000,) * 3, 60), rows[n].configured_at) for n in good]
        before = await written(session, good)
        judged = await worker.write_batch(session, items, [])
        assert {one.state for one in judged if one.site_id in good} == {State.UP}
        assert {n: one[0] for n, one in (await written(session, good)).items()} == {
            n: one[0] for n, one in before.items()
        }
        await session.rollback()


async def test_incidents_tell_of_the_same_outages(world: World) -> None:
    down = await world.rows("SELECT count(*) FROM state_segment WHERE state = 'down'")
    told = await world.rows(
        "SELECT count(*) FILTER (WHERE ended_at IS NOT NULL AND last_loss_at IS NULL), count(*) FROM incident_site "
        "WHERE withdrawn_at IS NULL"
    )
    assert told[0][0] == 0
    assert 0.7 * down[0][0] <= told[0][1] <= down[0][0]
    early = "SELECT 1 FROM incident WHERE opened_at < started_at OR opened_at > started_at + interval '2 minutes'"
    assert await world.rows(early) == []


async def test_a_second_time_nothing_is_written(older: World) -> None:
    before = await older.rows("SELECT count(*), max(id) FROM state_segment")
    assert not await write_history(older.engine, days=2, say=older.said.append)
    assert "there is one already" in older.said[-1]
    assert await older.rows("SELECT count(*), max(id) FROM state_segment") == before


async def test_where_something_was_measured_nothing_is_made_up(older: World, engine: AsyncEngine) -> None:
    await older.rows("DELETE FROM simulation RETURNING 1")
    with pytest.raises(HistoryError, match="holds measurements already"):
        await write_history(older.engine, days=2, say=older.said.append)


async def test_every_answer_says_up_to_when_it_is_simulated(world: World) -> None:
    app = create_app(Settings(canaries=["127.255.0.1"], database_url=None))
    app.state.sessions, app.state.engine = world.sessions, world.engine
    async with transaction(world.sessions) as session:
        secret = await access.create_token(session, name="sari", role=Role.PROVINCE_ADMIN)
    (until,) = (await world.rows("SELECT ended_at FROM simulation"))[0]
    site = (await world.ids())[0]
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://test/api/v1", headers={"Authorization": f"Bearer {secret}"}
    ) as client:
        for path in (
            f"/sites/{site}/uptime?period=2d",
            f"/sites/{site}/latency?period=2d",
            f"/sites/{site}/segments?period=2d",
            f"/sites/{site}/measurements?period=2d",
            "/regions/64/uptime?period=2d",
            "/regions/64/latency?period=2d",
            "/providers/indihome/uptime?period=2d",
            "/providers/indihome/latency?period=2d",
            "/ranking?by=site&period=2d",
            "/ranking?by=region&period=2d",
            "/ranking?by=provider&period=2d",
            "/incidents?period=3d",
        ):
            answer = await client.get(path)
            assert answer.status_code == 200, answer.text
            assert datetime.fromisoformat(answer.headers["Sinyal-Simulated-Until"]) == until
            assert datetime.fromisoformat(answer.json()["simulated_until"]) == until, path
        after = (until + timedelta(seconds=1)).isoformat().replace("+", "%2B")
        fresh = await client.get(f"/sites/{site}/segments?from={after}")
        assert fresh.status_code in (200, 422)
        assert fresh.headers["Sinyal-Simulated-Until"]
        if fresh.status_code == 200:
            assert fresh.json()["simulated_until"] is None


@pytest.mark.parametrize("seed", range(8))
async def test_resting_is_what_judging_every_reading_comes_to(world: World, seed: int) -> None:
    """Whatever was carried before, and however long it was calm, or lost."""
    random = Random(seed)
    async with transaction(world.sessions) as session:
        (site_id,) = random.sample(await world.ids(), 1)
        about = (await judge_context.load(session, [site_id], [], from_slot(0), from_slot(0)))[site_id]
    limits = about.thresholds.at(about.configurations[0].technology, utc_now())
    assert harmless(limits)
    first = to_slot(midnight(utc_now().astimezone(WITA).date()))
    carry = initial_state(about.configurations[0])
    for n in range(random.randrange(1, 30)):
        carry = fold(carry, [_look(random, site_id, first + 60 * n, ok=True)], about).state
    begins = first + 60 * 30
    for length in (1, 4, WINDOW_READINGS, 90, 700):
        looks = [_look(random, site_id, begins + 60 * n, ok=True) for n in range(length)]
        if length > 40:
            looks[20] = _one_lost(looks[20])
        carry = fold(carry, [_look(random, site_id, begins - 60, ok=True)], about).state
        assert steady_state.is_calm(carry, limits)
        assert steady_state.calm(carry, looks[-WINDOW_READINGS:]) == fold(carry, looks, about).state
        assert not fold(carry, looks, about).changes
    down = fold(carry, [_look(random, site_id, begins + n, ok=False) for n in (0, 10)], about).state
    losses = [_look(random, site_id, begins + 60 * n, ok=False) for n in range(1, 200)]
    assert steady_state.lost(down, losses[-1].slot, 60) == fold(down, losses, about).state
    assert not fold(down, losses, about).changes


def _look(random: Random, site_id: int, slot: int, *, ok: bool) -> Reading:
    rtts = tuple(random.randrange(9_000, 60_000) for _ in range(3)) if ok else ()
    return Reading(site_id, slot, Outcome.OK if ok else Outcome.TIMEOUT, 3, rtts, 60)


def _one_lost(one: Reading) -> Reading:
    return Reading(one.key, one.slot, one.outcome, one.sent, one.rtt_us[1:], one.valid_s)


def test_the_same_seed_draws_the_same_past() -> None:
    found = [Subject(n, f"site {n}", f"127.2.5.{n}", "64.02.05.2001", n % 2, "geo", "pln", None) for n in range(30)]
    assert scenarios.draw(1, found, 0, 9_000_000) == scenarios.draw(1, found, 0, 9_000_000)
    assert scenarios.draw(1, found, 0, 9_000_000) != scenarios.draw(2, found, 0, 9_000_000)
    assert SAMPLES > 1


@pytest.mark.parametrize("given", ["", "90", "0d", "401d", "90 d", "58w", "-1d", "1y", "٣d"])
def test_a_wrong_length_is_one_line(given: str) -> None:
    with pytest.raises(HistoryError, match="90d or 13w"):
        read_days(given)


def test_a_length_is_days_or_weeks() -> None:
    assert [read_days(given) for given in ("1d", "90d", "400d", "13w")] == [1, 90, 400, 91]
