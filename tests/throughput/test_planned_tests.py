"""Which speed tests fall due: of a heap of next tests, whatever changes in between, the same as of whole months."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.core.clock import month_of
from app.profiles import Technology
from app.throughput.budget import MB, Allowance, plan_month
from app.throughput.models import Mode
from app.throughput.planned_tests import Plans
from app.throughput.planner import SpeedtestSite

START = datetime(2026, 10, 30, 12, tzinfo=UTC)
ALLOWANCES = [
    Allowance(monthly_mb * MB, test_mb * MB, 3600 * spacing_h, hours)
    for monthly_mb, test_mb, spacing_h, hours in (
        (400, 8, 4, (0, 24)),
        (60, 10, 12, (22, 6)),
        (9, 8, 1, (8, 17)),
        (1, 8, 1, (0, 24)),  # never
    )
]
STEP = st.tuples(
    st.sampled_from(["due", "fails", "put", "remove"]),
    st.integers(1, 4),
    st.sampled_from(ALLOWANCES),
    st.integers(1, 90),
)


def site(site_id: int, allowance: Allowance, setup_at: datetime) -> SpeedtestSite:
    return SpeedtestSite(
        site_id, Mode.PULL, Technology.FIBER, 1, None, "64.02.05.2003", "https://uji.example.id/", setup_at, allowance
    )


def planned(sites: dict[int, SpeedtestSite], after: datetime, until: datetime) -> set[tuple[int, datetime]]:
    months = {month_of(after), month_of(until), month_of(after + (until - after) / 2)}
    return {
        (each.id, moment)
        for each in sites.values()
        for month in months
        for moment in plan_month(each.allowance, month, each.id).moments
        if max(after, each.setup_at) < moment <= until
    }


@given(st.lists(STEP, max_size=30))
def test_what_falls_due_is_what_whole_months_would_say(steps: list[Any]) -> None:
    plans, sites, now = Plans([site(1, ALLOWANCES[0], START)]), {1: site(1, ALLOWANCES[0], START)}, START
    for action, site_id, allowance, hours in steps:
        if action == "put":
            sites[site_id] = site(site_id, allowance, now)
            plans.put(sites[site_id])
        elif action == "remove":
            sites.pop(site_id, None)
            plans.remove(site_id)
        else:
            until = now + timedelta(hours=hours)
            due = [(each.id, moment) for each, _, moment in plans.due(now, until)]
            assert len(due) == len(set(due))
            assert set(due) == planned(sites, now, until)
            now = until if action == "due" else now


def test_a_clock_set_back_and_a_stretch_passed_over_are_served_too() -> None:
    plans = Plans([site(1, ALLOWANCES[0], START)])
    sites = dict(plans.sites)
    for first, last in ((40, 50), (10, 20), (30, 35), (35, 900)):
        after, until = START + timedelta(hours=first), START + timedelta(hours=last)
        assert {(each.id, moment) for each, _, moment in plans.due(after, until)} == planned(sites, after, until)
