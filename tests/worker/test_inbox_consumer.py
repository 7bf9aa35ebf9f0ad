"""From the inbox to states, incidents and uptime: real rows on a real database, at moments that the test chooses."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from starlette.routing import BaseRoute
from structlog.testing import capture_logs

from app.agents import agent_tokens
from app.availability import monthly_close
from app.core.clock import midnight, utc_now
from app.judging import ingest
from app.judging.blind_ranges import BlindRange
from app.judging.dirty_range import DirtyRange
from app.judging.propagation import rejudge_reconfigured, rejudge_with_children
from app.latency import rollup
from app.postgres.engine import Sessions, transaction
from app.postgres.work_signals import Work
from app.push import inbox
from app.push.inbox import Delivery
from app.settings import Settings
from app.worker import inbox_consumer
from app.worker.counters import WorkerCounters
from app.worker.inbox_consumer import InboxConsumer
from app.worker.ingest_heartbeat import IngestHeartbeat
from app.worker.judging_session import JudgingSessions
from app.worker.registry_refresh import list_changed_sites
from app.worker.writer import write_batch
from tests.conftest import Cast
from tests.support.pushing_sites import Field, arrival, open_consumer, register_field
from tests.support.shared_start import SharedStart, savepoint, shared_start
from tests.support.site_histories import TERMS, TODAY, under_contract


@pytest.fixture(scope="module")
async def start(engine: AsyncEngine, routes: list[BaseRoute]) -> AsyncIterator[SharedStart]:
    async with shared_start(engine, routes) as start:
        yield start


@pytest.fixture(scope="module")
async def registered(start: SharedStart) -> Field:
    return await register_field(start.sessions, start.cast, start.session, start.app)


@pytest.fixture
async def connection(start: SharedStart, registered: Field) -> AsyncIterator[AsyncConnection]:
    async with savepoint(start.connection) as connection:
        yield connection


@pytest.fixture
def field(registered: Field, sessions: Sessions, cast: Cast, app: FastAPI) -> Field:
    consumer = open_consumer(sessions, registered.start)
    return replace(registered, sessions=sessions, cast=cast, app=app, consumer=consumer)


async def test_what_was_pushed_becomes_readings_states_and_figures(field: Field) -> None:
    site = field.ids[0]
    await field.push(site, [field.row(second) for second in range(0, 600, 60)], received=541)
    await field.push(site, [arrival(field, 600)], received=600)
    await field.push(site, [field.row(660, answered=1)], received=660)
    await field.drain()
    assert await field.states(site) == [(0, "up", None)]
    shown = (await field.get(f"/sites/{site}/measurements", period="2h"))["items"]
    assert len(shown) == 12
    assert {one["source"] for one in shown} == {"agent"}
    assert [(one["sent"], one["received"], one["reason"]) for one in shown[-2:]] == [
        (0, 0, "arrival"),
        (3, 1, "claimed"),
    ]
    latency = (await field.get(f"/sites/{site}/latency", period="2h"))["total"]
    assert (latency["samples"], latency["loss_pct"]) == (31, pytest.approx(100 * 2 / 33, abs=0.01))
    made = await field.get(f"/sites/{site}")
    assert field.second(made["commissioned_at"]) == 0
    counted = field.consumer.counters
    assert (counted.pushes, counted.pushed_rows, counted.refused_pushes) == (3, 12, 0)
    async with transaction(field.sessions) as session:
        assert await session.scalar(text("SELECT count(*) FROM push_inbox")) == 0


async def test_a_site_is_degraded_by_the_loss_its_anchors_saw_and_never_by_an_arrival_alone(field: Field) -> None:
    well, lossy = field.ids[:2]
    for second in range(0, 900, 60):
        await field.push(well, [arrival(field, second)], received=second)
        await field.beat(lossy, second, answered=0)
    await field.drain()
    assert await field.states(well) == [(0, "up", None)]
    assert await field.states(lossy) == [(0, "up", None), (60, "degraded", None)]
    snapshot = await _status(field)
    assert (snapshot[well]["evidence"], snapshot[well]["loss_pct"], snapshot[well]["rtt_ms"]) == ("agent", None, None)


async def _status(field: Field) -> dict[int, dict[str, Any]]:
    snapshot = field.app.state.snapshot
    await snapshot.refresh(field.sessions)
    snapshot.tick(utc_now())
    return {one["id"]: one for one in (await field.get("/status"))["sites"]}


async def test_rows_of_one_second_are_all_kept(field: Field) -> None:
    site = field.ids[0]
    await field.push(site, [field.row(0), field.row(0), field.row(1)])
    await field.drain()
    await field.push(site, [field.row(0), field.row(2)])
    await field.drain()
    shown = (await field.get(f"/sites/{site}/measurements", period="2h"))["items"]
    assert sorted(field.second(one["slot"]) or 0 for one in shown) == [0, 1, 2, 3, 4]


async def test_of_several_arrivals_in_a_second_one_is_kept_and_none_beside_an_answered_reading(field: Field) -> None:
    site, came = field.ids[0], arrival(field, 0)
    for _ in range(3):
        for _ in range(4):
            await field.push(site, [came])
        await field.drain()
    assert await _seconds(field, site) == [(0, "arrival")]
    await field.push(site, [field.row(30), arrival(field, 30)])
    await field.drain()
    await field.push(site, [arrival(field, 30)])
    await field.drain()
    assert await _seconds(field, site) == [(0, "arrival"), (30, "claimed")]


@pytest.mark.parametrize("together", [True, False])
async def test_a_push_that_reports_a_loss_of_its_own_second_ends_the_outage_right_after_it(
    field: Field, together: bool
) -> None:
    site = field.ids[0]
    await field.beat(site, 0)
    await field.push(site, [field.row(60, "timeout"), field.row(120, "timeout")])
    lost, came = field.row(180, "timeout"), arrival(field, 180)
    for rows in ([lost, came],) if together else ([lost], [came]):
        await field.push(site, rows, received=180)
        await field.drain()
    assert await field.states(site) == [(0, "up", None), (60, "down", None), (181, "up", None)]


async def _seconds(field: Field, site: int) -> list[tuple[int | None, str | None]]:
    shown = (await field.get(f"/sites/{site}/measurements", period="2h"))["items"]
    return [(field.second(one["slot"]), one["reason"]) for one in shown]


async def test_a_site_that_falls_silent_while_others_are_heard_is_down_from_the_push_that_was_due(
    field: Field,
) -> None:
    silent, *others = field.ids
    await field.live(0, 300, sites=field.ids)
    await field.live(315, 600, sites=others)
    assert await field.states(silent) == [(0, "up", None), (360, "down", None)]
    (incident,) = (await field.get("/incidents"))["items"]
    bounds = [field.second(incident[name]) for name in ("last_ok_at", "started_at", "confirmed_at", "ended_at")]
    assert bounds == [300, 360, 420, None]
    assert incident["sites"][0]["evidence"] == "silence"
    await _silent_as_others_were_heard(field, silent, others)
    await field.beat(silent, 640)
    await field.drain()
    (incident,) = (await field.get("/incidents"))["items"]
    assert (incident["status"], field.second(incident["ended_at"])) == ("resolved", 640)
    down = next(
        one for one in (await field.get(f"/sites/{silent}/segments", period="2h"))["items"] if one["state"] == "down"
    )
    assert (field.second(down["last_ok_at"]), field.second(down["first_ok_after"])) == (300, 640)
    assert down["evidence"] == "silence"
    total = await field.uptime(silent, 0, 700)
    assert (total["seconds"]["down"], sum(total["seconds"].values()), total["outages"]) == (280, 700, 1)


async def _silent_as_others_were_heard(field: Field, silent: int, others: Sequence[int]) -> None:
    codes = {(await field.get(f"/sites/{other}"))["code"] for other in others}
    shown = (await field.get(f"/sites/{silent}/measurements", period="2h"))["items"]
    said = [one for one in shown if one["source"] == "silence"]
    assert {(one["outcome"], one["sent"], one["valid_s"]) for one in said} == {("timeout", 0, 60)}
    for one in said:
        words = one["reason"].removeprefix("not heard, as ").removesuffix(" were").split(" and ")
        assert (len(words), set(words) <= codes) == (2, True), one["reason"]


async def test_a_site_that_falls_silent_is_never_unknown_between_up_and_down(field: Field) -> None:
    silent, *others = field.ids
    await field.live(0, 300, sites=field.ids)
    for second in range(301, 460):
        if second % 15 == 0:
            await field.push(None, received=second)
        for other in others:
            if second % 60 == 0:
                await field.beat(other, second)
        await field.record_missed(second)
        async with transaction(field.sessions) as session:
            known = (
                await session.execute(
                    text("SELECT state, evidence_at, valid_s FROM site_status WHERE site_id = :id"), {"id": silent}
                )
            ).one()
        assert known.state != "up" or field.at(second) <= known.evidence_at + timedelta(seconds=2.5 * known.valid_s)
    assert (await field.states(silent))[-1] == (360, "down", None)


async def test_the_push_that_ends_an_outage_does_not_undo_it(field: Field) -> None:
    silent, *others = field.ids
    await field.live(0, 300, sites=field.ids)
    await field.live(315, 450, sites=others)
    await field.beat(silent, 452)
    await field.drain()
    assert await field.states(silent) == [(0, "up", None), (360, "down", None), (452, "up", None)]


async def test_while_ingest_is_not_proven_no_push_counts_as_missed(field: Field) -> None:
    await field.live(0, 300, sites=field.ids)
    for second in range(301, 900, 15):
        await field.record_missed(second)
    assert [await field.silences(site_id) for site_id in field.ids] == [[]] * 4
    assert (await _status(field))[field.ids[0]]["state"] == "unknown"
    await field.live(900, 1020, sites=field.ids)
    found = [await field.states(site_id) for site_id in field.ids]
    assert found == [[(0, "up", None), (360, "unknown", "blind"), (900, "up", None)]] * 4
    total = await field.uptime(field.ids[0], 0, 1000)
    assert (total["seconds"]["unknown"], sum(total["seconds"].values())) == (540, 1000)


async def test_a_site_that_is_back_first_is_no_evidence_against_those_that_were_away_with_it(
    field: Field,
) -> None:
    """Our own beat went on: perhaps it takes another way than they do."""
    await field.live(0, 300, sites=field.ids)
    await field.live(315, 930, sites=())
    first, second, *others = field.ids
    for site in (first, second):
        await field.beat(site, 930)
    await field.record_missed(932)
    await field.live(945, 945, sites=())
    await field.live(960, 1080, sites=field.ids)
    for site in others:
        assert await field.states(site) == [(0, "up", None), (360, "unknown", "silent"), (960, "up", None)]
    assert (await field.get("/incidents"))["items"] == []


async def test_a_push_that_fell_into_a_short_absence_of_the_api_is_not_missed(field: Field) -> None:
    """Its power went before it could try again: of that turn nobody knows, nor of the pause after a refusal."""
    silent, *others = field.ids
    await field.live(0, 345, sites=field.ids)
    await field.live(360, 360, sites=())
    async with transaction(field.sessions) as session:
        await inbox.enqueue(session, [Delivery.api_start(field.at(363))])
    for other in others:
        await field.beat(other, 364)
    await field.live(375, 780, sites=others)
    assert await field.silences(silent) == [(600, "timeout"), (660, "timeout"), (720, "timeout")]
    assert await field.states(silent) == [(0, "up", None), (360, "unknown", "silent"), (600, "down", None)]
    assert [await field.states(other) for other in others] == [[(0, "up", None)]] * 3


async def test_a_device_that_may_be_pushing_with_a_revoked_token_is_not_down(field: Field) -> None:
    silent, *others = field.ids
    await field.live(0, 300, sites=field.ids)
    async with transaction(field.sessions) as session:
        await agent_tokens.mint(session, silent, by="Sari")
    await field.live(315, 900, sites=others)
    assert (await _status(field))[silent]["state"] == "unknown"
    assert await field.silences(silent) == []
    await field.beat(silent, 915)
    await field.live(915, 1080, sites=others)
    assert (await field.states(silent))[-1] == (975, "down", None), "with the new one it is waited for again"


async def test_an_agent_that_was_removed_is_unknown_and_no_outage(field: Field) -> None:
    gone, *others = field.ids
    await field.live(0, 300, sites=field.ids)
    async with transaction(field.sessions) as session:
        query = text("SELECT digest FROM device_token WHERE site_id = :site AND revoked_at IS NULL")
        digest = await session.scalar(query, {"site": gone})
        assert digest is not None
        assert await agent_tokens.end(session, digest)
    await field.live(315, 900, sites=others)
    assert (await _status(field))[gone]["state"] == "unknown"
    assert await field.silences(gone) == []


async def test_a_device_that_is_present_at_times_is_never_down_by_its_silence(field: Field) -> None:
    pc, *others = field.ids
    await _declare(field, pc, "sometimes")
    await field.live(0, 300, sites=field.ids)
    await field.live(315, 900, sites=others)
    assert await field.silences(pc) == []
    assert (await _status(field))[pc]["state"] == "unknown"
    assert (await field.uptime(pc, 0, 900))["seconds"]["down"] == 0
    shown = await field.get(f"/sites/{pc}/device")
    assert (shown["silence_counts"], shown["silence_ignored"]) == (False, "presence")
    await field.beat(pc, 960)
    await field.live(960, 960, sites=others)
    assert (await field.states(pc))[-1] == (960, "up", None)
    await _declare(field, pc, "always")
    await field.live(975, 1200, sites=others)
    assert (await field.states(pc))[-1] == (1020, "down", None), "to be on day and night, it is waited for again"


async def test_rows_of_loss_that_a_device_present_at_times_sends_in_time_are_losses(field: Field) -> None:
    pc, *others = field.ids
    await _declare(field, pc, "sometimes")
    await field.live(0, 300, sites=field.ids)
    lost = [replace(field.row(second, "timeout"), reason=None) for second in (310, 370)]
    await field.push(pc, lost, received=420)
    await field.live(420, 420, sites=others)
    assert (310, "down", None) in await field.states(pc)


async def test_missed_reports_are_judged_by_the_presence_of_their_second(field: Field) -> None:
    """It was to be on day and night until 400 only, as its configuration has it: the second loss is none."""
    pc, *others = field.ids
    await field.live(0, 300, sites=field.ids)
    await field.live(315, 600, sites=others)
    assert await field.states(pc) == [(0, "up", None), (360, "down", None)]
    async with transaction(field.sessions) as session:
        for statement in (
            "UPDATE site_configuration SET ended_at = :at WHERE site_id = :id",
            """INSERT INTO site_configuration SELECT (jsonb_populate_record(c, jsonb_build_object(
                'started_at', c.ended_at, 'ended_at', NULL, 'presence', 'sometimes'))).*
            FROM site_configuration c WHERE site_id = :id""",
        ):
            await session.execute(text(statement), {"id": pc, "at": field.at(400)})
        await rejudge_with_children(session, [DirtyRange(pc, field.at(0), field.at(600))])
    assert await field.states(pc) == [(0, "up", None), (360, "unknown", "silent")]


async def test_since_when_it_is_present_at_times_may_be_corrected_with_a_reason(field: Field) -> None:
    """A PC that was declared too late: its outages by silence are withdrawn, from the moment that is given."""
    pc, *others = field.ids
    await field.live(0, 300, sites=field.ids)
    await field.live(315, 600, sites=others)
    assert await field.states(pc) == [(0, "up", None), (360, "down", None)]
    body = {"presence": "sometimes", "from": field.at(330).isoformat(), "reason": "PC kantor"}
    for person, status in ((field.cast.ben, 404), (field.cast.icon, 403), (field.cast.vera, 403)):
        assert (await person.post(f"/sites/{pc}/presence", body)).status_code == status
    for wrong, code in (
        ({"from": field.at(-10_000).isoformat()}, "changed_otherwise"),
        ({"from": (utc_now() + timedelta(hours=1)).isoformat()}, "not_past"),
        ({"from": (utc_now() - timedelta(days=400)).isoformat()}, "too_old"),
        ({"reason": " "}, "string_too_short"),
    ):
        answer = await field.cast.ana.post(f"/sites/{pc}/presence", body | wrong)
        assert answer.json()["errors"][0]["code"] == code
    assert (await field.get(f"/sites/{pc}"))["presence"] == "always", "nothing of a refused correction stays"
    answer = await field.cast.ana.post(f"/sites/{pc}/presence", body)
    assert (answer.status_code, answer.json()["presence"]) == (200, "sometimes"), answer.text
    async with field.sessions() as session:
        _, rows = await list_changed_sites(session, 0)
    (row,) = (row for row in rows if row.id == pc)
    assert (field.second(row.setup_at), row.is_reconfigured) == (330, True), "the worker judges again from there"
    async with transaction(field.sessions) as session:
        await rejudge_reconfigured(session, [DirtyRange(pc, row.setup_at, field.at(600))])
    assert await field.states(pc) == [(0, "up", None), (360, "unknown", "silent")]
    entries = (await field.get("/audit", object="site"))["items"]
    assert any((entry["after"] or {}).get("reason") == "PC kantor" for entry in entries)
    answer = await field.cast.ana.post(f"/sites/{pc}/presence", body | {"from": field.at(300).isoformat()})
    assert answer.status_code == 200, "further back, too"


async def test_no_correction_of_presence_reaches_into_a_contract(field: Field, session: AsyncSession) -> None:
    pc = field.ids[0]
    await under_contract(session, pc, valid_from=date(2020, 1, 1), terms=[(date(2020, 1, 1), TERMS)])
    body = {"presence": "sometimes", "from": field.at(0).isoformat(), "reason": "PC kantor"}
    answer = await field.cast.ana.post(f"/sites/{pc}/presence", body)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "under_contract")


async def _declare(field: Field, site_id: int, presence: str) -> None:
    async with transaction(field.sessions) as session:
        for table, key in (("site", "id"), ("site_configuration", "site_id")):
            statement = f"UPDATE {table} SET presence = cast(:presence AS text) WHERE {key} = :id"
            await session.execute(text(statement), {"id": site_id, "presence": presence})


async def test_a_device_tells_when_it_is_expected_and_whether_its_silence_counts(field: Field) -> None:
    site, *others = field.ids

    async def shown() -> tuple[bool, str | None, float | None]:
        found = await field.get(f"/sites/{site}/device")
        return found["silence_counts"], found["silence_ignored"], field.second(found["next_expected_at"])

    assert await shown() == (False, "never_heard", None)
    now = (utc_now() - field.start).total_seconds() // 1
    await field.beat(site, now)
    await field.drain()
    assert await shown() == (False, "ingest", now + 60)
    await _beats(field)
    assert await shown() == (False, "few_others", now + 60)
    for other in others:
        await field.beat(other, now)
    assert await shown() == (True, None, now + 60)
    async with transaction(field.sessions) as session:
        await agent_tokens.mint(session, site, by="Sari")
    assert await shown() == (False, "token", now + 60)


async def _beats(field: Field) -> None:
    """The worker lives, and what it sends to itself comes through."""
    async with transaction(field.sessions) as session:
        await session.execute(text("DELETE FROM worker_beat"))
        for source in ("central", "silence"):
            await session.execute(
                text(
                    "INSERT INTO worker_beat (source, beat_at, started_at, figures) "
                    "VALUES (:source, clock_timestamp(), clock_timestamp(), '{}')"
                ),
                {"source": source},
            )


async def test_a_push_is_due_by_the_interval_that_the_device_was_sent_last(field: Field) -> None:
    """A satellite site that sends each five minutes becomes one on fibre: it hears of that with its next push."""
    changed, *others = field.ids
    for second in range(0, 660, 15):
        await field.push(None, received=second)
        for other in others:
            if second % 60 == 0:
                await field.beat(other, second)
        if second % 300 == 0:
            await field.beat(changed, second, valid_s=300)
        await field.record_missed(second + 1)
    assert await field.states(changed) == [(0, "up", None)]
    assert await field.silences(changed) == []


async def test_an_arrival_far_in_the_future_keeps_no_push_from_being_due(field: Field) -> None:
    silent, *others = field.ids
    await field.live(0, 300, sites=field.ids)
    async with transaction(field.sessions) as session:
        await session.execute(
            text("UPDATE device SET heard_at = heard_at + interval '1 year' WHERE site_id = :id"), {"id": silent}
        )
    await field.live(315, 480, sites=others)
    assert (await field.states(silent))[-1] == (360, "down", None)


async def test_of_a_time_without_a_worker_every_push_counts_and_no_missed_one(field: Field) -> None:
    """Ingest went on: what came is taken in. Who did not come may not have been there, or not been heard."""
    silent, *others = field.ids
    await field.live(0, 300, sites=field.ids)
    for second in range(360, 1200, 60):
        for other in others:
            await field.beat(other, second)
    again = InboxConsumer(
        JudgingSessions(field.sessions),
        WorkerCounters(),
        IngestHeartbeat("http://127.0.0.1:9"),
        started_at=field.at(1200),
    )
    async with transaction(field.sessions) as session:
        await again.start(session)
    field.consumer = again
    await field.live(1200, 1275, sites=others)
    assert [await field.states(other) for other in others] == [[(0, "up", None)]] * 3
    assert await field.silences(silent) == []
    await field.live(1290, 1600, sites=others)
    assert await field.states(silent) == [(0, "up", None), (360, "unknown", "stopped"), (1410, "down", None)]
    total = await field.uptime(silent, 0, 1500)
    assert (total["seconds"]["unknown"], total["seconds"]["down"]) == (1050, 90)


async def test_while_the_worker_itself_stood_still_ingest_is_not_blamed(field: Field) -> None:
    silent, *others = field.ids
    await field.live(0, 300, sites=field.ids)
    for second in range(360, 420, 60):
        for other in others:
            await field.beat(other, second)
    field.consumer.resume(field.at(420))
    await field.live(420, 480, sites=others)
    async with transaction(field.sessions) as session:
        rows = await session.execute(text("SELECT reason FROM blind WHERE source = 'silence'"))
        assert [row.reason for row in rows] == ["stopped"]
    assert await field.silences(silent) == []


async def test_a_worker_that_is_back_at_once_continues_the_proof(field: Field) -> None:
    silent, *others = field.ids
    await field.live(0, 300, sites=field.ids)
    again = InboxConsumer(
        JudgingSessions(field.sessions),
        WorkerCounters(),
        IngestHeartbeat("http://127.0.0.1:9"),
        started_at=field.at(310),
    )
    async with transaction(field.sessions) as session:
        await again.start(session)
    field.consumer = again
    await field.live(315, 480, sites=others)
    assert (await field.states(silent))[-1] == (360, "down", None)


async def test_a_blind_worker_or_uplink_changes_nothing_for_sites_that_push(field: Field) -> None:
    site = field.ids[0]
    await field.beat(site, 0, 60, 120)
    await field.push(site, [field.row(180, "timeout"), field.row(240, "timeout")], received=1000)
    await field.beat(site, 1000)
    await field.drain()
    before = await field.states(site)
    async with transaction(field.sessions) as session:
        await write_batch(session, [], [BlindRange(field.at(100), field.at(900), "stopped")])
    assert (
        await field.states(site)
        == before
        == [
            (0, "up", None),
            (180, "down", None),
            (300, "unknown", "silent"),
            (1000, "up", None),
        ]
    )


async def test_a_push_that_the_database_refuses_is_set_aside_and_keeps_no_other_waiting(
    field: Field, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = field.ids[:2]
    for second in range(0, 300, 60):
        await field.beat(good, second)
    await field.push(bad, [field.row(0, valid_s=99_999)])
    for second in range(300, 600, 60):
        await field.beat(good, second)
    await field.drain()
    assert len((await field.get(f"/sites/{good}/measurements", period="2h"))["items"]) == 10
    assert field.consumer.counters.refused_pushes == 1
    async with transaction(field.sessions) as session:
        (kept,) = await session.execute(text("SELECT site_id, refused_at FROM push_inbox"))
        assert kept.site_id == bad
        await session.execute(text("UPDATE push_inbox SET rows = '[]'"))
        await field.consumer.start(session)
    await field.drain()
    async with transaction(field.sessions) as session:
        assert await session.scalar(text("SELECT count(*) FROM push_inbox")) == 0, "it is tried again"


async def test_a_push_on_which_our_own_code_raises_is_rejected_with_its_traceback(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, *good = field.ids
    real = ingest.ingest_readings

    async def judge(session: AsyncSession, readings: Any, *rest: Any, **options: Any) -> Any:
        if any(reading.key == bad for reading, _ in readings):
            raise AttributeError("no such field")
        return await real(session, readings, *rest, **options)

    monkeypatch.setattr(ingest, "ingest_readings", judge)
    for site_id in (good[0], bad, *good[1:]):
        await field.beat(site_id, 0)
    with capture_logs() as logs:
        await field.drain()
    assert [await field.states(site_id) for site_id in good] == [[(0, "up", None)]] * 3
    (rejected,) = [log for log in logs if log["event"] == "push_rejected"]
    assert (rejected["site"], type(rejected["exc_info"])) == (bad, AttributeError)
    assert field.consumer.counters.refused_pushes == 1


async def test_a_payload_that_this_version_cannot_decode_is_rejected_and_the_others_are_judged(field: Field) -> None:
    bad, *good = field.ids
    for site_id in (good[0], bad, *good[1:]):
        await field.beat(site_id, 0)
    async with transaction(field.sessions) as session:
        await session.execute(text("UPDATE push_inbox SET rows = '{' WHERE site_id = :id"), {"id": bad})
    await field.drain()
    assert [await field.states(site_id) for site_id in good] == [[(0, "up", None)]] * 3
    assert field.consumer.counters.refused_pushes == 1


async def test_a_missed_push_that_cannot_be_judged_keeps_no_others_back_and_is_tried_once(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, silent, *others = field.ids
    await field.live(0, 300, sites=field.ids)
    real = ingest.ingest_readings

    async def judge(session: AsyncSession, readings: Any, *rest: Any, **options: Any) -> Any:
        if any(reading.key == bad for reading, _ in readings):
            raise TypeError
        return await real(session, readings, *rest, **options)

    monkeypatch.setattr(ingest, "ingest_readings", judge)
    with capture_logs() as logs:
        await field.live(315, 465, sites=others)
    assert (await field.states(silent))[-1] == (360, "down", None)
    assert await field.silences(bad) == []
    rejected = [log for log in logs if log["event"] == "missed_push_rejected"]
    assert [log["site"] for log in rejected] == [bad, bad], "one for each push that it missed"
    assert {type(log["exc_info"]) for log in rejected} == {TypeError}


async def test_rows_that_waited_for_weeks_get_partitions_and_those_beyond_retention_are_counted(field: Field) -> None:
    site = field.ids[0]
    old, closed = -20 * 86_400, -90 * 86_400
    async with transaction(field.sessions) as session:
        for statement in (
            "UPDATE site SET addressed_at = :since, created_at = :since",
            "UPDATE site_configuration SET started_at = :since, addressed_at = :since",
        ):
            await session.execute(text(statement), {"since": field.at(closed)})
    await field.push(site, [field.row(closed), field.row(old), field.row(0)])
    await field.drain()
    assert len((await field.get(f"/sites/{site}/measurements", period="30d"))["items"]) == 2
    assert (field.consumer.counters.closed_rows, field.consumer.counters.refused_pushes) == (1, 0)


async def test_what_was_measured_at_a_former_address_is_no_evidence(field: Field) -> None:
    site = field.ids[0]
    await field.push(site, [field.row(0)])
    async with transaction(field.sessions) as session:
        for statement in (
            "UPDATE site SET addressed_at = :at WHERE id = :id",
            "UPDATE site_configuration SET addressed_at = :at WHERE site_id = :id",
        ):
            await session.execute(text(statement), {"at": field.at(30), "id": site})
    await field.push(site, [field.row(60)])
    await field.drain()
    shown = (await field.get(f"/sites/{site}/measurements", period="2h"))["items"]
    assert [(one["outcome"], one["reason"]) for one in shown] == [("fault", "moved"), ("ok", "claimed")]
    assert await field.states(site) == [(60, "up", None)]


async def test_what_was_measured_while_the_site_was_suspended_is_no_evidence(field: Field) -> None:
    """Its bill was not paid, its agent went on, and sent what it had kept when the site was in service again."""
    site = field.ids[0]
    await field.beat(site, 0, 60)
    async with transaction(field.sessions) as session:
        for statement in (
            "UPDATE site_configuration SET ended_at = :out WHERE site_id = :id",
            """INSERT INTO site_configuration
                (site_id, started_at, ended_at, lifecycle, technology, provider_id, addressed_at, village_code)
            SELECT site_id, n.started_at, n.ended_at, n.lifecycle, technology, provider_id, addressed_at, village_code
            FROM site_configuration, (VALUES (cast(:out AS timestamptz), cast(:back AS timestamptz), 'suspended'),
                (:back, NULL, 'active')) AS n(started_at, ended_at, lifecycle) WHERE site_id = :id""",
        ):
            times = {"id": site, "out": field.at(100), "back": field.at(400)}
            await session.execute(text(statement), {name: times[name] for name in times if f":{name}" in statement})
    rows = [field.row(second, "timeout") for second in range(120, 400, 60)]
    await field.push(site, [*rows, field.row(420)], received=420)
    await field.drain()
    shown = (await field.get(f"/sites/{site}/measurements", period="2h"))["items"]
    assert [one["reason"] for one in shown] == ["claimed"] * 2 + ["not active"] * 5 + ["claimed"]
    total = await field.uptime(site, 0, 500)
    assert (total["seconds"]["down"], total["seconds"]["inactive"], sum(total["seconds"].values())) == (0, 300, 500)
    assert (await field.get("/incidents"))["items"] == []


async def test_late_rows_of_an_hour_that_was_counted_have_it_counted_again(field: Field) -> None:
    site = field.ids[0]
    await field.push(site, [field.row(60), field.row(120)])
    await field.drain()
    async with transaction(field.sessions) as session:
        await session.execute(
            text("UPDATE rollup_watermark SET upto = date_trunc('hour', cast(:at AS timestamptz))"),
            {"at": field.start - timedelta(hours=1)},
        )
    for _ in range(20):
        async with transaction(field.sessions) as session:
            if not await rollup.roll_up(session, utc_now() + timedelta(hours=1)):
                break
    await field.push(site, [field.row(180), field.row(240, "timeout")])
    await field.drain()
    async with transaction(field.sessions) as session:
        marked = await session.scalar(text("SELECT count(*) FROM stale_hour WHERE site_id = :id"), {"id": site})
        assert marked in {1, 2}, "two where a full hour lies between"
        while await rollup.roll_up(session, utc_now() + timedelta(hours=1)):
            pass
        sent, received = (
            await session.execute(
                text("SELECT sum(sent), sum(received) FROM rollup_hour WHERE site_id = :id"), {"id": site}
            )
        ).one()
    assert (sent, received) == (12, 9)


async def test_a_month_that_was_closed_is_corrected_beside_by_what_was_pushed_late(
    field: Field, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows were acknowledged in time, and the worker was away for long."""
    monkeypatch.setattr("app.judging.rejudge.settings", lambda: Settings(raw_retention_days=70))
    site, month = field.ids[0], (TODAY.replace(day=1) - timedelta(days=45)).replace(day=1)
    end = midnight((month + timedelta(days=31)).replace(day=1))
    since = {"since": midnight(month) - timedelta(days=1)}
    async with session.begin():
        for statement in (
            "UPDATE site SET addressed_at = :since, created_at = :since",
            "UPDATE site_configuration SET started_at = :since, addressed_at = :since",
        ):
            await session.execute(text(statement), since)
    await under_contract(session, site, valid_from=month, terms=[(month, {"sla_target_pct": 99.5})])
    last = int((end - field.start).total_seconds())
    well = [*range(last - 7200, last - 3540, 60), *range(last + 3600, last + 7200, 60)]
    await field.push(site, [field.row(second) for second in well])
    await field.drain()

    async def corrections() -> list[Any]:
        async with field.sessions() as closing, closing.begin():
            while await monthly_close.close_months(closing, utc_now()):
                pass
            return list((await closing.execute(text("SELECT month, figures FROM month_correction ORDER BY id"))).all())

    assert await corrections() == []
    await field.push(site, [field.row(second, "timeout") for second in range(last - 3540, last + 3600, 60)])
    await field.drain()
    (corrected,) = [row for row in await corrections() if row.month == month]
    assert corrected.figures["seconds"]["down"] == 3540
    assert sum(corrected.figures["seconds"].values()) == (end - midnight(month)).total_seconds()


async def test_our_own_beat_goes_through_the_api_and_proves_that_ingest_is_alive(field: Field) -> None:
    consumer = field.consumer
    async with transaction(field.sessions) as session:
        for _ in range(3):
            await consumer.start(session)
        own = text("SELECT count(*) FROM device_token WHERE site_id IS NULL")
        assert await session.scalar(own) == 1, "a worker that often starts leaves none behind"
    consumer.heartbeat.url = "http://test/api/v1/push"
    consumer.heartbeat.client = httpx.AsyncClient(transport=httpx.ASGITransport(field.app))
    await consumer.missed.record(consumer.proof, utc_now())
    assert consumer.counters.ingest_proven == 0
    await consumer.heartbeat.send()
    assert consumer.heartbeat.unanswered == 0
    await field.drain()
    await consumer.missed.record(consumer.proof, utc_now())
    counted = consumer.counters
    assert (counted.ingest_proven, counted.own_beats_sent, counted.own_beats_heard) == (1, 1, 1)
    assert consumer.heartbeat.clock_offset == timedelta()
    consumer.heartbeat.secret = "sd-of-another"
    await consumer.heartbeat.send()
    assert consumer.heartbeat.unanswered == 1
    await consumer.heartbeat.close()


async def test_an_ingest_that_does_not_answer_is_no_error_of_the_worker(field: Field) -> None:
    await field.consumer.heartbeat.send()
    await field.consumer.heartbeat.send()
    assert (field.consumer.heartbeat.unanswered, field.consumer.heartbeat.sent) == (2, 2)
    await field.consumer.heartbeat.close()


async def test_without_a_signal_the_database_is_asked_only_once_a_push_may_be_missed(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent, *others = field.ids
    consumer, looks, now = field.consumer, list[float](), 600
    await field.live(0, 600, sites=[silent, *others])
    consumer.signals.listen()
    whole = consumer.consume

    async def consume(*, anew: bool = True) -> None:
        looks.append(now)
        await whole(anew=anew)

    monkeypatch.setattr(consumer, "consume", consume)
    monkeypatch.setattr(inbox_consumer, "utc_now", lambda: field.at(now))
    for now in range(601, 700):
        if now % 15 == 0:
            await field.push(None, received=now)
        if now % 60 == 0:
            for site_id in others:
                await field.beat(site_id, now)
        if now % 15 == 0:
            consumer.signals.signal(Work.INBOX)  # as whoever listens is told
        await consumer.consume_signalled()
    assert await field.silences(silent) == [(660, "timeout")]
    assert 684 in looks, "in the very second in which it was missed"
    assert len(looks) < 20
