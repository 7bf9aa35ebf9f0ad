"""Looks within a bound are counted exactly, at most one a minute; counted twice or in parts, they are the same."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.core.clock import WITA, from_slot, midnight
from app.judging import blind_ranges
from app.judging.blind_ranges import BlindRange
from app.judging.claims import LATE
from app.latency.cells import key_of, time_of
from app.latency.histograms import packets_sent
from app.latency.look_counts import LOOK_BOUNDS_MS, count_looks
from app.measurements import partitions
from app.postgres.engine import transaction
from probes.contract import AGENT, CENTRAL, Outcome, Reading
from probes.reading_block import ReadingBlock
from tests.support.measured_sites import MeasuredSites

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Counts = tuple[int, int, list[int]]


def middle_rtt(reading: Reading) -> float:
    """Return the round-trip time of the packet with which half of those sent were answered."""
    answered = [*sorted(reading.rtt_us), *[float("inf")] * (reading.sent - len(reading.rtt_us))]
    return answered[(reading.sent - 1) // 2]


def counts(readings: Sequence[Reading]) -> Counts:
    """Return looks, lost ones, and those within each bound, as Python counts them."""
    by_minute: dict[tuple[int, int], list[Reading]] = defaultdict(list)
    for reading in readings:
        by_minute[reading.key, reading.slot // 60].append(reading)
    minutes = [
        (max(middle_rtt(r) for r in of_minute), any(r.outcome is Outcome.OK for r in of_minute))
        for of_minute in by_minute.values()
    ]
    within = [sum(rtt <= 1000 * bound for rtt, _ in minutes) for bound in LOOK_BOUNDS_MS]
    return len(minutes), sum(not answered for _, answered in minutes), within


async def count(measured: MeasuredSites, **options: int) -> None:
    await measured.roll_up()
    await measured.count_looks(**options)


async def day_of(measured: MeasuredSites, site: int, day: date) -> tuple[Counts, Counts] | None:
    rows = await measured.execute("SELECT * FROM look_day WHERE site_id = :site AND day = :day", site=site, day=day)
    if not rows:
        return None
    (row,) = rows
    evening = row.evening_looks, row.evening_lost, row.evening_within
    return (row.looks, row.lost, row.within), evening


def on(readings: Sequence[Reading], day: date, *, from_hour: int = 0) -> list[Reading]:
    start, end = midnight(day) + from_hour * HOUR, midnight(day + DAY)
    return [reading for reading in readings if start <= from_slot(reading.slot) < end]


async def test_every_hour_and_day_counts_what_python_counts(measured: MeasuredSites) -> None:
    sites = [await measured.add_site(technology) for technology in ("fiber", "geo")]
    readings = [
        reading
        for site, technology in zip(sites, ("cellular", "geo"), strict=True)
        for reading in measured.readings(site, technology, measured.since + timedelta(seconds=7), 2000, every_s=95)
    ]
    await measured.record(readings)
    await count(measured)
    first = measured.since.astimezone(WITA).date()
    for site in sites:
        for number in range(2):
            own = on([reading for reading in readings if reading.key == site], first + number * DAY)
            evening = on(own, first + number * DAY, from_hour=18)
            assert await day_of(measured, site, first + number * DAY) == (counts(own), counts(evening))
        by_hour: dict[datetime, list[Reading]] = defaultdict(list)
        for reading in readings:
            if reading.key == site:
                by_hour[from_slot(reading.slot // 3600 * 3600)].append(reading)
        rows = await measured.execute("SELECT * FROM look_hour WHERE site_id = :site", site=site)
        assert {row.hour: (row.looks, row.lost, row.within) for row in rows} == {
            hour: counts(of_hour) for hour, of_hour in by_hour.items()
        }


async def test_a_bound_is_met_to_the_microsecond_and_by_half_of_the_packets(measured: MeasuredSites) -> None:
    site, day = await measured.add_site(), measured.since.astimezone(WITA).date()
    rtts: list[list[int] | None] = [
        [100_000] * 3,  # on the bound
        [100_001] * 3,
        [1000, 100_000, 900_000],  # two of three in time
        [1000, 150_001, 150_001],
        [1000, 1000],  # one of three lost
        [1000],  # two of three lost
        None,
    ]
    await measured.record(
        [measured.reading(site, measured.since + timedelta(minutes=n), rtt) for n, rtt in enumerate(rtts)]
    )
    await count(measured)
    assert await day_of(measured, site, day) == ((7, 1, [3, 4, 5]), (0, 0, [0, 0, 0]))


async def test_of_the_looks_in_a_minute_the_slowest_counts(measured: MeasuredSites) -> None:
    site, day = await measured.add_site(), measured.since.astimezone(WITA).date()
    start = measured.since + timedelta(minutes=5)
    flood = [measured.reading(site, start + timedelta(seconds=n), [1000] * 3) for n in range(59)]
    lost = measured.reading(site, start + timedelta(seconds=59), None)
    await measured.record([*flood, lost])
    await count(measured)
    assert await day_of(measured, site, day) == ((1, 0, [0, 0, 0]), (0, 0, [0, 0, 0]))


async def test_our_own_faults_and_claims_are_no_looks_and_a_late_loss_is_one(measured: MeasuredSites) -> None:
    site, day = await measured.add_site(), measured.since.astimezone(WITA).date()
    good, lost = [1000] * 3, None
    at = [measured.since + timedelta(minutes=n) for n in range(8)]
    await measured.record(
        [
            measured.reading(site, at[0], good),
            measured.reading(site, at[1], lost),
            measured.reading(site, at[2], lost, outcome=Outcome.FAULT),
            measured.reading(site, at[3], lost),  # we were blind
            measured.reading(site, at[5], lost),
            replace(measured.reading(site, at[6], good), source=AGENT, reason=LATE),
            replace(measured.reading(site, at[7], lost), source=AGENT, reason=LATE),
        ]
    )
    async with transaction(measured.sessions) as session:
        await blind_ranges.record(session, [BlindRange(at[3], at[3] + timedelta(seconds=30), "uplink")], source=CENTRAL)
    await count(measured)
    assert await day_of(measured, site, day) == ((4, 3, [1, 1, 1]), (0, 0, [0, 0, 0]))


async def test_counting_again_in_parts_or_after_late_readings_gives_the_same(measured: MeasuredSites) -> None:
    sites = [await measured.add_site() for _ in range(3)]
    readings = [
        reading
        for site in sites
        for reading in measured.readings(site, "cellular", measured.since + HOUR, 300, every_s=600)
    ]
    await measured.record(readings[::2])
    await count(measured, sites_a_step=2, steps=3)
    await measured.record(readings[1::2])
    await count(measured, sites_a_step=1)
    tables = "look_hour", "look_day"
    rows = [await measured.execute(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]
    for site in sites:
        day = measured.since.astimezone(WITA).date()
        own = on([reading for reading in readings if reading.key == site], day)
        assert (await day_of(measured, site, day) or [None])[0] == counts(own)
    for table in tables:
        await measured.execute(f"DELETE FROM {table}")
    await measured.reset_watermarks()
    await count(measured)
    assert [await measured.execute(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables] == rows


async def test_a_day_whose_readings_are_gone_is_not_counted_and_no_day_is_dropped_before_it_is(
    measured: MeasuredSites,
) -> None:
    site, day = await measured.add_site(), measured.since.astimezone(WITA).date()
    await measured.record(measured.readings(site, "fiber", measured.since, 10, every_s=60))
    await measured.roll_up()
    keep = {"keep_days": 1}
    async with transaction(measured.sessions) as session:
        while (dropped := await partitions.drop_oldest(session, measured.now, **keep)) is not None:
            assert dropped < partitions.day_of(midnight(day)).name
    await count(measured)
    assert await day_of(measured, site, day) is not None
    async with transaction(measured.sessions) as session:
        assert await partitions.drop_oldest(session, measured.now, **keep) == partitions.day_of(midnight(day)).name
    assert await day_of(measured, site, day - DAY) is None


looked = st.tuples(
    st.sampled_from(Outcome),
    st.integers(0, 6),
    st.lists(st.sampled_from((0, 100_000, 100_001, 150_000, 750_001)), max_size=5),
    st.sampled_from((None, LATE, "refused")),
)


@given(st.dictionaries(st.tuples(st.integers(1, 2), st.integers(0, 7500)), looked, max_size=60))
def test_any_readings_are_counted_by_hour_as_python_counts_them(drawn: dict[tuple[int, int], tuple[Any, ...]]) -> None:
    readings = [
        Reading(key, slot, outcome, max(sent, len(rtts)), tuple(rtts) if outcome is Outcome.OK else (), 60, reason)
        for (key, slot), (outcome, sent, rtts, reason) in sorted(drawn.items())
    ]
    block = ReadingBlock.of(readings)
    counted = count_looks(block, packets_sent(block, np.zeros(len(block), bool)))
    by_hour: dict[tuple[int, int], list[Reading]] = defaultdict(list)
    for reading in readings:
        by_hour[reading.key, reading.slot // 3600].append(reading)
    rows = zip(counted.looks.tolist(), counted.lost.tolist(), counted.within.tolist(), strict=True)
    hours = zip(key_of(counted.cell).tolist(), time_of(counted.cell).tolist(), strict=True)
    assert dict(zip(hours, rows, strict=True)) == {
        hour: counts([r for r in of_hour if is_look(r)]) for hour, of_hour in by_hour.items()
    }


def is_look(reading: Reading) -> bool:
    is_claim = reading.outcome is Outcome.OK and reading.reason == LATE
    return reading.outcome is not Outcome.FAULT and reading.sent > 0 and not is_claim
