"""A simulated month on a real database: budgets, hours, spacing, and a reason for every skipped test."""

from collections import Counter, defaultdict
from datetime import timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import text

from app.core.clock import WITA
from app.postgres.engine import Sessions, transaction
from app.profiles import profiles
from app.worker.speedtest_runner import SpeedtestRunner
from probes.throughput import SLACK_BYTES
from tests.support.speedtest_month import DONE, Month


async def test_a_month_stays_in_its_budgets_and_says_why_each_test_was_left_out(
    committed_sessions: Sessions, record_property: Any
) -> None:
    async with transaction(committed_sessions) as session:
        providers = list(await session.scalars(text("SELECT id FROM provider ORDER BY id")))
    month = Month(committed_sessions, providers)
    await month.register(20, [None, 300, 900])
    out = list(month.sites)[7]
    await month.take_down(out)
    await month.simulate(SpeedtestRunner(committed_sessions, month.run), restart_each=50)
    rows, spent, planned = await month.rows(), await month.spent_bytes(), await month.planned()

    assert month.over_budget(spent) == []
    assert Counter(row.site_id for row in rows) == planned, "each planned moment has its row"
    by_status = Counter(row.status for row in rows)
    assert set(by_status) <= DONE | {"skipped"}
    reasons = Counter(row.reason for row in rows if row.status == "skipped")
    ran = sum(by_status[status] for status in DONE)
    assert sum(reasons.values()) == planned.total() - ran
    assert None not in reasons
    assert ran > 0.7 * planned.total()
    assert {"not_taken", "not_up", "over_budget"} <= set(reasons)
    assert {row.reason for row in rows if row.site_id == out} == {"not_up"}
    lost = [row for row in rows if row.reason == "stopped" and row.started_at]
    assert lost != []
    assert all(row.reserved_bytes == row.allowed_down_bytes + SLACK_BYTES for row in lost), "it counts as spent"

    began = defaultdict(list)
    for row in sorted((row for row in rows if row.started_at), key=lambda row: row.started_at):
        began[row.site_id].append((row.started_at, profiles()[row.technology]))
    hours: dict[str, set[int]] = defaultdict(set)
    for moments in began.values():
        for moment, profile in moments:
            low, high = profile.speed_hours
            assert low <= moment.astimezone(WITA).hour < high
        for (one, profile), (other, _) in pairwise(moments):
            assert other - one >= timedelta(hours=profile.speed_spacing_h)
    for row in rows:
        hours[row.technology].add(row.planned_at.astimezone(WITA).hour)
    for technology, profile in profiles().items():
        assert hours[technology] == set(range(*profile.speed_hours)), technology
    record_property("tests", f"{planned.total()} planned, {dict(by_status)}, skipped {dict(reasons)}")
