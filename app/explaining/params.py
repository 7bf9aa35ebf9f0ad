"""The second that a request asks about."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query

from app.core.clock import floor_second, utc_now
from app.core.errors import Fault, Invalid
from app.core.validation import EXAMPLE_MOMENT, FaultError, read_moment
from app.web.period_params import MAX_TIME


def _read_second(
    at: Annotated[
        str | None,
        Query(
            max_length=MAX_TIME,
            description="the second: ISO 8601 with offset, or epoch ms; default now",
            examples=[EXAMPLE_MOMENT],
        ),
    ] = None,
) -> datetime:
    """Raises Invalid for what is no moment, and for the future."""
    now = utc_now()
    try:
        moment = floor_second(now if at is None else read_moment("at", at))
    except FaultError as error:
        raise Invalid(error.fault) from None
    if moment > now:
        raise Invalid(
            Fault(
                "at",
                "in_the_future",
                "{given} is in the future: nothing is measured yet",
                "Give a moment before now",
                values={"given": moment.isoformat()},
            )
        )
    return moment


PastSecond = Annotated[datetime, Depends(_read_second)]
