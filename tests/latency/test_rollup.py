"""Rollups: what enters an hour, a day and a month, what is left out, and what is counted again."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from app.core.clock import WITA, midnight
from app.judging import blind_ranges
from app.judging.blind_ranges import BlindRange
from app.latency import rollup
from app.measurements import partitions
from app.postgres.engine import Sessions, transaction
from probes.contract import CENTRAL, Outcome
from tests.conftest import Cast
from tests.support.measured_sites import MeasuredSites, measured_since
from tests.support.packed_hours import pack_until

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def measured(measured_since_yesterday: MeasuredSites) -> MeasuredSites:
    return measured_since_yesterday


@pytest.fixture
async def measured_for_days(sessions: Sessions, cast: Cast) -> MeasuredSites:
    return await measured_since(sessions, cast, days=3)


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


async def test_days_are_cut_in_wita(measured_for_days: MeasuredSites) -> None:
    site, midnight_of = await measured_for_days.add_site(), measured_for_days.since + DAY
    await measured_for_days.record(
        [
            measured_for_days.reading(site, midnight_of - timedelta(seconds=1), [10_000]),
            measured_for_days.reading(site, midnight_of, [30_000]),
        ]
    )
    await measured_for_days.roll_up()
    days = await measured_for_days.execute("SELECT day, rtt_sum FROM rollup_day WHERE received > 0 ORDER BY day")
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


async def test_a_partition_is_not_dropped_while_something_in_it_is_not_counted(
    measured_for_days: MeasuredSites,
) -> None:
    site = await measured_for_days.add_site()
    day = measured_for_days.since.astimezone(WITA).date()
    await measured_for_days.record([measured_for_days.reading(site, measured_for_days.since, [20_000])])

    async def drop() -> str | None:
        async with transaction(measured_for_days.sessions) as session:
            return await partitions.drop_oldest(session, measured_for_days.now, keep_days=2)

    await measured_for_days.execute("UPDATE rollup_watermark SET upto = :at", at=measured_for_days.since + 23 * HOUR)
    dropped = []
    while (name := await drop()) is not None:
        dropped.append(name)
    assert all(name < partitions.day_of(midnight(day)).name for name in dropped)
    await measured_for_days.reset_watermarks()
    await measured_for_days.roll_up()
    await measured_for_days.record([measured_for_days.reading(site, measured_for_days.since + HOUR, [20_000])])
    assert await drop() is None, "a late reading waits in it"
    await measured_for_days.roll_up()
    await measured_for_days.count_looks()
    assert await drop() == partitions.day_of(midnight(day)).name


async def test_what_was_counted_stays_when_its_readings_are_gone(measured: MeasuredSites) -> None:
    site = await measured.add_site()
    day = measured.since.astimezone(WITA).date()
    await measured.record([measured.reading(site, measured.since, [20_000])])
    await measured.roll_up()
    rows = await measured.rows()
    async with transaction(measured.sessions) as session:
        await session.execute(text(f"DROP TABLE {partitions.day_of(midnight(day)).name}"))
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


async def test_an_hour_of_which_readings_are_lost_keeps_what_was_counted(measured: MeasuredSites) -> None:
    """Its pack is corrupt when a late reading comes; the hour beside it is counted again."""
    site = await measured.add_site()
    await measured.record(measured.readings(site, "fiber", measured.since, 120, every_s=60))
    await measured.roll_up()
    await measured.count_looks()
    await pack_until(measured.sessions, measured.since + 3 * HOUR)
    await measured.execute(
        "UPDATE reading_pack SET pack = set_byte(pack, 9, 255 - get_byte(pack, 9)) WHERE hour = :at", at=measured.since
    )
    for late, table in enumerate(("rollup_hour", "look_hour")):
        before = await measured.execute(f"SELECT * FROM {table} ORDER BY hour")
        for hour in (0, 1):
            at = measured.since + timedelta(hours=hour, minutes=late, seconds=30)
            await measured.record([measured.reading(site, at, [900_000])])
        await measured.roll_up()
        after = await measured.execute(f"SELECT * FROM {table} ORDER BY hour")
        assert [new == old for new, old in zip(after, before, strict=True)] == [True, False], table
