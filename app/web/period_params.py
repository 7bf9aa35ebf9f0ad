"""The query parameters `from`, `to` and `period`, parsed into one period."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Depends, Query

from app.core.clock import floor_second, utc_now
from app.core.errors import Fault, Invalid
from app.core.periods import Period, parse_month, parse_period
from app.core.validation import EXAMPLE_MOMENT as EXAMPLE
from app.core.validation import FaultError, read_moment

MAX_TIME = 60  # characters
AHEAD, BACK = timedelta(days=90), timedelta(days=30)


def from_query(default: str) -> Any:
    """Describe `from`, by what it is without one."""
    text = f"start: ISO 8601 with offset, epoch ms, or a date (midnight WITA); default {default}"
    return Query(alias="from", max_length=MAX_TIME, description=text, examples=[EXAMPLE])


def to_query(default: str) -> Any:
    return Query(max_length=MAX_TIME, description=f"exclusive; like from; default {default}", examples=[EXAMPLE])


From = Annotated[str | None, from_query("24 hours before `to`")]
To = Annotated[str | None, to_query("now")]
PeriodName = Annotated[
    str | None, Query(max_length=MAX_TIME, description="instead of from and to", examples=["24h", "7d", "2026-11"])
]


Bounds = tuple[datetime | None, datetime | None]  # None: unbounded


def parse_past_period(from_: From = None, to: To = None, period: PeriodName = None) -> Period:
    """For measurements: never in the future; default the last 24 hours. Raises Invalid with every wrong parameter."""
    now = floor_second(utc_now())
    if period is not None:
        _require_alone(from_, to)
        return parse_period(period, now)
    faults: list[Fault] = []
    end = _moment("to", to, faults) or now
    start = _moment("from", from_, faults) or min(end, now) - timedelta(hours=24)
    if faults:
        raise Invalid(*faults)
    if start >= now:
        raise Invalid(
            Fault(
                "from",
                "in_the_future",
                "from ({from_}) is in the future: nothing is measured yet",
                "Give a moment before now; to may lie ahead, and is now by default",
                values={"from_": start.isoformat()},
            )
        )
    start, end = _in_order(start, end)
    return Period(start, min(end, now))


def parse_plan_period(
    from_: Annotated[str | None, from_query("30 days back")] = None,
    to: Annotated[str | None, to_query("90 days ahead")] = None,
    period: PeriodName = None,
) -> Period:
    """For plans: default 30 days back to 90 days ahead. Raises Invalid with every wrong parameter."""
    now = floor_second(utc_now())
    if period is not None:
        _require_alone(from_, to)
        return parse_month(period) or parse_period(period, now)
    faults: list[Fault] = []
    end, start = _moment("to", to, faults), _moment("from", from_, faults)
    if faults:
        raise Invalid(*faults)
    return Period(*_in_order(start or min(now, end or now) - BACK, end or max(now, start or now) + AHEAD))


def parse_bounds(
    from_: Annotated[str | None, from_query("the beginning")] = None,
    to: Annotated[str | None, to_query("none")] = None,
    period: PeriodName = None,
) -> Bounds:
    """For records that are kept for good: unbounded by default. Raises Invalid with every wrong parameter."""
    if period is not None:
        _require_alone(from_, to)
        month = parse_month(period)
        return (month.start, month.end) if month else (parse_period(period, floor_second(utc_now())).start, None)
    faults: list[Fault] = []
    start, end = _moment("from", from_, faults), _moment("to", to, faults)
    if faults:
        raise Invalid(*faults)
    return _in_order(start, end) if start and end else (start, end)


def _require_alone(*others: str | None) -> None:
    if any(other is not None for other in others):
        raise Invalid(Fault("period", "period_and_from", "Give either period, or from and to"))


def _in_order(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    start, end = floor_second(start), floor_second(end)
    if end <= start:
        raise Invalid(
            Fault(
                "to",
                "to_before_from",
                "to ({to}) is not after from ({from_})",
                "Are they swapped?" if end < start else "to is exclusive: give a later one",
                values={"to": end.isoformat(), "from_": start.isoformat()},
            )
        )
    return start, end


def _moment(field: str, value: str | None, faults: list[Fault]) -> datetime | None:
    if value is None:
        return None
    try:
        return read_moment(field, value)
    except FaultError as error:
        faults.append(error.fault)
        return None


async def _past_period(from_: From = None, to: To = None, period: PeriodName = None) -> Period:
    return parse_past_period(from_, to, period)


PeriodParam = Annotated[Period, Depends(_past_period)]
PlanPeriodParam = Annotated[Period, Depends(parse_plan_period)]
BoundsParam = Annotated[Bounds, Depends(parse_bounds)]
