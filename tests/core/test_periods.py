from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.clock import NaiveTime, SlotClock, from_slot, parse_moment, to_slot
from app.core.errors import Invalid
from app.core.periods import Period, Step, parse_period, resolve_step
from tests.conftest import Cast
from tests.factories import register

NOON = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)  # 12.00 WITA


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24T12:00:00+08:00",
        "2026-11-24T12:00:00 08:00",
        "2026-11-24T12:00:00 0800",
        "2026-11-24T04:00:00Z",
        "2026-11-24 04:00:00Z",
        "2026-11-24T12:00:00.000+08:00",
        "20261124T120000+0800",
        "1795492800000",
    ],
)
def test_one_moment_has_many_spellings(text: str) -> None:
    assert parse_moment(text) == NOON


def test_a_bare_date_is_midnight_in_wita() -> None:
    assert parse_moment("2026-11-24") == datetime(2026, 11, 23, 16, tzinfo=UTC)


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(NaiveTime):
        parse_moment("2026-11-24T12:00:00")


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "2026-02-30", "12", "1e9", "2026-11-24T25:00:00Z"])
def test_what_is_not_a_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_moment(text)


def test_days_and_months_are_cut_in_wita() -> None:
    start = datetime(2026, 10, 30, 10, 30, tzinfo=UTC)
    days = list(Period(start, NOON).split(Step.DAY))
    assert days[1].start == datetime(2026, 10, 30, 16, tzinfo=UTC)
    assert all(day.end - day.start == timedelta(days=1) for day in days[1:-1])
    months = list(Period(start, NOON).split(Step.MONTH))
    assert [month.start for month in months] == [start, datetime(2026, 10, 31, 16, tzinfo=UTC)]


moments = st.integers(1_704_067_200, 1_798_761_600).map(from_slot)


@given(moments, st.integers(1, 100 * 86400), st.sampled_from(list(Step)))
def test_the_parts_of_a_period_are_the_period(start: datetime, length: int, step: Step) -> None:
    period = Period(start.replace(microsecond=0), start.replace(microsecond=0) + timedelta(seconds=length))
    parts = list(period.split(step))
    assert (parts[0].start, parts[-1].end) == (period.start, period.end)
    assert all(earlier.end == later.start for earlier, later in pairwise(parts))
    assert all(part.start < part.end for part in parts)


def test_named_periods() -> None:
    assert parse_period("24h", NOON) == Period(NOON - timedelta(hours=24), NOON)
    assert parse_period("7d", NOON) == Period(NOON - timedelta(days=7), NOON)
    assert parse_period("2026-10", NOON).end == datetime(2026, 10, 31, 16, tzinfo=UTC)
    assert parse_period("2026-11", NOON).end == NOON
    for wrong in ("0h", "7", "2026-13", "2026-12", "1y", ""):
        with pytest.raises(Invalid):
            parse_period(wrong, NOON)


def test_a_step_is_chosen_that_can_be_read() -> None:
    for days, step in ((1, Step.HOUR), (30, Step.DAY), (400, Step.MONTH)):
        assert resolve_step(Period(NOON - timedelta(days=days), NOON), None) is step


def test_the_slot_clock_runs_on_when_the_wall_clock_is_stepped() -> None:
    clock = SlotClock()
    before = clock.now()
    clock._wall += 3600
    assert clock.now() - before >= 3600
    assert clock.step_s() == pytest.approx(-3600, abs=1)
    clock.reanchor()
    assert clock.step_s() == pytest.approx(0, abs=0.01)


def test_slots_are_whole_seconds() -> None:
    assert to_slot(NOON + timedelta(milliseconds=999)) == to_slot(NOON)


@pytest.mark.parametrize(
    ("params", "field", "code"),
    [
        ({"from": "2026-11-24T12:00:00"}, "from", "naive_time"),
        ({"to": "noon"}, "to", "bad_time"),
        ({"from": "2026-11-02", "to": "2026-11-01"}, "to", "to_before_from"),
        ({"from": "2026-11-02", "to": "2026-11-02"}, "to", "to_before_from"),
        ({"from": "2099-01-01", "to": "2099-01-02"}, "from", "in_the_future"),
        ({"from": "2099-01-01"}, "from", "in_the_future"),
        ({"period": "7x"}, "period", "bad_period"),
        ({"period": "7d", "from": "2026-11-01"}, "period", "period_and_from"),
        ({"from": "2024-01-01", "to": "2026-01-01", "step": "hour"}, "step", "too_many_rows"),
        ({"step": "minute"}, "step", "enum"),
        ({"from": "99999999999999999"}, "from", "bad_time"),
        ({"from": "0001-01-02"}, "from", "bad_time"),
        ({"to": "0001-01-01T10:00:00Z"}, "to", "bad_time"),
    ],
)
async def test_a_wrong_period_is_named(cast: Cast, params: dict[str, Any], field: str, code: str) -> None:
    made = await register(cast)
    for path in ("uptime", "latency"):
        answer = await cast.sari.get(f"/sites/{made['id']}/{path}", params=params)
        assert answer.status_code == 422, answer.text
        assert [(fault["field"], fault["code"]) for fault in answer.json()["errors"]] == [(field, code)]


@pytest.mark.parametrize(
    ("params", "suggestion"),
    [
        ({"from": "2099-01-01"}, "Give a moment before now; to may lie ahead, and is now by default"),
        ({"from": "2026-11-02", "to": "2026-11-01"}, "Are they swapped?"),
        ({"from": "2026-11-02", "to": "2026-11-02"}, "to is exclusive: give a later one"),
    ],
)
async def test_only_bounds_that_were_given_the_wrong_way_round_may_be_swapped(
    cast: Cast, params: dict[str, str], suggestion: str
) -> None:
    answer = await cast.sari.get("/regions/64/uptime", params=params)
    assert [fault["suggestion"] for fault in answer.json()["errors"]] == [suggestion]


async def test_an_unescaped_plus_and_a_future_end_are_understood(cast: Cast) -> None:
    made = await register(cast)
    url = f"/api/v1/sites/{made['id']}/uptime?from=2026-11-01T00:00:00+08:00&to=2099-01-01"
    answer = await cast.sari.client.get(url)
    assert answer.status_code == 200, answer.text
    assert answer.json()["from"] == "2026-11-01T00:00:00+08:00"
    assert datetime.fromisoformat(answer.json()["to"]) <= datetime.now(UTC)
