"""The period that a request asks for: `from`, `to` and `period` of the query, checked."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Query

from app.clock import NaiveTime, floor_second, parse_moment, utc_now
from app.errors import Fault, Invalid
from app.periods import Period, named_period

EXAMPLE = "2026-11-24T06:00:00+08:00"


def asked_period(
    from_: Annotated[
        str | None,
        Query(
            alias="from", description="ISO 8601 with offset, epoch ms, or a date (midnight WITA)", examples=[EXAMPLE]
        ),
    ] = None,
    to: Annotated[str | None, Query(description="exclusive; like from; default now", examples=[EXAMPLE])] = None,
    period: Annotated[
        str | None, Query(description="instead of from and to", examples=["24h", "7d", "2026-11"])
    ] = None,
) -> Period:
    """Raises Invalid with every parameter that is wrong."""
    now = floor_second(utc_now())
    if period is not None:
        if from_ is not None or to is not None:
            raise Invalid(Fault("period", "period_and_from", "Give either period, or from and to"))
        return named_period(period, now)
    faults: list[Fault] = []
    end = _moment("to", to, faults) or now
    start = _moment("from", from_, faults) or min(end, now) - timedelta(hours=24)
    if faults:
        raise Invalid(*faults)
    start, end = floor_second(start), floor_second(end)
    if end <= start:
        raise Invalid(Fault("to", "to_before_from", "to ({to}) is not after from ({from_})", "Swap them, perhaps",
                            values={"to": end.isoformat(), "from_": start.isoformat()}))  # fmt: skip
    if start >= now:
        raise Invalid(Fault("from", "in_the_future", "from lies in the future: nothing has been measured there yet"))
    return Period(start, min(end, now))


def _moment(field: str, given: str | None, faults: list[Fault]) -> datetime | None:
    if given is None:
        return None
    values = {"given": given[:60], "example": EXAMPLE}
    try:
        return parse_moment(given)
    except NaiveTime:
        faults.append(Fault(field, "naive_time", "{given} has no offset: which hour it means depends on who reads it",
                            "Add the offset, for WITA: {example}", values=values))  # fmt: skip
    except (ValueError, OverflowError, OSError):
        faults.append(Fault(field, "bad_time", "{given} is not a time", "Write it like {example}", values=values))
    return None


Asked = Annotated[Period, Depends(asked_period)]
