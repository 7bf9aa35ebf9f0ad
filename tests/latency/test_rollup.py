"""Counting: anew, in any order, twice or in halves, and only what is touched."""

from collections import defaultdict
from datetime import datetime, timedelta

from sqlalchemy import text

from app.core.clock import WITA, from_slot, midnight
from app.judging import blind_ranges
from app.judging.blind_ranges import BlindRange
from app.latency import rollup
from app.latency.histogram import Histogram
from app.measurements import partitions
from app.postgres.engine import transaction
from probes.contract import CENTRAL, Outcome, Reading
from tests.support.measured_sites import Living

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def lived(living: Living) -> tuple[list[int], list[Reading]]:
    """Four sites of four kinds, measured every ten minutes since the counting began, now and then in vain."""
    kinds = [
        ("fiber", {}),
        ("geo", {"provider": "iconplus"}),
        ("leo", {"village_code": "64.02.05.2001"}),
        ("cellular", {"village_code": "64.03.01.2001"}),
    ]
    sites, readings = [], []
    for technology, changes in kinds:
        sites.append(await living.site(technology, **changes))
        readings += living.readings(sites[-1], technology, living.since, 6 * 84, every_s=600)
    return sites, readings


def expected(readings: list[Reading]) -> dict[tuple[int, datetime], tuple[object, ...]]:
    """The twin's word for each hour."""
    by_hour: dict[tuple[int, datetime], list[Reading]] = defaultdict(list)
    for reading in readings:
        by_hour[reading.key, from_slot(reading.slot // 3600 * 3600)].append(reading)
    return {key: twin(found) for key, found in by_hour.items()}


def twin(readings: list[Reading]) -> tuple[object, ...]:
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


async def test_postgresql_counts_an_hour_as_python_does(living: Living) -> None:
    _, readings = await lived(living)
    await living.record(readings)
    await living.count()
    rows = await living.execute(
        "SELECT site_id, hour, sent, received, rtt_sum, rtt_min, rtt_max, jitter_sum, jitter_count, bucket, upto "
        "FROM rollup_hour"
    )
    assert {(row[0], row[1]): tuple(row[2:]) for row in rows} == expected(readings)


async def test_days_and_regions_are_the_histogram_of_all_their_readings(living: Living) -> None:
    sites, readings = await lived(living)
    await living.record(readings)
    await living.count()
    day = living.since.astimezone(WITA).date() + DAY
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
        (row,) = await living.execute(
            f"SELECT {columns} FROM region_day WHERE day = :day AND region_code = :code AND provider_id = 0 "
            "AND technology = :technology",
            day=day,
            code=code,
            technology=technology,
        )
        assert tuple(row) == twin([r for r in within if r.key in members])


async def test_twice_in_halves_and_out_of_order_comes_to_the_same_rows(living: Living) -> None:
    _, readings = await lived(living)
    await living.record(readings)
    await living.count()
    rows = await living.rows()
    assert all(rows[table] for table in ("rollup_hour", "rollup_day", "region_day"))
    places = await living.versions()

    await living.begin()
    await living.count(sites_a_step=1)
    assert await living.rows() == rows
    again = await living.versions()
    assert {key for key in places if key[0].startswith("rollup")} == {
        key for key, place in again.items() if places[key] == place and key[0].startswith("rollup")
    }, "a row that stays the same is not written"

    for table in rows:
        await living.execute(f"DELETE FROM {table}")
    await living.begin()
    await living.count(sites_a_step=3, steps=25)
    await living.begin()
    await living.count(sites_a_step=2)
    assert await living.rows() == rows


async def test_readings_in_any_order_and_after_the_count_come_to_the_same_rows(living: Living) -> None:
    _, readings = await lived(living)
    await living.record(readings)
    await living.count()
    rows = await living.rows()
    for table in (*rows, "measurement"):
        await living.execute(f"DELETE FROM {table}")
    await living.begin()

    living.chance.shuffle(readings)
    third = len(readings) // 3
    await living.record(readings[:third])
    await living.count(now=living.since + 30 * HOUR)
    await living.record(readings[third : 2 * third])
    await living.count(steps=40)
    await living.record(readings[2 * third :])
    await living.record(readings[third:])
    await living.count()
    assert await living.rows() == rows
    assert await living.execute("SELECT 1 FROM stale_hour") == []


async def test_a_late_batch_changes_exactly_the_hours_and_days_that_it_touches(living: Living) -> None:
    sites, readings = await lived(living)
    await living.record(readings)
    await living.count()
    before, places = await living.rows(), await living.versions()

    start = living.since + DAY + 3 * HOUR + timedelta(seconds=7)
    late = living.readings(sites[0], "fiber", start, 1000, every_s=10)
    assert len(await living.record(late)) == 1000
    await living.count()

    after = await living.versions()
    touched = {key for key in after if after[key] != places.get(key)}
    hours = {from_slot(r.slot // 3600 * 3600).isoformat() for r in late}
    day = (living.since + DAY).astimezone(WITA).date().isoformat()
    assert {key.split("|")[0] for table, key in touched if table == "rollup_hour"} == {str(sites[0])}
    assert len([1 for table, _ in touched if table == "rollup_hour"]) == len(hours) == 3
    assert {key for table, key in touched if table == "rollup_day"} == {f"{sites[0]}|{day}"}
    regions = {tuple(key.split("|")[:2]) for table, key in touched if table == "region_day"}
    assert regions == {("64", day), ("64.02", day), ("64.02.05", day)}
    rows = await living.rows()
    assert len(before["rollup_hour"] - rows["rollup_hour"]) == 3
    assert len(before["rollup_day"] - rows["rollup_day"]) == 1
    changed = {row.split(",")[-4:][0] for row in rows["region_day"] - before["region_day"]}
    assert changed == {day}

    exact = expected(readings + late)
    counted = await living.execute("SELECT site_id, hour, received FROM rollup_hour")
    assert {(row.site_id, row.hour): row.received for row in counted} == {key: row[1] for key, row in exact.items()}


async def test_a_batch_that_comes_twice_marks_nothing(living: Living) -> None:
    site = await living.site()
    batch = living.readings(site, "fiber", living.since, 10, every_s=60)
    await living.record(batch)
    await living.count()
    assert await living.record(batch) == []
    assert await living.execute("SELECT 1 FROM stale_hour") == []


async def test_record_answers_what_is_new(living: Living) -> None:
    site = await living.site()
    first = living.reading(site, living.since, [20_000])
    second = living.reading(site, living.since + HOUR, [20_000])
    assert await living.record([first]) == [(site, living.since)]
    assert await living.record([first, second]) == [(site, living.since + HOUR)]
    assert await living.record([]) == []


async def test_losses_never_enter_latency_and_faults_never_count(living: Living) -> None:
    site, at = await living.site(), living.since + timedelta(minutes=5)
    await living.record(
        [
            living.reading(site, at, [20_000, 21_000]),
            living.reading(site, at + timedelta(minutes=1), None),
            living.reading(site, at + timedelta(minutes=2), None, outcome=Outcome.FAULT),
        ]
    )
    await living.count()
    (row,) = await living.execute("SELECT * FROM rollup_hour")
    assert (row.sent, row.received, row.rtt_sum, row.rtt_min, row.rtt_max) == (6, 2, 41_000, 20_000, 21_000)
    assert (row.jitter_sum, row.jitter_count, row.upto[-1]) == (1000, 1, 2)


async def test_timeouts_while_we_were_blind_do_not_count_as_lost_even_if_that_is_found_out_later(
    living: Living,
) -> None:
    site, other = await living.site(), await living.site()
    at = living.since + 2 * HOUR
    slots = [at + timedelta(seconds=second) for second in (100, 150, 160, 400)]
    await living.record([living.reading(who, slot, None) for slot in slots for who in (site, other)])
    await living.record([living.reading(site, at + timedelta(seconds=155), [30_000])])
    await living.record([living.reading(site, at + HOUR, None)])
    await living.count()
    assert {
        row.sent
        for row in await living.execute(
            "SELECT sent FROM rollup_hour WHERE site_id = :id AND hour = :at", id=site, at=at
        )
    } == {15}

    # The look at 100 ends at 105 (three packets, a second apart, the last one waits 3 s); blind from 104 to 160.
    blind = BlindRange(at + timedelta(seconds=104), at + timedelta(seconds=160), "uplink")
    async with transaction(living.sessions) as session:
        await blind_ranges.record(session, [blind], source=CENTRAL)
        assert await rollup.invalidate(session, blind.started_at, blind.ended_at) == 2
        assert await rollup.invalidate(session, blind.started_at, blind.ended_at, site_ids=[site]) == 0
    marks = await living.execute("SELECT site_id, hour FROM stale_hour ORDER BY 1")
    assert [tuple(mark) for mark in marks] == [(site, at), (other, at)]
    await living.count()
    rows = await living.execute("SELECT sent, received FROM rollup_hour WHERE hour = :at ORDER BY site_id", at=at)
    assert [tuple(row) for row in rows] == [(9, 1), (6, 0)]


async def test_another_sources_blindness_excuses_nothing(living: Living) -> None:
    site = await living.site()
    await living.record([living.reading(site, living.since, None)])
    async with transaction(living.sessions) as session:
        await blind_ranges.record(
            session, [BlindRange(living.since, living.since + HOUR, "uplink")], source="elsewhere"
        )
    await living.count()
    assert [row.sent for row in await living.execute("SELECT sent FROM rollup_hour")] == [3]


async def test_days_are_cut_in_wita(living: Living) -> None:
    site, midnight_of = await living.site(), living.since + DAY
    await living.record(
        [
            living.reading(site, midnight_of - timedelta(seconds=1), [10_000]),
            living.reading(site, midnight_of, [30_000]),
        ]
    )
    await living.count()
    days = await living.execute("SELECT day, rtt_sum FROM rollup_day WHERE received > 0 ORDER BY day")
    second = midnight_of.astimezone(WITA).date()
    assert [tuple(day) for day in days] == [(second - DAY, 10_000), (second, 30_000)]


async def test_a_month_is_counted_when_it_is_over_and_again_when_something_late_comes(living: Living) -> None:
    site = await living.site()
    first = living.since.astimezone(WITA).date().replace(day=1)
    following = (first + timedelta(days=31)).replace(day=1)
    await living.record([living.reading(site, living.since, [20_000, 30_000])])
    await living.count()
    await living.pass_over(midnight(following))
    await living.count()
    query = (
        "SELECT month, sent, received, rtt_sum FROM region_month "
        "WHERE region_code = '64.02' AND provider_id = 0 AND technology = 'all'"
    )
    assert [tuple(row) for row in await living.execute(query)] == [(first, 3, 2, 50_000)]
    await living.record([living.reading(site, living.since + 5 * HOUR, [40_000])])
    await living.count()
    assert [tuple(row) for row in await living.execute(query)] == [(first, 6, 3, 90_000)]


async def test_the_running_hour_is_not_counted_before_it_is_over_for_half_a_minute(living: Living) -> None:
    site = await living.site()
    await living.record([living.reading(site, living.since + timedelta(minutes=59), [20_000])])
    await living.count(now=living.since + HOUR + timedelta(seconds=29))
    assert await living.execute("SELECT 1 FROM rollup_hour") == []
    await living.count(now=living.since + HOUR + timedelta(seconds=30))
    assert len(await living.execute("SELECT 1 FROM rollup_hour")) == 1


async def test_a_partition_is_not_dropped_while_something_in_it_is_not_counted(living: Living) -> None:
    site = await living.site()
    day = living.since.astimezone(WITA).date()
    await living.record([living.reading(site, living.since, [20_000])])

    async def drop() -> str | None:
        async with transaction(living.sessions) as session:
            return await partitions.drop_oldest(session, living.now, keep_days=2)

    await living.execute("UPDATE rollup_watermark SET upto = :at", at=living.since + 23 * HOUR)
    dropped = []
    while (name := await drop()) is not None:
        dropped.append(name)
    assert all(name < partitions.partition_name(day) for name in dropped)
    await living.begin()
    await living.count()
    await living.record([living.reading(site, living.since + HOUR, [20_000])])
    assert await drop() is None, "a late reading waits in it"
    await living.count()
    assert await drop() == partitions.partition_name(day)


async def test_what_was_counted_stays_when_its_readings_are_gone(living: Living) -> None:
    site = await living.site()
    day = living.since.astimezone(WITA).date()
    await living.record([living.reading(site, living.since, [20_000])])
    await living.count()
    rows = await living.rows()
    async with transaction(living.sessions) as session:
        await session.execute(text(f"DROP TABLE {partitions.partition_name(day)}"))
    await living.execute("INSERT INTO stale_hour VALUES (:site, :hour)", site=site, hour=living.since)
    await living.count()
    await living.begin()
    await living.count()
    assert await living.rows() == rows


async def test_a_node_is_counted_for_itself_and_for_no_region(living: Living) -> None:
    node = await living.site(kind="node")
    await living.record([living.reading(node, living.since, [20_000])])
    await living.count()
    assert [row.site_id for row in await living.execute("SELECT site_id FROM rollup_day")] == [node]
    assert await living.execute("SELECT 1 FROM region_day") == []
