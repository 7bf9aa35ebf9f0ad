from typing import Annotated

from fastapi import Depends, Query

from app.compliance.period import SamplePeriod, clipped_to_whole_days, parse_quarter, parse_sample_period
from app.core.clock import utc_now
from app.core.errors import Fault, Invalid
from app.core.periods import Period, last_whole_month
from app.web.period_params import from_query, parse_past_period, to_query

LAST_MONTH = "the last whole month"
WholePeriod = Annotated[
    str | None,
    Query(
        max_length=20,
        description="instead of from and to: a month like 2026-11, or a quarter like 2026-Q4; in WITA",
        examples=["2026-Q4"],
    ),
]


def read_period(
    from_: Annotated[str | None, from_query(LAST_MONTH)] = None,
    to: Annotated[str | None, to_query(LAST_MONTH)] = None,
    period: WholePeriod = None,
) -> Period:
    """Return whole days that are over; by default the last whole month. Raises Invalid with every wrong parameter."""
    now = utc_now()
    if from_ is None and to is None and period is None:
        return last_whole_month(now)
    quarter = parse_quarter(period) if period and from_ is None and to is None else None
    if quarter is not None and quarter.start >= now:
        raise Invalid(Fault("period", "in_the_future", "{given} is in the future", values={"given": period}))
    return clipped_to_whole_days(quarter or parse_past_period(from_, to, period), now)


def read_sample_period(
    period: Annotated[
        str | None,
        Query(min_length=1, max_length=20, description="only this month's or quarter's", examples=["2027-Q1"]),
    ] = None,
) -> SamplePeriod | None:
    """Raises Invalid."""
    return None if period is None else parse_sample_period(period)


CompliancePeriod = Annotated[Period, Depends(read_period)]
SamplePeriodParam = Annotated[SamplePeriod | None, Depends(read_sample_period)]
