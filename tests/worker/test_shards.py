"""Whoever judges which sites, the ledger, incidents and states come out the same."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.core.clock import floor_second, to_slot, utc_now
from app.judging.canary_evidence import CanaryBeat, CanaryLog
from app.postgres.engine import Sessions
from tests.conftest import Cast
from tests.factories import register
from tests.support.rejudged_village import HOURS, OK, TIMEOUT, Village, assert_same, backdate
from tests.support.shard_holders import ShardHolders

Scenario = Callable[[ShardHolders], Awaitable[None]]


@pytest.fixture
async def village(sessions: Sessions, cast: Cast, session: AsyncSession) -> Village:
    """Two towers, sites behind them, and sites without."""
    ids: list[int] = []
    for tower in range(2):
        node = await register(cast, host=f"127.9.{tower}.1", kind="node")
        children = [await register(cast, host=f"127.9.{tower}.{n}", parent_id=node["id"]) for n in (2, 3)]
        ids += [node["id"], *(child["id"] for child in children)]
    ids += [(await register(cast, host=f"127.9.9.{n}"))["id"] for n in (4, 5)]
    start = floor_second(utc_now()) - timedelta(hours=HOURS + 1)
    await backdate(session, start)
    return Village(sessions, ids, start, Random(0))


@pytest.fixture
async def lone_sites(sessions: Sessions, cast: Cast, session: AsyncSession) -> Village:
    """Twelve sites of two providers, none behind another."""
    providers = ("iconplus", "telkom-wms")
    ids = [(await register(cast, host=f"127.8.1.{n}", provider=providers[n % 2]))["id"] for n in range(12)]
    start = floor_second(utc_now()) - timedelta(hours=1)
    await backdate(session, start)
    return Village(sessions, ids, start, Random(0))


async def outcome_of(scenario: Scenario, village: Village, connection: AsyncConnection, shards: int) -> dict[str, Any]:
    """Play it, and leave no trace."""
    savepoint = await connection.begin_nested()
    holders = await ShardHolders.start(village, shards, Random(shards))
    await scenario(holders)
    await holders.finish()
    outcome = await holders.outcome()
    await savepoint.rollback()
    return outcome


@pytest.mark.parametrize("seed", [1])
async def test_the_same_readings_leave_the_same_ledger_and_incidents_with_one_shard_and_with_three(
    village: Village, connection: AsyncConnection, seed: int
) -> None:
    """Late and repeated readings, blindness, holders that are killed, and tasks that wait."""

    async def scenario(holders: ShardHolders) -> None:
        village.random = random = Random(seed)
        until, blind = to_slot(village.start) + 2700, village.random_blind_ranges(9)
        readings = [reading for reading in village.random_readings() if reading.slot < until]
        arriving = sorted(readings, key=lambda reading: reading.slot + random.choice([0] * 40 + [4000]))
        while arriving:
            until = arriving[0].slot + 120
            size = next((n for n, reading in enumerate(arriving) if reading.slot >= until), len(arriving))
            batch, arriving = arriving[: max(size, 1)], arriving[max(size, 1) :]
            fate = random.random()
            await holders.write(batch, [blind.pop()] if blind and fate > 0.97 else [])
            if fate < 0.05:
                holders.replace(holders.random.randrange(holders.shards))
                await holders.write(batch)
            if fate > 0.6:
                await holders.do_tasks(holders.random.sample(range(holders.shards), 1))
        await holders.write([], blind)

    one = await outcome_of(scenario, village, connection, 1)
    three = await outcome_of(scenario, village, connection, 3)
    assert_same(three["stored"], one["stored"])
    assert three == one
    assert one["outages"], "it is not of an idle village"


@pytest.mark.parametrize("answered", [None, True])
async def test_a_mass_outage_comes_out_in_all_shards_as_in_one(
    lone_sites: Village, connection: AsyncConnection, answered: bool | None
) -> None:
    """Held until each site's next look where the canaries tell nothing; counted at once where they answered."""
    log = CanaryLog(["192.0.2.1", "192.0.2.2"])
    for second in range(0, 900 if answered else 0, 2):
        log.append(CanaryBeat(to_slot(lone_sites.start) + second, (True, True)))

    async def scenario(holders: ShardHolders) -> None:
        rounds = [*((second, OK) for second in (480, 540)), (600, TIMEOUT), (610, TIMEOUT)]
        for second, outcome in rounds:
            await holders.write([lone_sites.reading(i, second, outcome) for i in lone_sites.ids], canaries=log)
        lost = set(lone_sites.ids[::2])
        for second in (670, 730):
            looks = [lone_sites.reading(i, second, TIMEOUT if i in lost else OK) for i in lone_sites.ids]
            await holders.write(looks, canaries=log)

    one = await outcome_of(scenario, lone_sites, connection, 1)
    three = await outcome_of(scenario, lone_sites, connection, 3)
    assert_same(three["stored"], one["stored"])
    assert three == one
    excused = [suspect[3] for suspect in one["suspects"]]
    assert (len(excused), excused.count("True")) == (12, 0 if answered else 6)


async def test_a_tree_that_gets_another_top_is_judged_by_its_holder_and_nothing_is_lost(
    village: Village, session: AsyncSession
) -> None:
    """Steady readings that only the former holder's memory knows go with it."""
    holders = await ShardHolders.start(village, 3, Random(1))
    owner = await holders.owned()
    tower, child = village.ids[0], village.ids[1]
    target = next(i for i in village.ids if owner[i] != owner[tower] and i not in village.ids[:3])
    for second in range(0, 600, 60):
        await holders.write([village.reading(i, second, OK) for i in village.ids])
    async with session.begin():
        await session.execute(
            text("UPDATE site SET parent_id = :target WHERE id = :tower"), {"target": target, "tower": tower}
        )
    await holders.follow_registry([tower])
    moved = await holders.owned()
    assert {moved[i] for i in village.ids[:3]} == {owner[target]} != {owner[child]}
    for second in (600, 660):
        await holders.write([village.reading(i, second, OK) for i in village.ids])
    await holders.finish()
    await holders.write([village.reading(i, 720, TIMEOUT if i == child else OK) for i in village.ids])
    readings = [village.reading(i, s, OK) for s in range(0, 720, 60) for i in village.ids]
    readings += [village.reading(i, 720, TIMEOUT if i == child else OK) for i in village.ids]
    assert_same(await holders.stored(), await village.expected(readings))


async def test_a_former_parents_loss_is_found_by_whoever_judges_the_child_by_now(
    village: Village, session: AsyncSession
) -> None:
    """The child was behind the tower at the time; it moved since, and the tower's losses come late."""
    holders = await ShardHolders.start(village, 3, Random(1))
    owner = await holders.owned()
    tower, child = village.ids[0], village.ids[1]
    readings = [village.reading(i, s, OK) for s in range(0, 600, 60) for i in village.ids]
    readings += [village.reading(child, s, TIMEOUT) for s in (600, 610)]
    readings += [village.reading(i, s, OK) for s in (670, 730, 790) for i in village.ids if i != tower]
    readings += [village.reading(tower, s, OK) for s in (730, 790)]
    for slot in sorted({reading.slot for reading in readings}):
        await holders.write([reading for reading in readings if reading.slot == slot])
    target = next(i for i in village.ids if owner[i] != owner[tower])
    at = village.start + timedelta(seconds=795)
    async with session.begin():
        for statement in (
            "UPDATE site SET parent_id = :target WHERE id = :child",
            "UPDATE site_configuration SET ended_at = :at WHERE site_id = :child AND started_at < :at",
            "INSERT INTO site_configuration SELECT * FROM jsonb_populate_record(NULL::site_configuration, ("
            "SELECT to_jsonb(c) || jsonb_build_object('started_at', cast(:at AS timestamptz), 'ended_at', null, "
            "'parent_id', cast(:target AS int)) FROM site_configuration c WHERE site_id = :child "
            "ORDER BY started_at LIMIT 1))",
        ):
            params = {"target": target, "child": child, "at": at}
            used = {name: value for name, value in params.items() if f":{name}" in statement}
            await session.execute(text(statement), used)
    await holders.follow_registry([child])
    await holders.finish()
    assert (await holders.owned())[child] == owner[target]
    late = [village.reading(tower, s, TIMEOUT) for s in (590, 600, 660)]
    await holders.write(late)
    await holders.finish()
    assert_same(await holders.stored(), await village.expected([*readings, *late]))
    states = [segment.state.value for segment in (await holders.stored())[child][0]]
    assert states == ["up", "unreachable", "up"]
