"""A simulated past equals what probing and judging every reading would have come to: skipping changes nothing."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.access import api_tokens
from app.access.models import Role
from app.api.app import create_app
from app.availability.daily_rollup import count_days
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
from app.measurements import reader
from app.postgres.engine import transaction
from app.registry.models import State
from app.settings import Settings
from app.worker import writer as worker
from probes.contract import AGENT, CENTRAL, Outcome, Reading
from simulator.history import scenarios, steady_state
from simulator.history.plan import HistoryError, read_days
from simulator.history.samples import SAMPLES, is_loss_harmless
from simulator.history.scenarios import Episode, Episodes, HistorySite
from simulator.history.write import write_history
from simulator.script import EventKind
from tests.support.written_history import WrittenHistory, written_history

pytestmark = pytest.mark.real_time

DAYS, SITES, TOWERS = 3, 40, 2
HOUR_S = 3_600


def eventful(seed: int, sites: Sequence[HistorySite], start: int, end: int) -> Episodes:
    """Draw far more episodes than usual: all that can happen, in three days."""
    drawn = scenarios.draw_episodes(seed, sites, start, end)
    for site in sites:
        random = Random(f"{seed} {site.code}")
        for _ in range(random.randrange(7)):
            kind = random.choice([EventKind.OUTAGE, EventKind.OUTAGE, EventKind.LOSS, EventKind.SLOW])
            low = random.randrange(start, end)
            high = low + random.choice([8, 50, 200, 900, 5_000, 20_000])
            episode = Episode(kind, low, high, 40.0 if kind is EventKind.LOSS else 0, 1_900.0)
            drawn.setdefault(site.id, []).append(episode)
    return {
        site_id: list(scenarios.merge_outages(many, end))
        for site_id, many in scenarios.with_tower_outages(sites, drawn).items()
    }


def often_blind(seed: int, start: int, end: int) -> list[BlindRange]:
    random, step = Random(seed), (end - start) // 9
    begins = [start + n * step + random.randrange(step // 2) for n in range(8)]
    return [
        BlindRange(from_slot(low), from_slot(low + random.choice([20, 100, 700])), random.choice(["uplink", "stopped"]))
        for low in begins
    ]


@pytest.fixture(scope="module")
async def world(server_url: str) -> AsyncIterator[WrittenHistory]:
    """Three days of which every reading is kept."""
    every_hour = 24 * DAYS + 24
    async with written_history(
        server_url, days=DAYS, sites=SITES, towers=TOWERS, raw_hours=every_hour, draw=eventful, draw_blind=often_blind
    ) as world:
        yield world


@pytest.fixture(scope="module")
async def older(server_url: str) -> AsyncIterator[WrittenHistory]:
    """Two days of which the readings of the last six hours are kept."""
    async with written_history(
        server_url, days=2, sites=12, towers=TOWERS, raw_hours=6, draw=eventful, draw_blind=often_blind
    ) as world:
        yield world


async def readings(world: WrittenHistory) -> dict[int, list[Reading]]:
    found: dict[int, list[Reading]] = {}
    async with transaction(world.sessions) as session:
        for one in (await reader.read_all(session, from_slot(0), utc_now())).readings():
            found.setdefault(one.key, []).append(one)
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


async def test_the_result_equals_judging_every_single_reading(world: WrittenHistory) -> None:
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


async def test_no_reading_is_missing_and_none_is_superfluous(world: WrittenHistory) -> None:
    """Readings come at every interval, except while stopped; more often only right after a loss."""
    stops = await world.rows("SELECT started_at, ended_at FROM blind WHERE reason = 'stopped'")
    for found in (await readings(world)).values():
        for a, b in pairwise(found):
            stopped = any(to_slot(low) < b.slot and to_slot(high) > a.slot for low, high in stops)
            assert b.slot - a.slot <= 66 or stopped
            assert b.slot - a.slot >= 60 or a.outcome is Outcome.TIMEOUT or a.sent == 5


async def test_a_push_site_is_measured_by_its_agent_alone_at_its_own_pace_and_never_blind(
    world: WrittenHistory,
) -> None:
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


async def test_every_drawn_outage_is_recorded_with_its_bounds_and_no_other(world: WrittenHistory) -> None:
    rows = await world.rows("SELECT site_id, state, started_at, ended_at FROM state_segment ORDER BY 1, 3")
    blind = [(to_slot(a) - 8, to_slot(b) + 120) for a, b in await world.rows("SELECT started_at, ended_at FROM blind")]
    (end,) = (await world.rows("SELECT extract(epoch FROM ended_at)::bigint FROM simulation"))[0]
    outages = {
        (n, episode.start, episode.end)
        for n, many in world.drawn.items()
        for episode in many
        if episode.kind is EventKind.OUTAGE and episode.end < end - 3 * HOUR_S
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
                episode.kind in (EventKind.OUTAGE, EventKind.LOSS)
                and episode.start <= to_slot(low)
                and (high is None or to_slot(low) < episode.end)
                for episode in world.drawn[site_id]
            ), (site_id, low, high)


async def test_every_second_of_every_site_and_day_is_counted_once(world: WrittenHistory) -> None:
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


async def test_recounting_everything_changes_nothing(world: WrittenHistory) -> None:
    """Not even the hours that were copied from a site's sample hours."""
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


async def test_rejudging_any_range_changes_nothing(world: WrittenHistory) -> None:
    ids, random = await world.ids(), Random(5)
    (start,) = (await world.rows("SELECT started_at FROM simulation"))[0]
    async with transaction(world.sessions) as session:
        before = await written(session, ids)
        begins = [start + timedelta(seconds=random.randrange(60 * HOUR_S)) for _ in ids]
        spans = [DirtyRange(n, at, at + timedelta(hours=2)) for n, at in zip(ids, begins, strict=True)]
        await propagation.rejudge_with_children(session, spans)
        assert await written(session, ids) == before


async def test_what_is_older_than_the_readings_is_not_rejudged(older: WrittenHistory) -> None:
    ids = await older.ids()
    (start, readings_from) = (await older.rows("SELECT started_at, readings_from FROM simulation"))[0]
    kept = await readings(older)
    assert min(one.slot for of_site in kept.values() for one in of_site) >= to_slot(readings_from)
    assert len(kept) == len(ids)
    async with transaction(older.sessions) as session:
        before = await written(session, ids)
        await propagation.rejudge_with_children(session, [DirtyRange(n, start, utc_now()) for n in ids])
        assert await written(session, ids) == before


async def test_the_worker_continues_without_a_gap(older: WrittenHistory) -> None:
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


async def test_incidents_cover_the_same_outages(world: WrittenHistory) -> None:
    down = await world.rows("SELECT count(*) FROM state_segment WHERE state = 'down'")
    counts = await world.rows(
        "SELECT count(*) FILTER (WHERE ended_at IS NOT NULL AND last_loss_at IS NULL), count(*) FROM incident_site "
        "WHERE withdrawn_at IS NULL"
    )
    assert counts[0][0] == 0
    assert 0.7 * down[0][0] <= counts[0][1] <= down[0][0]
    early = "SELECT 1 FROM incident WHERE opened_at < started_at OR opened_at > started_at + interval '2 minutes'"
    assert await world.rows(early) == []


async def test_a_second_history_is_not_written(older: WrittenHistory) -> None:
    before = await older.rows("SELECT count(*), max(id) FROM state_segment")
    assert not await write_history(older.engine, days=2, say=older.lines.append)
    assert "exists already" in older.lines[-1]
    assert await older.rows("SELECT count(*), max(id) FROM state_segment") == before


async def test_a_database_with_measurements_is_refused(older: WrittenHistory, engine: AsyncEngine) -> None:
    await older.rows("DELETE FROM simulation RETURNING 1")
    with pytest.raises(HistoryError, match="holds measurements already"):
        await write_history(older.engine, days=2, say=older.lines.append)


async def test_every_response_says_until_when_it_is_simulated(world: WrittenHistory) -> None:
    app = create_app(Settings(canaries=["127.255.0.1"], database_url=None))
    app.state.sessions, app.state.engine = world.sessions, world.engine
    async with transaction(world.sessions) as session:
        secret = await api_tokens.create_token(session, name="sari", role=Role.PROVINCE_ADMIN)
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
async def test_a_skipped_stretch_equals_judging_every_reading(world: WrittenHistory, seed: int) -> None:
    """Whatever the state before, and however long the readings were healthy, or lost."""
    random = Random(seed)
    async with transaction(world.sessions) as session:
        (site_id,) = random.sample(await world.ids(), 1)
        context = (await judge_context.load(session, [site_id], [], from_slot(0), from_slot(0)))[site_id]
    thresholds = context.thresholds.at(context.configurations[0].technology, utc_now())
    assert is_loss_harmless(thresholds)
    first = to_slot(midnight(utc_now().astimezone(WITA).date()))
    state = initial_state(context.configurations[0])
    for n in range(random.randrange(1, 30)):
        state = fold(state, [_reading(random, site_id, first + 60 * n, ok=True)], context).state
    begins = first + 60 * 30
    for length in (1, 4, WINDOW_READINGS, 90, 700):
        healthy = [_reading(random, site_id, begins + 60 * n, ok=True) for n in range(length)]
        if length > 40:
            healthy[20] = _with_one_loss(healthy[20])
        state = fold(state, [_reading(random, site_id, begins - 60, ok=True)], context).state
        assert steady_state.is_steady(state, thresholds)
        assert steady_state.after_healthy(state, healthy[-WINDOW_READINGS:]) == fold(state, healthy, context).state
        assert not fold(state, healthy, context).changes
    down = fold(state, [_reading(random, site_id, begins + n, ok=False) for n in (0, 10)], context).state
    losses = [_reading(random, site_id, begins + 60 * n, ok=False) for n in range(1, 200)]
    assert steady_state.after_losses(down, losses[-1].slot, 60) == fold(down, losses, context).state
    assert not fold(down, losses, context).changes


def _reading(random: Random, site_id: int, slot: int, *, ok: bool) -> Reading:
    rtts = tuple(random.randrange(9_000, 60_000) for _ in range(3)) if ok else ()
    return Reading(site_id, slot, Outcome.OK if ok else Outcome.TIMEOUT, 3, rtts, 60)


def _with_one_loss(reading: Reading) -> Reading:
    return Reading(reading.key, reading.slot, reading.outcome, reading.sent, reading.rtt_us[1:], reading.valid_s)


def test_the_same_seed_draws_the_same_past() -> None:
    found = [HistorySite(n, f"site {n}", f"127.2.5.{n}", "64.02.05.2001", n % 2, "geo", "pln", None) for n in range(30)]
    assert scenarios.draw_episodes(1, found, 0, 9_000_000) == scenarios.draw_episodes(1, found, 0, 9_000_000)
    assert scenarios.draw_episodes(1, found, 0, 9_000_000) != scenarios.draw_episodes(2, found, 0, 9_000_000)
    assert SAMPLES > 1


@pytest.mark.parametrize("text", ["", "90", "0d", "401d", "90 d", "58w", "-1d", "1y", "٣d"])
def test_a_wrong_length_is_refused(text: str) -> None:
    with pytest.raises(HistoryError, match="90d or 13w"):
        read_days(text)


def test_a_length_is_days_or_weeks() -> None:
    assert [read_days(length) for length in ("1d", "90d", "400d", "13w")] == [1, 90, 400, 91]
