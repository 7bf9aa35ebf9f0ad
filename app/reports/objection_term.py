"""Until when the provider may object: the end of a working day (WITA). Public holidays are not known here. Pure."""

from datetime import date, datetime, timedelta

from app.core.clock import WITA, midnight

WORKING_DAYS = 5  # by default
MOST_DAYS = 60
SATURDAY = 5


def default_until(now: datetime) -> datetime:
    """Return the end of the fifth working day after today."""
    return after_working_days(now, WORKING_DAYS)


def after_working_days(now: datetime, count: int) -> datetime:
    """Return the end of the working day that many working days after today."""
    day = today = now.astimezone(WITA).date()
    while count:
        day += timedelta(days=1)
        count -= day.weekday() < SATURDAY
    return end_of(day if day > today else today)


def end_of(day: date) -> datetime:
    return midnight(day + timedelta(days=1))


def last_day(until: datetime) -> date:
    """Return the last day (WITA) of a term that ends at that moment."""
    return (until - timedelta(seconds=1)).astimezone(WITA).date()


def allowed_days(now: datetime) -> tuple[date, date]:
    """Return the first and the last day that may be chosen as the last one for objections: at least a working day."""
    first = after_working_days(now, 1).astimezone(WITA).date() - timedelta(days=1)
    return first, now.astimezone(WITA).date() + timedelta(days=MOST_DAYS)
