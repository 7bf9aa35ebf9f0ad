"""Latency over the API: the same whichever tiers it is read from, for a site, a region, a provider, a technology."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.routing import BaseRoute

from app.core.clock import WITA, midnight
from tests.support.latency_province import Province, assert_matches, measure_province
from tests.support.measured_sites import MeasuredSites
from tests.support.shared_start import SharedStart, savepoint, shared_start

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture(scope="module")
async def start(engine: AsyncEngine, routes: list[BaseRoute]) -> AsyncIterator[SharedStart]:
    async with shared_start(engine, routes) as start:
        yield start


@pytest.fixture(scope="module")
async def measured_province(start: SharedStart) -> Province:
    return await measure_province(start)


@pytest.fixture
async def province(
    start: SharedStart, measured_province: Province, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Province]:
    """Requests are made at `measured.now`."""
    async with savepoint(start.connection):
        province = measured_province.copy()
        monkeypatch.setattr("app.web.period_params.utc_now", lambda: province.measured.now)
        yield province


async def _all_live(measured: MeasuredSites) -> None:
    pass


async def _half_counted(measured: MeasuredSites) -> None:
    await measured.roll_up(now=measured.since + 29 * HOUR + timedelta(minutes=5), sites_a_step=2)


async def _counted(measured: MeasuredSites) -> None:
    await measured.roll_up()


@pytest.mark.parametrize("counting", [_all_live, _half_counted, _counted])
async def test_a_response_is_the_same_however_much_is_rolled_up(
    province: Province, counting: Callable[[MeasuredSites], Any]
) -> None:
    measured = province.measured
    await counting(measured)
    ragged = measured.since + timedelta(hours=5, minutes=17, seconds=1), measured.now
    site = province.sites["leo"]
    await province.assert_matches(f"/sites/{site}/latency", *ragged, "leo")
    await province.assert_matches("/regions/64/latency", *ragged)
    await province.assert_matches("/regions/64.02/latency", *ragged, "fiber", "geo", "leo")
    await province.assert_matches("/regions/64.02.05.2003/latency", *ragged, "fiber", "geo")
    await province.assert_matches("/regions/64/latency", *ragged, "geo", technology="geo")
    await province.assert_matches("/providers/iconplus/latency", *ragged, "geo", "radio")
    await province.assert_matches("/providers/iconplus/latency", *ragged, "radio", technology="radio", region="64.03")
    await province.assert_matches("/regions/64.03.01/latency", *ragged, "radio", provider="iconplus")


async def test_whole_months_are_read_as_months(province: Province) -> None:
    measured = province.measured
    first = measured.since.astimezone(WITA).date().replace(day=1)
    last = (measured.since + 4 * DAY).astimezone(WITA).date().replace(day=1)
    following = (last + timedelta(days=31)).replace(day=1)
    await measured.roll_up(now=measured.since + 4 * DAY)
    await measured.skip_hours(midnight(following))
    await measured.roll_up()
    await measured.execute("DELETE FROM region_day")
    measured.now = midnight(following) + HOUR
    answer = await province.ask(
        measured.cast.sari, "/regions/64/latency", midnight(first), midnight(following), step="month"
    )
    assert_matches(answer["total"], province.readings)
    assert answer["sites"] == 5


async def test_sites_with_readings_are_counted(province: Province) -> None:
    measured = province.measured
    sari = measured.cast.sari
    for _ in ("live", "counted"):
        for path, params, sites in (
            ("/regions/64/latency", {}, 5),
            ("/regions/64.02/latency", {}, 3),
            ("/regions/64.74/latency", {}, 0),
            ("/providers/iconplus/latency", {}, 2),
            ("/regions/64/latency", {"technology": "geo"}, 1),
        ):
            assert (await province.ask(sari, path, measured.since, measured.now, **params))["sites"] == sites, path
        assert (await province.ask(sari, "/regions/64/latency", measured.since - DAY, measured.since))["sites"] == 0
        await measured.roll_up()


async def test_a_site_counts_for_the_provider_and_technology_that_it_had_that_day(province: Province) -> None:
    measured, site = province.measured, province.sites["fiber"]
    noon = measured.since + DAY + 12 * HOUR
    await measured.execute("UPDATE site_configuration SET ended_at = :noon WHERE site_id = :id", noon=noon, id=site)
    await measured.execute(
        "INSERT INTO site_configuration (site_id, started_at, lifecycle, technology, provider_id, addressed_at, "
        "village_code) SELECT site_id, :noon, lifecycle, 'radio', (SELECT id FROM provider WHERE slug = 'iconplus'), "
        "addressed_at, village_code "
        "FROM site_configuration WHERE site_id = :id",
        noon=noon,
        id=site,
    )
    theirs = province.of(measured.since + DAY, measured.now, "fiber") + province.of(
        measured.since, measured.now, "radio"
    )
    sari = measured.cast.sari
    for _ in ("live", "counted"):
        path = "/providers/iconplus/latency"
        answer = await province.ask(sari, path, measured.since, measured.now, technology="radio")
        assert_matches(answer["total"], theirs)
        assert answer["sites"] == 2
        answer = await province.ask(sari, "/regions/64/latency", measured.since, measured.now, technology="fiber")
        assert_matches(answer["total"], province.of(measured.since, measured.since + DAY, "fiber"))
        await measured.roll_up()


async def test_nodes_count_for_themselves_alone(province: Province) -> None:
    measured = province.measured
    node = await measured.add_site("fiber", kind="node")
    await measured.record([measured.reading(node, measured.since, [1_000])])
    for _ in ("live", "counted"):
        own = await province.ask(measured.cast.sari, f"/sites/{node}/latency", measured.since, measured.now)
        assert own["total"]["samples"] == 1
        answer = await province.ask(measured.cast.sari, "/regions/64/latency", measured.since, measured.now)
        assert_matches(answer["total"], province.of(measured.since, measured.now))
        await measured.roll_up()
