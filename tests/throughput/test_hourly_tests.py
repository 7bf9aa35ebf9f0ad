"""Tests for a certificate: one an hour, within the hours and the budget of the site, which keeps half of its month."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.core.clock import WITA, midnight
from app.postgres.engine import Sessions, transaction
from app.throughput.budget import MB, Allowance
from app.throughput.hourly_tests import is_allowed, kept_bytes
from app.throughput.store import PullTest
from app.worker.speedtest_runner import OnBytes, SpeedtestRunner
from probes.throughput import DownloadResult
from tests.support.speedtest_month import DAY, MONTH, Month

HOUR = timedelta(hours=1)
BEGINS = midnight(MONTH) + 10 * DAY + 6 * HOUR
CERTIFICATE = text("""
    INSERT INTO certificate (site_id, village_code, provider_id, started_at, ended_at, requested_at, requested_by,
        verify_code)
    SELECT id, village_code, provider_id, :at, cast(:at AS timestamptz) + interval '24 hours', now(), 'ana', 'uji'
    FROM site WHERE id = :id
""")


@pytest.fixture
async def month(committed_sessions: Sessions) -> Month:
    async with transaction(committed_sessions) as session:
        providers = list(await session.scalars(text("SELECT id FROM provider ORDER BY id")))
    return Month(committed_sessions, providers)


async def at_maximum_cost(order: PullTest, on_bytes: OnBytes) -> DownloadResult:
    return DownloadResult(mbps=20.0, bytes=order.max_bytes)


async def certify(month: Month, site: int) -> list[Any]:
    """Run the day of a certificate; return the tests that were planned for it."""
    async with transaction(month.sessions) as session:
        await session.execute(CERTIFICATE, {"id": site, "at": BEGINS})
    runner = SpeedtestRunner(month.sessions, at_maximum_cost)
    now = BEGINS - HOUR
    while now <= BEGINS + 26 * HOUR:
        await runner.start_due(now)
        await asyncio.gather(*runner.running.values())
        now += timedelta(minutes=5)
    return sorted((row for row in await month.rows() if row.for_certificate), key=lambda row: row.planned_at)


async def test_each_hour_of_a_certificate_is_tested(month: Month) -> None:
    await month.register(2, [None])  # the second is downloaded from, over radio: 60 MB a test, 5,000 MB a month
    site = list(month.sites)[1]
    tests = await certify(month, site)
    assert {test.site_id for test in tests} == {site}
    assert [int((test.planned_at - BEGINS) / HOUR) for test in tests] == list(range(24))
    assert Counter(test.status for test in tests) == {"done": 24}
    assert all(test.started_at < BEGINS + (number + 1) * HOUR for number, test in enumerate(tests))


async def test_half_of_what_the_month_still_needs_is_kept(month: Month) -> None:
    await month.register(2, [1_500])
    site = list(month.sites)[1]
    tests = await certify(month, site)
    left = 1_500 * MB - sum(test.down_bytes for test in tests)
    skipped = [test.reason for test in tests if test.status == "skipped"]
    assert set(skipped) == {"over_budget"}
    assert 5 < len(skipped) < 15
    assert left >= 1_500 * MB * 0.5 * (19.75 / 31), "of the days after it"


def test_no_certificate_empties_a_month() -> None:
    allowance = Allowance(1_000 * MB, 25 * MB, 86_400)
    assert kept_bytes(allowance, midnight(MONTH)) == 500 * MB
    assert kept_bytes(allowance, midnight(MONTH) + 15.5 * DAY) == 250 * MB


@pytest.mark.parametrize(
    ("hours", "allowed"),
    [((0, 24), range(24)), ((6, 22), range(6, 22)), ((22, 4), (22, 23, 0, 1, 2, 3))],
)
def test_tests_keep_to_the_hours_of_their_technology(hours: tuple[int, int], allowed: Any) -> None:
    allowance = Allowance(1, 1, 1, hours)
    found = {hour for hour in range(24) if is_allowed(allowance, datetime(2026, 11, 24, hour, 59, 59, tzinfo=WITA))}
    assert found == set(allowed)
