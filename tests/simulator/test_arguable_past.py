"""A simulated past holds what a month is argued about: causes, windows, claims, objections, each with its date."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.core.clock import midnight, today, utc_now
from app.judging.invalidation import CLOSES_AFTER_DAYS
from tests.support.written_history import WrittenHistory, written_history

pytestmark = pytest.mark.real_time

MONTH = (today().replace(day=1) - timedelta(days=1)).replace(day=1)
DAYS = (today() - MONTH).days + 1


@pytest.fixture(scope="module")
async def past(server_url: str) -> AsyncIterator[WrittenHistory]:
    """The month that is over, and the days since."""
    async with written_history(server_url, days=DAYS, sites=100, towers=3) as past:
        yield past


async def test_causes_are_set_by_the_offices_soon_after_the_outage_and_a_few_of_them_late(past: WrittenHistory) -> None:
    rows = await past.rows("SELECT ended_at, recorded_at, confirmed_by, cause FROM outage_cause")
    assert len(rows) > 20
    assert {by.split()[0] for _, _, by, _ in rows} == {"Diskominfo"}
    assert {"power", "link"} <= {cause for *_, cause in rows}
    late = [row for row in rows if row[1] > utc_now() - timedelta(minutes=10) > row[0] + timedelta(days=2)]
    assert 0 < len(late) < 10
    assert all(ended < recorded < ended + timedelta(days=2) for ended, recorded, *_ in set(rows) - set(late))


async def test_what_becomes_known_after_the_month_is_closed_is_a_correction_beside_it(past: WrittenHistory) -> None:
    is_closed = today() >= today().replace(day=1) + timedelta(days=CLOSES_AFTER_DAYS)
    reasons = {reason for (reason,) in await past.rows("SELECT reason FROM month_correction")}
    assert bool(reasons) == is_closed
    assert all(reason.startswith("cause power, by Diskominfo") for reason in reasons)


async def test_windows_were_announced_before_and_after_and_one_is_to_come(past: WrittenHistory) -> None:
    rows = await past.rows("SELECT started_at, ended_at, created_at FROM maintenance_window ORDER BY started_at")
    assert sorted((created < start, created < end) for start, end, created in rows) == [
        (False, False),
        (True, True),
        (True, True),
    ]
    assert rows[-1][0] > utc_now()
    assert all(start >= midnight(MONTH) for start, *_ in rows)


async def test_devices_contest_some_outages(past: WrittenHistory) -> None:
    contested = await past.rows(
        "SELECT refuted_s, ended_at - started_at FROM incident_site WHERE refuted_at IS NOT NULL"
    )
    assert 0 < len(contested) <= 3
    assert all(0 < refuted_s < length.total_seconds() for refuted_s, length in contested)


async def test_providers_object_to_outages_that_nobody_has_explained(past: WrittenHistory) -> None:
    notes = await past.rows(
        "SELECT n.text, n.provider_id, i.cause FROM incident_note n JOIN incident i ON i.id = n.incident_id"
    )
    assert len(notes) == 8
    assert all("keberatan" in text and provider is not None and cause is None for text, provider, cause in notes)
