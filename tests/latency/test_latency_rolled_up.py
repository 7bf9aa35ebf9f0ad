"""Latency over the API once all of it is rolled up: by day, within each scope, with late readings or without any."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.routing import BaseRoute

from app.measurements import partitions
from app.postgres.engine import transaction
from tests.support.latency_province import Province, assert_matches, measure_province
from tests.support.shared_start import SharedStart, savepoint, shared_start

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture(scope="module")
async def start(engine: AsyncEngine, routes: list[BaseRoute]) -> AsyncIterator[SharedStart]:
    async with shared_start(engine, routes) as start:
        yield start


@pytest.fixture(scope="module")
async def rolled_up(start: SharedStart) -> Province:
    province = await measure_province(start)
    await province.measured.roll_up()
    return province


@pytest.fixture
async def province(start: SharedStart, rolled_up: Province, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Province]:
    """Requests are made at `measured.now`."""
    async with savepoint(start.connection):
        province = rolled_up.copy()
        monkeypatch.setattr("app.web.period_params.utc_now", lambda: province.measured.now)
        yield province


async def test_a_response_includes_late_readings_before_they_are_rolled_up(province: Province) -> None:
    measured, site = province.measured, province.sites["fiber"]
    await measured.roll_up()
    late = measured.readings(site, "fiber", measured.since + DAY + timedelta(hours=3, seconds=9), 200, every_s=30)
    province.readings += late
    await measured.record(late)
    span = measured.since, measured.now
    for _ in ("before", "after"):
        await province.assert_matches(f"/sites/{site}/latency", *span, "fiber")
        await province.assert_matches("/regions/64.02.05/latency", *span, "fiber", "geo", "leo")
        await province.assert_matches("/regions/64.02.05.2003/latency", *span, "fiber", "geo")
        await province.assert_matches("/regions/64.03/latency", *span, "cellular", "radio")
        await measured.roll_up()


async def test_days_are_cut_in_wita_and_a_part_without_readings_has_no_figures(province: Province) -> None:
    measured = province.measured
    await measured.roll_up()
    before = measured.since - DAY
    answer = await province.ask(measured.cast.sari, "/regions/64/latency", before, measured.now, step="day")
    assert [datetime.fromisoformat(row["start"]) for row in answer["series"]] == [before + n * DAY for n in range(5)]
    assert_matches(answer["series"][0], [])
    assert_matches(answer["series"][1], province.of(measured.since, measured.since + DAY))


async def test_nobody_sees_beyond_their_scope(province: Province) -> None:
    measured = province.measured
    cast, span = measured.cast, (measured.since, measured.now)
    await measured.roll_up()
    assert_matches(
        (await province.ask(cast.ana, "/regions/64.02/latency", *span))["total"],
        province.of(*span, "fiber", "geo", "leo"),
    )
    for path in ("/regions/64/latency", "/regions/64.03/latency", "/providers/iconplus/latency?region=64.03"):
        assert (await cast.ana.get(path)).status_code == 403
    assert_matches(
        (await province.ask(cast.ana, "/providers/iconplus/latency", *span))["total"], province.of(*span, "geo")
    )
    assert_matches(
        (await province.ask(cast.ben, "/providers/iconplus/latency", *span))["total"], province.of(*span, "radio")
    )
    assert_matches(
        (await province.ask(cast.icon, "/regions/64/latency", *span))["total"], province.of(*span, "geo", "radio")
    )
    assert_matches((await province.ask(cast.icon, "/regions/64/latency", *span, technology="fiber"))["total"], [])
    assert (await cast.icon.get("/providers/telkom-wms/latency")).status_code == 404
    assert (await cast.icon.get("/regions/64/latency?provider=telkom-wms")).status_code == 422
    assert (await cast.stranger.get("/regions/64/latency")).status_code == 401


async def test_where_readings_are_gone_the_period_is_widened_to_whole_hours_and_says_so(province: Province) -> None:
    measured, site = province.measured, province.sites["geo"]
    await measured.roll_up()
    await measured.count_looks()
    async with transaction(measured.sessions) as session:
        while await partitions.drop_oldest(session, measured.now, keep_days=2):
            pass
    start, end = measured.since + timedelta(minutes=90), measured.since + 2 * DAY + timedelta(minutes=90)
    for path, params in ((f"/sites/{site}/latency", {}), ("/regions/64/latency", {"technology": "geo"})):
        body = await province.ask(measured.cast.sari, path, start, end, **params)
        assert datetime.fromisoformat(body["from"]) == measured.since + HOUR
        assert datetime.fromisoformat(body["to"]) == end
        assert_matches(body["total"], province.of(measured.since + HOUR, end, "geo"))
