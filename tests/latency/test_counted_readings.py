"""What is counted from columns of readings, against SQL over their rows and against Python one by one."""

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from app.core.clock import midnight, today
from app.judging.blind_ranges import reading_ends_at_sql
from app.judging.models import Blind, Suspect, Suspicion
from app.latency import histogram_sql, rollup_hours
from app.latency.cells import cell_of
from app.latency.histograms import bucket_of, count, packets_sent
from app.latency.our_faults import Stretches, read_our_faults
from app.measurements import reader, store
from app.postgres.engine import Sessions, transaction
from probes.contract import AGENT, CENTRAL, SILENCE, Outcome, Reading
from probes.reading_block import ReadingBlock
from tests.conftest import Cast
from tests.factories import register
from tests.support.histogram import BUCKET, Histogram, bucket_rows_of_readings

HOUR = timedelta(hours=1)
START = midnight(today()) - 2 * HOUR
FIRST_SLOT = int(START.timestamp())

IS_OUR_FAULT = f"""(EXISTS (
    SELECT FROM blind b WHERE b.source = m.source
        AND tstzrange(b.started_at, b.ended_at) && tstzrange(m.slot, {reading_ends_at_sql("m")})
) OR EXISTS (
    SELECT FROM suspect x WHERE x.site_id = m.site_id AND m.source = '{CENTRAL}' AND x.excused IS NOT FALSE
        AND m.slot >= x.started_at AND m.slot <= x.lost_at
))"""
COUNTED_ROWS = f"""
    SELECT site_id, date_trunc('hour', m.slot, 'UTC') AS hour,
        CASE WHEN m.outcome = 'fault' THEN 0 WHEN cardinality(m.rtt_us) >= m.sent THEN m.sent
            WHEN {IS_OUR_FAULT} THEN cardinality(m.rtt_us) ELSE m.sent END AS sent,
        CASE WHEN m.outcome = 'ok' AND cardinality(m.rtt_us) > 0 THEN m.rtt_us
            ELSE cast(ARRAY[NULL] AS int[]) END AS rtt_us
    FROM measurement m"""
KEY = "site_id, hour"
BY_SQL = f"""
    SELECT {KEY}, {histogram_sql.COLUMNS} FROM ({
    histogram_sql.histograms_of_bucket_rows(bucket_rows_of_readings(f"({COUNTED_ROWS})", KEY), KEY)
}) h ORDER BY {KEY}"""


async def test_every_bucket_has_the_edges_that_postgresql_gives_it(sessions: Sessions) -> None:
    edges = {round(1.04**bucket) + near for bucket in range(549) for near in (-2, -1, 0, 1, 2)}
    rtts = sorted(rtt for rtt in {*edges, *range(200), 2**31 - 1} if 0 <= rtt < 2**31)
    async with transaction(sessions) as session:
        statement = text(f"SELECT {BUCKET} FROM unnest(cast(:rtts AS int[])) WITH ORDINALITY AS r(rtt, n) ORDER BY n")
        buckets = list(await session.scalars(statement, {"rtts": rtts}))
    assert bucket_of(np.array(rtts, np.int32)).tolist() == buckets


def odd_readings(sites: Sequence[int], rng: Random) -> list[Reading]:
    """Return readings of every kind in three hours of each site, some of whose sources looked at the same second."""
    readings = {}
    for site in sites:
        for _ in range(200):
            outcome = rng.choice((Outcome.OK, Outcome.OK, Outcome.TIMEOUT, Outcome.FAULT))
            answered = rng.choice((0, 1, 2, 3, 3, 5, 9)) if outcome is Outcome.OK or rng.random() < 0.1 else 0
            rtts = tuple(rng.choice((0, 1, rng.randrange(60_000_000), rng.randrange(1 << 31))) for _ in range(answered))
            slot, source = FIRST_SLOT + rng.randrange(3 * 3600), rng.choice((CENTRAL, CENTRAL, AGENT, SILENCE))
            sent = rng.choice((0, 1, 3, 3, 5, 100))
            readings[site, slot, source] = Reading(site, slot, outcome, sent, rtts, 60, None, source)
    return list(readings.values())


def a_stretch(rng: Random, longest_s: float) -> dict[str, datetime]:
    started_at = START + timedelta(seconds=rng.uniform(-60, 3 * 3600))
    return {"started_at": started_at, "ended_at": started_at + timedelta(seconds=rng.uniform(0, longest_s))}


async def test_hours_are_counted_as_sql_counts_them_row_by_row(sessions: Sessions, cast: Cast) -> None:
    rng = Random(3)
    sites = sorted([(await register(cast, host=f"198.51.100.{n}"))["id"] for n in range(1, 4)])
    hours = [(site, START + n * HOUR) for n in range(3) for site in sites]
    async with transaction(sessions) as session:
        await store.record(session, odd_readings(sites, rng))
        for source in (CENTRAL, SILENCE, AGENT, "elsewhere"):
            session.add_all(Blind(source=source, reason="uplink", **a_stretch(rng, 500)) for _ in range(6))
        for site in sites[:2]:
            for excused in (None, True, False):
                held = a_stretch(rng, 1500)
                suspicion = Suspicion(source=CENTRAL, **held)
                session.add(suspicion)
                await session.flush()
                lost = {"started_at": held["started_at"], "lost_at": held["ended_at"]}
                session.add(Suspect(suspicion_id=suspicion.id, site_id=site, excused=excused, **lost))
        await session.flush()
        by_sql = [tuple(row) for row in await session.execute(text(BY_SQL))]
        await rollup_hours.roll_up(session, hours)
        stored = text(f"SELECT {KEY}, {histogram_sql.COLUMNS} FROM rollup_hour ORDER BY {KEY}")
        assert [tuple(row) for row in await session.execute(stored)] == by_sql
        assert len(by_sql) == len(hours)
        block = await reader.read_all(session, START, START + 3 * HOUR)
        ours = (await read_our_faults(session, START, START + 3 * HOUR, site_ids=sites)).of(block)
        assert 50 < ours.sum() < len(block) - 50, "of both there were enough"


async def test_nothing_is_counted_of_nothing(sessions: Sessions, cast: Cast) -> None:
    site = (await register(cast))["id"]
    async with transaction(sessions) as session:
        await rollup_hours.roll_up(session, [])
        await rollup_hours.roll_up(session, [(site, START)])
        assert await rollup_hours.mark_stale(session, START, START + HOUR) == 0
        assert await session.scalar(text("SELECT count(*) FROM rollup_hour")) == 0


rtts_of_a_reading = st.lists(st.integers(0, 2**31 - 1), max_size=4)


@given(st.lists(st.tuples(st.integers(1, 3), rtts_of_a_reading, st.integers(0, 5), st.sampled_from(Outcome))))
def test_a_cell_is_the_histogram_of_its_packets_in_whatever_order_they_come(
    readings: list[tuple[int, list[int], int, Outcome]],
) -> None:
    block = ReadingBlock.of(
        Reading(cell, n, outcome, sent, tuple(rtts), 60) for n, (cell, rtts, sent, outcome) in enumerate(readings)
    )
    counted = count(block, packets_sent(block, np.zeros(len(block), bool)), block.key.astype(np.int64))
    assert counted.cell.tolist() == sorted({cell for cell, *_ in readings})
    row = counted.parameters()
    for n, cell in enumerate(counted.cell.tolist()):
        of_cell = [(rtts if outcome is Outcome.OK else []) for key, rtts, _, outcome in readings if key == cell]
        rtts = [rtt for of_reading in of_cell for rtt in of_reading]
        steps = [abs(a - b) for of_reading in of_cell for a, b in itertools.pairwise(of_reading)]
        sums = (len(rtts), sum(rtts), sum(steps), len(steps))
        names = ("received", "rtt_sum", "jitter_sum", "jitter_count")
        assert tuple(row[f"counted_{name}"][n] for name in names) == sums
        assert row["counted_sent"][n] == sum(
            sent for key, _, sent, outcome in readings if key == cell and outcome is not Outcome.FAULT
        )
        if rtts:
            assert (row["counted_rtt_min"][n], row["counted_rtt_max"][n]) == (min(rtts), max(rtts))
        assert _buckets(row, n) == dict(Histogram.of(rtts).counts)


def _buckets(row: dict[str, list[Any]], n: int) -> dict[int, int]:
    """Return the packets by bucket of the n-th cell."""
    of_cell = slice(row["counted_low"][n] - 1, row["counted_high"][n])
    upto = [0, *row["counted_upto"][of_cell]]
    return {b: upto[k + 1] - upto[k] for k, b in enumerate(row["counted_bucket"][of_cell])}


stretch = st.tuples(st.integers(0, 3), st.integers(0, 40), st.integers(0, 20), st.integers(1, 9))


@given(st.lists(stretch), st.lists(stretch, min_size=1))
def test_a_stretch_overlaps_what_any_second_of_it_lies_in(stretches: list[Any], readings: list[Any]) -> None:
    seconds = {(key, second) for key, low, length, _ in stretches for second in range(low, low + length)}
    rows: list[tuple[int, int, int]] = []
    for key, second in sorted(seconds):
        if rows and rows[-1][0] == key and rows[-1][2] == second:
            rows[-1] = (key, rows[-1][1], second + 1)
        else:
            rows.append((key, second, second + 1))
    keys, starts, lengths = (np.array(column) for column in zip(*((k, s, n) for k, s, _, n in readings), strict=True))
    found = Stretches(rows).overlap(keys, starts, starts + lengths)
    assert found.tolist() == [any((k, s + n) in seconds for n in range(length)) for k, s, _, length in readings]
    assert (np.diff(cell_of(*np.array(sorted(seconds) or [(0, 0)]).T)) > 0).all()
