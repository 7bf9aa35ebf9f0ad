"""Month plans keep to budget, hours and spacing."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.clock import WITA
from app.profiles import Technology, profiles
from app.throughput.budget import DAY_S, HOUR_S, MB, Allowance, month_end, plan_month
from app.throughput.planner import allowance

MONTHS = st.dates(date(2026, 1, 1), date(2032, 12, 31)).map(lambda day: day.replace(day=1))
HOURS = st.tuples(st.integers(0, 23), st.integers(1, 24)).filter(lambda pair: pair[0] != pair[1])
ALLOWANCES = st.builds(
    Allowance,
    monthly_bytes=st.integers(0, 20_000).map(lambda mb: mb * MB),
    test_bytes=st.integers(1, 200).map(lambda mb: mb * MB),
    spacing_s=st.integers(360, 7 * DAY_S),
    hours=HOURS,
    push_every_s=st.none() | st.integers(60, 900),
)


def is_open(hours: tuple[int, int], hour: int) -> bool:
    low, high = hours
    return low <= hour < high if low < high else hour >= low or hour < high


@given(allowed=ALLOWANCES, month=MONTHS, key=st.integers(1, 10_000_000))
@settings(max_examples=300, deadline=None)
def test_any_plan_keeps_to_its_budget_its_hours_and_its_spacing(allowed: Allowance, month: date, key: int) -> None:
    made = plan_month(allowed, month, key)
    moments = made.moments
    assert len(moments) == made.count
    assert moments == plan_month(allowed, month, key).moments, "the same whenever it is made"
    seconds = (month_end(month) - made.start).total_seconds()
    left = allowed.monthly_bytes - allowed.pushes_bytes(seconds)
    assert made.count * allowed.test_bytes <= max(0, left)
    for moment in moments:
        assert made.start <= moment < made.end
        assert is_open(allowed.hours, moment.astimezone(WITA).hour)
        until = made.waits_until(moment)
        assert moment <= until <= min(moment + timedelta(hours=1), made.end)
        assert is_open(allowed.hours, (until - timedelta(seconds=1)).astimezone(WITA).hour) or until == moment
    for one, other in pairwise(moments):
        assert (other - one).total_seconds() >= min(allowed.spacing_s, seconds) - 1


@given(month=MONTHS, key=st.integers(1, 10_000), technology=st.sampled_from(Technology))
@settings(deadline=None)
def test_each_technology_is_measured_as_often_as_its_budget_and_spacing_allow_at_every_hour(
    month: date, key: int, technology: Technology
) -> None:
    profile = profiles()[technology]
    made = plan_month(allowance(profile, None, pushes=False), month, key)
    days = (made.end - made.start).days
    by_spacing = days * DAY_S / (profile.speed_spacing_h * HOUR_S)
    assert made.count >= int(min(profile.speed_monthly_mb / profile.speed_max_mb, by_spacing)) - 1
    hours = {moment.astimezone(WITA).hour for moment in made.moments}
    assert hours == {hour for hour in range(24) if is_open(profile.speed_hours, hour)}


def test_a_thousand_sites_are_spread_evenly() -> None:
    allowed = allowance(profiles()[Technology.LEO], None, pushes=False)
    hours = [0] * 30 * 24
    for key in range(1, 1039):
        made = plan_month(allowed, date(2026, 11, 1), key)
        for moment in made.moments:
            hours[int((moment - made.start).total_seconds() // HOUR_S)] += 1
    usual = sum(hours) / len(hours)
    assert all(0.7 * usual < count < 1.3 * usual for count in hours[1:-1])


def test_the_last_of_a_month_and_the_first_of_the_next_keep_their_distance() -> None:
    for technology, profile in profiles().items():
        allowed = allowance(profile, None, pushes=False)
        for key in range(1, 50):
            for month, following in pairwise([date(2026, 10, 1), date(2026, 11, 1), date(2026, 12, 1)]):
                last, first = (
                    plan_month(allowed, month, key).moments[-1],
                    plan_month(allowed, following, key).moments[0],
                )
                assert (first - last).total_seconds() >= allowed.spacing_s - 1, technology


@pytest.mark.parametrize(("budget_mb", "count"), [(0, 0), (99, 0), (100, 1), (1_000, 10), (10_000, 30)])
def test_a_site_may_spend_less_or_more_than_its_kind(budget_mb: int, count: int) -> None:
    allowed = allowance(profiles()[Technology.LEO], budget_mb, pushes=False)
    assert plan_month(allowed, date(2026, 11, 1), 1).count in {count, max(0, count - 1)}


def test_a_push_site_pays_for_its_pushes_first() -> None:
    profile = profiles()[Technology.GEO]
    pulled = plan_month(allowance(profile, 200, pushes=False), date(2026, 11, 1), 1)
    pushed = plan_month(allowance(profile, 200, pushes=True), date(2026, 11, 1), 1)
    assert pulled.count - pushed.count in {6, 7}, "8,640 reports are 69 MB"
