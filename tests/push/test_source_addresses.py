"""Where pushes come from: stored for the province alone, and told apart by network."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import httpx
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.push import source_addresses
from app.push.last_push import LastPush, heard_since
from app.push.source_addresses import Sighting, network_marks
from tests.conftest import Cast
from tests.support.agent_fixtures import Agent
from tests.support.push_samples import BEAT
from tests.support.pushing_sites import Field

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def minutes_ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def marks(address: str, before: str, **last_seen_min: float) -> tuple[bool, bool]:
    """Whether the network changed, and whether it alternates; addresses by how long ago they were seen."""
    seen = {name.replace("_", "."): minutes_ago(minutes) for name, minutes in last_seen_min.items()}
    found = network_marks(Sighting(1, address, NOW, before, minutes_ago(1)), seen | {before: minutes_ago(1)})
    return found["network_changed_at"] is not None, found["two_networks_at"] is not None


def test_an_address_of_a_known_network_is_nothing_new() -> None:
    assert marks("36.70.1.9", "36.70.200.1") == (False, False), "carrier NAT draws from a pool"
    assert marks("36.71.1.9", "36.70.1.9") == (True, False)
    assert marks("2404:8000::1", "36.70.1.9") == (True, False), "of the other family, too"


def test_two_networks_that_alternate_within_an_hour_are_told_apart_from_one_move() -> None:
    assert network_marks(
        Sighting(1, "36.70.1.9", NOW, "110.5.1.1", minutes_ago(1)),
        {"36.70.1.2": minutes_ago(20), "110.5.1.1": minutes_ago(1)},
    ) == {"network_changed_at": None, "two_networks_at": NOW}
    assert network_marks(
        Sighting(1, "36.70.1.9", NOW, "110.5.1.1", minutes_ago(1)),
        {"36.70.1.2": minutes_ago(90), "110.5.1.1": minutes_ago(1)},
    ) == {"network_changed_at": None, "two_networks_at": None}


def test_a_device_with_both_families_neither_moves_nor_alternates() -> None:
    seen = {"36.70.1.9": minutes_ago(2), "2404:8000::1": minutes_ago(1)}
    found = network_marks(Sighting(1, "36.70.1.9", NOW, "2404:8000::1", minutes_ago(1)), seen)
    assert found == {"network_changed_at": None, "two_networks_at": None}


def test_rows_are_heard_in_time_since_the_push_before_unless_one_was_overdue() -> None:
    def first(gap_s: float, told_s: int = 60) -> int:
        last = LastPush("b", NOW - timedelta(seconds=gap_s), told_s, None, None)
        return heard_since(last, NOW) - round(NOW.timestamp())

    assert (first(60), first(84), first(85), first(3600)) == (-59, -83, 0, 0)
    assert (first(400, 300), first(421, 300)) == (-399, 0)
    assert first(-5) == 0, "the push before came later: nothing lies between"
    assert heard_since(None, NOW) == round(NOW.timestamp())


async def push_from(app: FastAPI, agent: Agent, seq: int, address: str) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, client=(address, 4711)), base_url="http://test"
    ) as client:
        sender = Agent(client, agent.site, agent.token, agent.session)
        assert (await sender.push(BEAT | {"seq": seq}))["accepted"] == 1


async def test_the_province_alone_sees_where_pushes_came_from(app: FastAPI, cast: Cast, agent: Agent) -> None:
    for seq, address in enumerate(("36.70.1.9", "36.70.1.9", "::ffff:110.5.1.1", "36.70.1.9"), start=1):
        await push_from(app, agent, seq, address)
    path = f"/sites/{agent.site['id']}/device"
    device = (await cast.sari.get(path)).json()
    assert [source["address"] for source in device["sources"]] == ["36.70.1.9", "110.5.1.1"]
    assert device["network_changed_at"] is not None
    assert device["two_networks_at"] is not None
    for caller in (cast.ana, cast.vera):
        answer = await caller.get(path)
        assert answer.status_code == 200
        assert answer.json()["sources"] is None
        assert "36.70" not in answer.text


async def test_pushes_from_one_address_are_stored_once_an_hour(field: Field, session: AsyncSession) -> None:
    for second in range(0, 3900, 60):
        await field.send(field.ids[0], second)
    assert await sources(field, session) == [(0, 3600)]
    await field.send(field.ids[0], 3960, address="36.70.9.9")
    assert await sources(field, session) == [(0, 3840), (3960, 3960)]


async def test_addresses_are_kept_as_long_as_readings_and_no_more_than_the_latest(
    field: Field, session: AsyncSession
) -> None:
    for number in range(source_addresses.KEPT_PER_SITE + 5):
        await field.send(field.ids[0], number, address=f"36.70.{number}.1")
    async with session.begin():
        await source_addresses.delete_old(session, field.at(-10))
    assert len(await sources(field, session)) == source_addresses.KEPT_PER_SITE
    async with session.begin():
        await source_addresses.delete_old(session, field.at(5000))
        assert (
            await session.scalar(text("SELECT address FROM device WHERE site_id = :id"), {"id": field.ids[0]}) is None
        )
    assert await sources(field, session) == []


async def sources(field: Field, session: AsyncSession) -> Sequence[tuple[int | None, int | None]]:
    async with session.begin():
        rows = (await session.execute(text("SELECT first_at, last_at FROM push_source ORDER BY first_at"))).all()
    return [(field.second(row.first_at), field.second(row.last_at)) for row in rows]


async def test_a_boot_never_heard_of_that_claims_the_time_before_it_is_noted(
    field: Field, session: AsyncSession
) -> None:
    restarted, forged = field.ids[:2]
    for site_id in (restarted, forged):
        await field.send(site_id, 0, boot="first")
    await field.send(restarted, 600, [(590, 3), (598, 3)], boot="second")
    await field.send(forged, 600, [(second, 3) for second in range(60, 600, 60)], boot="second")
    async with session.begin():
        rows = await session.execute(text("SELECT site_id, unheard_boot_at FROM device"))
        noted = {row.site_id: row.unheard_boot_at is not None for row in rows}
    assert noted == {restarted: False, forged: True}
