"""Rollups of four sites: as Python counts them, the same rows in any order, run twice, interrupted or late."""

from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.routing import BaseRoute

from app.core.clock import WITA, from_slot, midnight
from probes.contract import Reading
from tests.support.histogram import Histogram
from tests.support.measured_sites import MeasuredSites, measured_since
from tests.support.shared_start import SharedStart, savepoint, shared_start

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass
class FourSites:
    """Of four technologies, measured every ten minutes since rollups began, with some losses, and rolled up."""

    measured: MeasuredSites
    sites: list[int]
    readings: list[Reading]


async def measure_four_sites(measured: MeasuredSites) -> FourSites:
    kinds = [
        ("fiber", {}),
        ("geo", {"provider": "iconplus"}),
        ("leo", {"village_code": "64.02.05.2001"}),
        ("cellular", {"village_code": "64.03.01.2001"}),
    ]
    sites, readings = [], []
    for technology, changes in kinds:
        sites.append(await measured.add_site(technology, **changes))
        readings += measured.readings(sites[-1], technology, measured.since, 6 * 84, every_s=600)
    await measured.record(readings)
    await measured.roll_up()
    return FourSites(measured, sites, readings)


@pytest.fixture(scope="module")
async def start(engine: AsyncEngine, routes: list[BaseRoute]) -> AsyncIterator[SharedStart]:
    async with shared_start(engine, routes) as start:
        yield start


@pytest.fixture(scope="module")
async def rolled_up(start: SharedStart) -> FourSites:
    return await measure_four_sites(await measured_since(start.sessions, start.cast, days=3))


@pytest.fixture
async def four(start: SharedStart, rolled_up: FourSites) -> AsyncIterator[FourSites]:
    async with savepoint(start.connection):
        yield replace(rolled_up, measured=rolled_up.measured.copy(), readings=list(rolled_up.readings))


def expected(readings: list[Reading]) -> dict[tuple[int, datetime], tuple[object, ...]]:
    """Return the row of each site and hour as Python computes it."""
    by_hour: dict[tuple[int, datetime], list[Reading]] = defaultdict(list)
    for reading in readings:
        by_hour[reading.key, from_slot(reading.slot // 3600 * 3600)].append(reading)
    return {key: python_row(readings) for key, readings in by_hour.items()}


def python_row(readings: list[Reading]) -> tuple[object, ...]:
    rtts = [rtt for reading in readings for rtt in reading.rtt_us]
    steps = [abs(a - b) for r in readings for a, b in zip(r.rtt_us, r.rtt_us[1:], strict=False)]
    histogram = Histogram.of(rtts)
    buckets, upto, below = sorted(histogram.counts), [], 0
    for bucket in buckets:
        upto.append(below := below + histogram.counts[bucket])
    return (
        sum(r.sent for r in readings),
        len(rtts),
        sum(rtts) if rtts else None,
        histogram.min_us,
        histogram.max_us,
        sum(steps) if steps else None,
        len(steps),
        buckets,
        upto,
    )


async def test_postgresql_counts_an_hour_as_python_does(four: FourSites) -> None:
    measured, readings = four.measured, four.readings
    rows = await measured.execute(
        "SELECT site_id, hour, sent, received, rtt_sum, rtt_min, rtt_max, jitter_sum, jitter_count, bucket, upto "
        "FROM rollup_hour"
    )
    assert {(row[0], row[1]): tuple(row[2:]) for row in rows} == expected(readings)


async def test_days_and_regions_are_the_histogram_of_all_their_readings(four: FourSites) -> None:
    measured, sites, readings = four.measured, four.sites, four.readings
    day = measured.since.astimezone(WITA).date() + DAY
    within = [r for r in readings if midnight(day) <= from_slot(r.slot) < midnight(day + DAY)]
    columns = "sent, received, rtt_sum, rtt_min, rtt_max, jitter_sum, jitter_count, bucket, upto"
    for code, technology, members in (
        ("64", "all", sites),
        ("64.02", "all", sites[:3]),
        ("64.02.05", "all", sites[:3]),
        ("64.03", "all", sites[3:]),
        ("64.02", "geo", sites[1:2]),
        ("64", "leo", sites[2:3]),
    ):
        (row,) = await measured.execute(
            f"SELECT {columns} FROM region_day WHERE day = :day AND region_code = :code AND provider_id = 0 "
            "AND technology = :technology",
            day=day,
            code=code,
            technology=technology,
        )
        assert tuple(row) == python_row([r for r in within if r.key in members])


async def test_running_twice_or_interrupted_gives_the_same_rows(four: FourSites) -> None:
    measured = four.measured
    rows = await measured.rows()
    assert all(rows[table] for table in ("rollup_hour", "rollup_day", "region_day"))
    locations = await measured.row_locations()

    await measured.reset_watermarks()
    await measured.roll_up(sites_a_step=1)
    assert await measured.rows() == rows
    again = await measured.row_locations()
    assert {key for key in locations if key[0].startswith("rollup")} == {
        key for key, location in again.items() if locations[key] == location and key[0].startswith("rollup")
    }, "a row that stays the same is not written"

    for table in rows:
        await measured.execute(f"DELETE FROM {table}")
    await measured.reset_watermarks()
    await measured.roll_up(sites_a_step=3, steps=25)
    await measured.reset_watermarks()
    await measured.roll_up(sites_a_step=2)
    assert await measured.rows() == rows


async def test_readings_in_any_order_and_after_the_rollup_give_the_same_rows(four: FourSites) -> None:
    measured, readings = four.measured, four.readings
    rows = await measured.rows()
    for table in (*rows, "measurement"):
        await measured.execute(f"DELETE FROM {table}")
    await measured.reset_watermarks()

    measured.random.shuffle(readings)
    third = len(readings) // 3
    await measured.record(readings[:third])
    await measured.roll_up(now=measured.since + 30 * HOUR)
    await measured.record(readings[third : 2 * third])
    await measured.roll_up(steps=40)
    await measured.record(readings[2 * third :])
    await measured.record(readings[third:])
    await measured.roll_up()
    assert await measured.rows() == rows
    assert await measured.execute("SELECT 1 FROM stale_hour") == []


async def test_a_late_batch_changes_exactly_the_hours_and_days_that_it_touches(four: FourSites) -> None:
    measured, sites, readings = four.measured, four.sites, four.readings
    before, locations = await measured.rows(), await measured.row_locations()

    start = measured.since + DAY + 3 * HOUR + timedelta(seconds=7)
    late = measured.readings(sites[0], "fiber", start, 1000, every_s=10)
    assert len(await measured.record(late)) == 1000
    await measured.roll_up()

    after = await measured.row_locations()
    touched = {key for key in after if after[key] != locations.get(key)}
    hours = {from_slot(r.slot // 3600 * 3600).isoformat() for r in late}
    day = (measured.since + DAY).astimezone(WITA).date().isoformat()
    assert {key.split("|")[0] for table, key in touched if table == "rollup_hour"} == {str(sites[0])}
    assert len([1 for table, _ in touched if table == "rollup_hour"]) == len(hours) == 3
    assert {key for table, key in touched if table == "rollup_day"} == {f"{sites[0]}|{day}"}
    regions = {tuple(key.split("|")[:2]) for table, key in touched if table == "region_day"}
    assert regions == {("64", day), ("64.02", day), ("64.02.05", day)}
    rows = await measured.rows()
    assert len(before["rollup_hour"] - rows["rollup_hour"]) == 3
    assert len(before["rollup_day"] - rows["rollup_day"]) == 1
    changed = {row.split(",")[-4:][0] for row in rows["region_day"] - before["region_day"]}
    assert changed == {day}

    exact = expected(readings + late)
    counted = await measured.execute("SELECT site_id, hour, received FROM rollup_hour")
    assert {(row.site_id, row.hour): row.received for row in counted} == {key: row[1] for key, row in exact.items()}
