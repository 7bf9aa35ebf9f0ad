"""What a device reports of an outage is a claim, too: the outage stays proven, and shows what contests it."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from starlette.routing import BaseRoute

from app.postgres.engine import Sessions, transaction
from tests.conftest import Cast
from tests.support.claimed_time import INVENTED, claims, cut_off, figures, incident_of, readings
from tests.support.pushing_sites import Field, register_field
from tests.support.shared_start import SharedStart, savepoint, shared_start


@pytest.fixture(scope="module")
async def start(engine: AsyncEngine, routes: list[BaseRoute]) -> AsyncIterator[SharedStart]:
    async with shared_start(engine, routes) as start:
        yield start


@pytest.fixture(scope="module")
async def outage(start: SharedStart) -> Field:
    """The first site's agent has stopped; the others are heard."""
    field = await register_field(start.sessions, start.cast, start.session, start.app)
    await cut_off(field)
    return field


@pytest.fixture
async def connection(start: SharedStart, outage: Field) -> AsyncIterator[AsyncConnection]:
    async with savepoint(start.connection) as connection:
        yield connection


@pytest.fixture
def field(outage: Field, sessions: Sessions, cast: Cast, app: FastAPI) -> Field:
    return outage.copy(sessions, cast, app)


async def test_invented_rows_of_an_outage_leave_the_outage_proven(field: Field) -> None:
    silent = field.ids[0]
    before = await field.states(silent)
    assert before == [(0, "up", None), (360, "down", None)]
    assert (await field.send(silent, 1090, INVENTED, boot="forged")).accepted == 13
    await field.drain()
    assert await field.states(silent) == [*before, (1090, "up", None)]
    assert {outcome for _, outcome in await field.silences(silent)} == {"timeout"}
    assert (await incident_of(field))["status"] == "resolved"
    late = [one for one in await readings(field, silent, "agent") if one[2] == "late"]
    assert [(second, outcome) for second, outcome, _ in late] == [(second, "fault") for second, _ in INVENTED]
    assert await claims(field, silent) == [(360, 1090)]


async def test_of_a_timely_push_only_the_rows_since_the_push_before_are_evidence(field: Field) -> None:
    silent = field.ids[0]
    await field.send(silent, 1090)
    await field.send(silent, 1095, [*INVENTED, (1092, 3)])
    await field.drain()
    assert await field.states(silent) == [(0, "up", None), (360, "down", None), (1090, "up", None)]
    assert await claims(field, silent) == [(360, 1092)]


async def test_rows_of_which_nothing_was_sent_hide_no_silence(field: Field) -> None:
    silent = field.ids[0]
    before = await field.states(silent)
    await field.send(
        silent, 1090, [(second, -1) for second, _ in await field.silences(silent) if second], boot="forged"
    )
    await field.drain()
    assert await field.states(silent) == [*before, (1090, "up", None)]
    assert await figures(field, silent, 0, 1140) == {"up": 410, "down": 730}


async def test_claims_of_many_pushes_stay_few_and_are_told_apart_from_none(field: Field) -> None:
    silent = field.ids[0]
    for number in range(20):
        await field.send(silent, 1090 + number, [(360 + number + second, 3) for second in range(0, 700, 20)])
    await field.drain()
    assert await claims(field, silent) == [(360, 1109)]


async def test_claimed_outage_time_is_bad_in_the_worst_case_good_in_the_best_and_otherwise_left_out(
    field: Field,
) -> None:
    silent = field.ids[0]
    await field.send(silent, 1090, INVENTED, boot="forged")
    await field.drain()
    assert await figures(field, silent, 0, 1140) == {"up": 410, "unknown": 730, "claimed": 730}
    total = await field.uptime(silent, 0, 1140)
    assert (total["uptime_pct"], total["coverage_pct"]) == (100, 35.964)
    assert (total["worst_pct"], total["best_pct"]) == (35.964, 100)
    assert (total["outages"], total["seconds"]["down"]) == (0, 0)


async def test_what_a_claim_leaves_of_an_outage_stays_down_and_is_one_outage(field: Field) -> None:
    silent = field.ids[0]
    await field.send(silent, 1090, [(600, 3), (660, 3)])
    await field.drain()
    assert await figures(field, silent, 0, 1140) == {"up": 410, "down": 586, "unknown": 144, "claimed": 144}
    total = await field.uptime(silent, 0, 1140)
    assert (total["outages"], total["longest_outage_s"]) == (1, 586)


async def test_segments_show_what_rests_on_a_claim_and_what_is_proven_of_it(field: Field) -> None:
    silent = field.ids[0]
    await field.send(silent, 1090, [(600, 3), (660, 3)])
    await field.drain()
    bounds = {"from": field.at(0).isoformat(), "to": field.at(1140).isoformat()}
    items = (await field.get(f"/sites/{silent}/segments", **bounds))["items"]
    shown = [
        (field.second(one["started_at"]), one["state"], one["unknown_reason"], one["evidence"], one["claim"] is None)
        for one in items
    ]
    assert shown == [
        (0, "up", None, "agent", True),
        (360, "down", None, "silence", True),
        (600, "unknown", "claimed", "claimed", False),
        (744, "down", None, "silence", True),
        (1090, "up", None, "agent", True),
    ]
    claim = items[2]["claim"]
    assert claim.pop("proven_state") == "down"
    assert {name: field.second(at) for name, at in claim.items()} == {
        "started_at": 600,
        "ended_at": 744,
        "received_at": 1090,
    }
    assert sum(one["duration_s"] for one in items) == 1140


async def test_live_status_stays_what_is_proven(field: Field) -> None:
    silent = field.ids[0]
    await field.send(silent, 1090, INVENTED)
    await field.drain()
    async with transaction(field.sessions) as session:
        query = text("SELECT state, since FROM site_status WHERE site_id = :id")
        row = (await session.execute(query, {"id": silent})).one()
    assert (row.state, field.second(row.since)) == ("up", 1090)


async def test_a_second_claim_moves_the_mark_and_is_no_second_event(field: Field) -> None:
    silent = field.ids[0]
    await field.send(silent, 1090, [(600, 3)])
    await field.drain()
    first = (await incident_of(field))["sites"][0]
    await field.send(silent, 1100, [(900, 3)])
    await field.drain()
    incident = await incident_of(field)
    second = incident["sites"][0]
    assert (first["refuted_s"], second["refuted_s"]) == (84, 168)
    assert second["refuted_at"] == first["refuted_at"]
    assert (first["duration_min_s"], second["duration_min_s"]) == (660 - 84, 660 - 168)
    assert [one["kind"] for one in incident["events"]].count("refuted") == 1


async def test_an_outage_that_nobody_contests_has_no_mark(field: Field) -> None:
    silent = field.ids[0]
    await field.send(silent, 1090)
    await field.drain()
    assert (await incident_of(field))["sites"][0]["refuted_at"] is None
