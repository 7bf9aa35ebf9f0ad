"""Rollups: the same rows in any order, run twice or interrupted, and only what changed is written again."""

from collections import defaultdict
from datetime import datetime, timedelta

from sqlalchemy import text

from app.core.clock import WITA, from_slot, midnight
from app.judging import blind_ranges
from app.judging.blind_ranges import BlindRange
from app.latency import rollup
from app.measurements import partitions
from app.postgres.engine import transaction
from probes.contract import CENTRAL, Outcome, Reading
from tests.support.histogram import Histogram
from tests.support.measured_sites import MeasuredSites

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def measure_four_sites(measured: MeasuredSites) -> tuple[list[int], list[Reading]]:
    """Four sites of four technologies, measured every ten minutes since rollups began, with some losses."""
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
    return sites, readings


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


async def test_postgresql_counts_an_hour_as_python_does(measured: MeasuredSites) -> None:
    _, readings = await measure_four_sites(measured)
    await measured.record(readings)
    await measured.roll_up()
    rows = await measured.execute(
        "SELECT site_id, hour, sent, received, rtt_sum, rtt_min, rtt_max, jitter_sum, jitter_count, bucket, upto "
        "FROM rollup_hour"
    )
    assert {(row[0], row[1]): tuple(row[2:]) for row in rows} == expected(readings)


async def test_days_and_regions_are_the_histogram_of_all_their_readings(measured: MeasuredSites) -> None:
    sites, readings = await measure_four_sites(measured)
    await measured.record(readings)
    await measured.roll_up()
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


async def test_running_twice_or_interrupted_gives_the_same_rows(measured: MeasuredSites) -> None:
    _, readings = await measure_four_sites(measured)
    await measured.record(readings)
    await measured.roll_up()
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


async def test_readings_in_any_order_and_after_the_rollup_give_the_same_rows(measured: MeasuredSites) -> None:
    _, readings = await measure_four_sites(measured)
    await measured.record(readings)
    await measured.roll_up()
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


async def test_a_late_batch_changes_exactly_the_hours_and_days_that_it_touches(measured: MeasuredSites) -> None:
    sites, readings = await measure_four_sites(measured)
    await measured.record(readings)
    await measured.roll_up()
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


async def test_a_repeated_batch_marks_nothing_stale(measured: MeasuredSites) -> None:
    site = await measured.add_site()
    batch = measured.readings(site, "fiber", measured.since, 10, every_s=60)
    await measured.record(batch)
    await measured.roll_up()
    assert await measured.record(batch) == []
    assert await measured.execute("SELECT 1 FROM stale_hour") == []


async def test_record_returns_what_is_new(measured: MeasuredSites) -> None:
    site = await measured.add_site()
    first = measured.reading(site, measured.since, [20_000])
    second = measured.reading(site, measured.since + HOUR, [20_000])
    assert await measured.record([first]) == [(site, measured.since)]
    assert await measured.record([first, second]) == [(site, measured.since + HOUR)]
    assert await measured.record([]) == []


async def test_losses_never_enter_latency_and_faults_never_count(measured: MeasuredSites) -> None:
    site, at = await measured.add_site(), measured.since + timedelta(minutes=5)
    await measured.record(
        [
            measured.reading(site, at, [20_000, 21_000]),
            measured.reading(site, at + timedelta(minutes=1), None),
            measured.reading(site, at + timedelta(minutes=2), None, outcome=Outcome.FAULT),
        ]
    )
    await measured.roll_up()
    (row,) = await measured.execute("SELECT * FROM rollup_hour")
    assert (row.sent, row.received, row.rtt_sum, row.rtt_min, row.rtt_max) == (6, 2, 41_000, 20_000, 21_000)
    assert (row.jitter_sum, row.jitter_count, row.upto[-1]) == (1000, 1, 2)


async def test_timeouts_in_a_blind_range_do_not_count_as_lost_even_if_it_is_recorded_later(
    measured: MeasuredSites,
) -> None:
    site, other = await measured.add_site(), await measured.add_site()
    at = measured.since + 2 * HOUR
    slots = [at + timedelta(seconds=second) for second in (100, 150, 160, 400)]
    await measured.record([measured.reading(who, slot, None) for slot in slots for who in (site, other)])
    await measured.record([measured.reading(site, at + timedelta(seconds=155), [30_000])])
    await measured.record([measured.reading(site, at + HOUR, None)])
    await measured.roll_up()
    assert {
        row.sent
        for row in await measured.execute(
            "SELECT sent FROM rollup_hour WHERE site_id = :id AND hour = :at", id=site, at=at
        )
    } == {15}

    # The reading at 100 ends at 105 (three packets, a second apart, the last waits 3 s); blind from 104 to 160.
    blind = BlindRange(at + timedelta(seconds=104), at + timedelta(seconds=160), "uplink")
    async with transaction(measured.sessions) as session:
        await blind_ranges.record(session, [blind], source=CENTRAL)
        assert await rollup.invalidate(session, blind.started_at, blind.ended_at) == 2
        assert await rollup.invalidate(session, blind.started_at, blind.ended_at, site_ids=[site]) == 0
    marks = await measured.execute("SELECT site_id, hour FROM stale_hour ORDER BY 1")
    assert [tuple(mark) for mark in marks] == [(site, at), (other, at)]
    await measured.roll_up()
    rows = await measured.execute("SELECT sent, received FROM rollup_hour WHERE hour = :at ORDER BY site_id", at=at)
    assert [tuple(row) for row in rows] == [(7, 1), (6, 0)], "of the answered one its answer alone"


async def test_a_blind_range_of_another_source_excuses_nothing(measured: MeasuredSites) -> None:
    site = await measured.add_site()
    await measured.record([measured.reading(site, measured.since, None)])
    async with transaction(measured.sessions) as session:
        await blind_ranges.record(
            session, [BlindRange(measured.since, measured.since + HOUR, "uplink")], source="elsewhere"
        )
    await measured.roll_up()
    assert [row.sent for row in await measured.execute("SELECT sent FROM rollup_hour")] == [3]


async def test_days_are_cut_in_wita(measured: MeasuredSites) -> None:
    site, midnight_of = await measured.add_site(), measured.since + DAY
    await measured.record(
        [
            measured.reading(site, midnight_of - timedelta(seconds=1), [10_000]),
            measured.reading(site, midnight_of, [30_000]),
        ]
    )
    await measured.roll_up()
    days = await measured.execute("SELECT day, rtt_sum FROM rollup_day WHERE received > 0 ORDER BY day")
    second = midnight_of.astimezone(WITA).date()
    assert [tuple(day) for day in days] == [(second - DAY, 10_000), (second, 30_000)]


async def test_a_month_is_counted_when_it_is_over_and_again_after_a_late_reading(measured: MeasuredSites) -> None:
    site = await measured.add_site()
    first = measured.since.astimezone(WITA).date().replace(day=1)
    following = (first + timedelta(days=31)).replace(day=1)
    await measured.record([measured.reading(site, measured.since, [20_000, 30_000])])
    await measured.roll_up()
    await measured.skip_hours(midnight(following))
    await measured.roll_up()
    query = (
        "SELECT month, sent, received, rtt_sum FROM region_month "
        "WHERE region_code = '64.02' AND provider_id = 0 AND technology = 'all'"
    )
    assert [tuple(row) for row in await measured.execute(query)] == [(first, 3, 2, 50_000)]
    await measured.record([measured.reading(site, measured.since + 5 * HOUR, [40_000])])
    await measured.roll_up()
    assert [tuple(row) for row in await measured.execute(query)] == [(first, 6, 3, 90_000)]


async def test_the_running_hour_is_not_counted_before_it_is_over_for_half_a_minute(measured: MeasuredSites) -> None:
    site = await measured.add_site()
    await measured.record([measured.reading(site, measured.since + timedelta(minutes=59), [20_000])])
    await measured.roll_up(now=measured.since + HOUR + timedelta(seconds=29))
    assert await measured.execute("SELECT 1 FROM rollup_hour") == []
    await measured.roll_up(now=measured.since + HOUR + timedelta(seconds=30))
    assert len(await measured.execute("SELECT 1 FROM rollup_hour")) == 1


async def test_a_partition_is_not_dropped_while_something_in_it_is_not_counted(measured: MeasuredSites) -> None:
    site = await measured.add_site()
    day = measured.since.astimezone(WITA).date()
    await measured.record([measured.reading(site, measured.since, [20_000])])

    async def drop() -> str | None:
        async with transaction(measured.sessions) as session:
            return await partitions.drop_oldest(session, measured.now, keep_days=2)

    await measured.execute("UPDATE rollup_watermark SET upto = :at", at=measured.since + 23 * HOUR)
    dropped = []
    while (name := await drop()) is not None:
        dropped.append(name)
    assert all(name < partitions.partition_name(day) for name in dropped)
    await measured.reset_watermarks()
    await measured.roll_up()
    await measured.record([measured.reading(site, measured.since + HOUR, [20_000])])
    assert await drop() is None, "a late reading waits in it"
    await measured.roll_up()
    await measured.count_looks()
    assert await drop() == partitions.partition_name(day)


async def test_what_was_counted_stays_when_its_readings_are_gone(measured: MeasuredSites) -> None:
    site = await measured.add_site()
    day = measured.since.astimezone(WITA).date()
    await measured.record([measured.reading(site, measured.since, [20_000])])
    await measured.roll_up()
    rows = await measured.rows()
    async with transaction(measured.sessions) as session:
        await session.execute(text(f"DROP TABLE {partitions.partition_name(day)}"))
    await measured.execute("INSERT INTO stale_hour VALUES (:site, :hour)", site=site, hour=measured.since)
    await measured.roll_up()
    await measured.reset_watermarks()
    await measured.roll_up()
    assert await measured.rows() == rows


async def test_a_node_is_counted_for_itself_and_for_no_region(measured: MeasuredSites) -> None:
    node = await measured.add_site(kind="node")
    await measured.record([measured.reading(node, measured.since, [20_000])])
    await measured.roll_up()
    assert [row.site_id for row in await measured.execute("SELECT site_id FROM rollup_day")] == [node]
    assert await measured.execute("SELECT 1 FROM region_day") == []
