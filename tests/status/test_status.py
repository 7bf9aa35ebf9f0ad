"""`GET /status`: true to the database, never staler than its evidence, and a 304 while nothing changed."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.access.models import Role
from app.access.scope import Caller
from app.core.clock import utc_now
from app.core.errors import Stale
from app.postgres.engine import Sessions, open_engine, transaction
from app.registry import store as registry
from app.registry.schemas import SitePatch
from app.runtime.migrate import migrate
from app.status.refresher import SnapshotRefresher
from app.status.snapshot import Snapshot
from probes.policy import AddressPolicy
from tests.conftest import Cast, drop_database, make_database
from tests.factories import register
from tests.support.status import add_site, beat, judge, status


async def test_a_new_site_is_shown_at_once_as_unknown_and_then_with_its_state(
    app: FastAPI, cast: Cast, session: AsyncSession
) -> None:
    made = await register(cast)
    (site,) = (await status(app, cast.vera)).values()
    assert (site["state"], site["unknown_reason"], site["rtt_ms"]) == ("unknown", "never_seen", None)
    await judge(session, made["id"], "up")
    (site,) = (await status(app, cast.vera)).values()
    assert (site["state"], site["rtt_ms"], site["evidence"]) == ("up", 20.0, "central")


async def test_figures_have_no_more_than_three_decimals(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    """The database keeps the loss as a float of 32 bits: 33.3 is 33.29999923706055 there."""
    made = await register(cast)
    await judge(session, made["id"], "degraded", rtt_us=20_123, loss_pct=33.3)
    (site,) = (await status(app, cast.vera)).values()
    assert (site["rtt_ms"], site["loss_pct"]) == (20.123, 33.3)
    scraped = (await cast.vera.client.get("/metrics/sites")).text
    assert [line.split()[-1] for line in scraped.splitlines() if line.startswith("sinyal_site_loss")] == ["0.333"]
    assert [line.split()[-1] for line in scraped.splitlines() if line.startswith("sinyal_site_rtt")] == ["0.020123"]


async def test_stale_evidence_is_shown_as_unknown_with_its_reason(
    app: FastAPI, cast: Cast, session: AsyncSession
) -> None:
    made = await register(cast)
    for died, reason in (({"age_s": 60}, "stopped"), ({"blind": True}, "blind"), ({}, "silent")):
        await beat(session, **died)
        await judge(session, made["id"], "up", age_s=151)
        (site,) = (await status(app, cast.vera)).values()
        assert (site["state"], site["unknown_reason"], site["rtt_ms"]) == ("unknown", reason, None)
        since = datetime.fromisoformat(site["since"])
        assert since == datetime.fromisoformat(site["last_seen_at"]) + timedelta(seconds=60)
    await judge(session, made["id"], "down", age_s=149)
    assert [item["state"] for item in (await status(app, cast.vera)).values()] == ["down"]


async def test_each_caller_sees_their_own_scope(app: FastAPI, cast: Cast) -> None:
    here = await register(cast)
    there = await register(cast, village_code="64.03.01.2001", host="198.51.100.9", provider="iconplus")
    assert set(await status(app, cast.sari)) == {here["code"], there["code"]}
    assert set(await status(app, cast.ana)) == set(await status(app, cast.sari, region="64.02")) == {here["code"]}
    assert set(await status(app, cast.ben)) == set(await status(app, cast.icon)) == {there["code"]}
    assert (await cast.ben.get("/status", params={"region": "64.02"})).status_code == 403
    assert (await cast.stranger.get("/status")).status_code == 401


async def test_status_is_filtered(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    here = await register(cast)
    there = await register(cast, host="198.51.100.9", technology="geo", provider="iconplus")
    await judge(session, there["id"], "down")
    assert set(await status(app, cast.sari, state="down")) == {there["code"]}
    assert set(await status(app, cast.sari, technology="geo")) == {there["code"]}
    assert set(await status(app, cast.sari, provider="telkom-wms")) == {here["code"]}
    assert set(await status(app, cast.sari, region="64.02.05.2003")) == {here["code"], there["code"]}


async def test_a_retired_site_is_not_shown(app: FastAPI, cast: Cast) -> None:
    made = await register(cast)
    assert len(await status(app, cast.sari)) == 1
    await cast.sari.delete(f"/sites/{made['id']}")
    assert await status(app, cast.sari) == {}


async def test_an_unchanged_status_is_a_304_and_a_change_is_not(
    app: FastAPI, cast: Cast, session: AsyncSession
) -> None:
    made = await register(cast)
    await judge(session, made["id"], "up")
    await status(app, cast.vera)
    first = await cast.vera.get("/status")
    same = {"If-None-Match": first.headers["etag"]}
    again = await cast.vera.get("/status", headers=same)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    weak = await cast.vera.get("/status", headers={"If-None-Match": f'"x", W/{first.headers["etag"]}'})
    assert weak.status_code == 304
    assert (await cast.ana.get("/status", headers=same)).status_code == 200, "another scope is another answer"
    await judge(session, made["id"], "down")
    await status(app, cast.vera)
    assert (await cast.vera.get("/status", headers=same)).status_code == 200


async def test_ageing_alone_makes_a_new_version(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    made = await register(cast)
    await judge(session, made["id"], "up")
    await status(app, cast.vera)
    snapshot: Snapshot = app.state.snapshot
    before = snapshot.version
    snapshot.tick(utc_now() + timedelta(seconds=5))
    assert snapshot.version == before
    snapshot.tick(utc_now() + timedelta(seconds=200))
    assert snapshot.version != before


async def until(what: Callable[[], bool], timeout_s: float) -> None:
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not what() and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110  # watched from outside
        await asyncio.sleep(0.05)
    assert what()


async def test_a_change_reaches_the_snapshot_by_notification_and_a_lost_listener_is_replaced(
    committed_database: tuple[str, AsyncEngine, Sessions],
) -> None:
    url, engine, sessions = committed_database
    snapshot = Snapshot(refresh_s=10)
    refresher = SnapshotRefresher(snapshot, sessions, url)
    refreshing = asyncio.create_task(refresher.run())
    try:
        await until(lambda: snapshot.loaded, 5)
        first = await add_site(sessions, "198.51.100.1")
        await until(lambda: first in snapshot.entries, 3)
        async with engine.begin() as connection:
            await connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'sinyal api listen' AND datname = current_database()"
                )
            )
        second = await add_site(sessions, "198.51.100.2")
        await until(lambda: second in snapshot.entries, 5)
    finally:
        refreshing.cancel()
        await asyncio.gather(refreshing, return_exceptions=True)
        await refresher.close()


async def test_two_registrations_at_once_get_two_codes_and_one_address_goes_to_one(
    committed_database: tuple[str, AsyncEngine, Sessions],
) -> None:
    _, engine, sessions = committed_database
    await add_site(sessions, "198.51.100.1")
    answers = await asyncio.gather(
        *(add_site(sessions, "198.51.100.2" if n % 2 else f"198.51.100.{n + 10}") for n in range(8)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, int) for answer in answers) == 5
    async with engine.connect() as connection:
        codes = (await connection.scalars(text("SELECT code FROM site ORDER BY code"))).all()
    assert codes == [f"64.02.05.2003-{n:02d}" for n in range(1, 7)]


async def test_a_change_is_made_to_the_site_as_it_is_now_not_as_it_was_first_read(
    committed_database: tuple[str, AsyncEngine, Sessions],
) -> None:
    _, _, sessions = committed_database
    ident, caller = str(await add_site(sessions, "198.51.100.1")), Caller(0, "test", Role.PROVINCE_ADMIN, "64")
    async with transaction(sessions) as slow:
        seen, _ = await registry.get_site(slow, ident, caller=caller)
        before = seen.version
        async with transaction(sessions) as quick:
            patch = SitePatch(notes="baru")
            await registry.patch_site(quick, ident, patch, caller=caller, policy=AddressPolicy(), if_match=before)
        with pytest.raises(Stale):
            await registry.patch_site(
                slow, ident, SitePatch(ssid="x"), caller=caller, policy=AddressPolicy(), if_match=before
            )


async def test_two_starts_at_once_migrate_once(server_url: str) -> None:
    url = await make_database(server_url)
    engines = [open_engine(url, name="test") for _ in range(3)]
    try:
        await asyncio.gather(*(migrate(engine) for engine in engines))
        async with engines[0].connect() as connection:
            assert await connection.scalar(text("SELECT count(*) FROM region")) == 1154
    finally:
        for engine in engines:
            await engine.dispose()
        await drop_database(url, server_url)


async def test_maintenance_is_shown_from_its_first_second_to_its_last(app: FastAPI, cast: Cast) -> None:
    made = await register(cast)
    assert not (await status(app, cast.vera))[made["code"]]["maintenance"]
    soon = utc_now() + timedelta(seconds=3)
    window = {
        "site": str(made["id"]),
        "title": "Ganti antena",
        "started_at": soon.isoformat(),
        "ended_at": (soon + timedelta(seconds=3)).isoformat(),
    }
    assert (await cast.sari.post("/maintenance", window)).status_code == 201
    assert not (await status(app, cast.vera))[made["code"]]["maintenance"], "planned"
    before = app.state.snapshot.version
    await asyncio.sleep((soon - utc_now()).total_seconds() + 0.1)
    assert (await status(app, cast.vera))[made["code"]]["maintenance"], "running"
    assert app.state.snapshot.version != before
    await asyncio.sleep((soon - utc_now()).total_seconds() + 3.1)
    assert not (await status(app, cast.vera))[made["code"]]["maintenance"], "past"


async def test_a_cached_response_equals_a_new_one(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    made = await register(cast)
    await judge(session, made["id"], "up")
    await status(app, cast.vera)
    first = await cast.vera.get("/status")
    lookups = CallCounter(app.state.callers.get)
    app.state.callers.get = lookups
    again = await cast.vera.get("/status")
    assert (again.content, dict(again.headers)) == (first.content, dict(first.headers))
    unchanged = await cast.vera.get("/status", headers={"If-None-Match": first.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["etag"] == first.headers["etag"]
    assert lookups.times == 0
    plain = await cast.vera.get("/status", headers={"Accept-Encoding": "identity"})
    assert (plain.content, "content-encoding" in plain.headers) == (first.content, False)
    assert (await cast.vera.get("/status", params={"state": "down"})).json()["sites"] == []
    assert (await cast.ana.get("/status")).headers["etag"] != first.headers["etag"]
    assert lookups.times == 3
    assert (await cast.stranger.get("/status")).status_code == 401
    await judge(session, made["id"], "down")
    await status(app, cast.vera)
    assert (await cast.vera.get("/status")).json()["sites"][0]["state"] == "down"


async def test_concurrent_polls_for_a_new_version_cause_one_request(
    app: FastAPI, cast: Cast, session: AsyncSession
) -> None:
    made = await register(cast)
    await status(app, cast.vera)
    await judge(session, made["id"], "up")
    await status(app, cast.sari)
    lookups = CallCounter(app.state.callers.get)
    app.state.callers.get = lookups
    answers = await asyncio.gather(*(cast.vera.get("/status") for _ in range(10)))
    assert {answer.json()["sites"][0]["state"] for answer in answers} == {"up"}
    assert lookups.times == 1


class CallCounter:
    def __init__(self, call: Callable[..., Any]) -> None:
        self._call, self.times = call, 0

    async def __call__(self, *args: Any) -> Any:
        self.times += 1
        return await self._call(*args)


async def test_while_a_restored_database_is_loaded_nothing_is_served_from_the_cache(app: FastAPI, cast: Cast) -> None:
    await status(app, cast.vera)
    assert (await cast.vera.get("/status")).status_code == 200
    app.state.snapshot._clear()
    assert (await cast.vera.get("/status")).status_code == 503
