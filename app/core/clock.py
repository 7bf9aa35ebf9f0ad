"""Time: stored in UTC, cut into days in WITA; and a slot clock that steps of the wall clock do not affect."""

import re
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone

WITA = timezone(timedelta(hours=8), "WITA")  # Asia/Makassar, which has no daylight saving time
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
WITA_SQL = "'Asia/Makassar'"  # the same zone as an SQL literal, for AT TIME ZONE and date_trunc


class NaiveTime(ValueError):
    """A date and time without a UTC offset: ambiguous."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def today() -> date:
    """In WITA."""
    return utc_now().astimezone(WITA).date()


def to_wita(moment: datetime) -> datetime:
    """The same moment with WITA's offset."""
    return moment.astimezone(WITA)


def month_of(moment: datetime) -> date:
    """Return the first day of the moment's month, WITA."""
    return moment.astimezone(WITA).date().replace(day=1)


def floor_second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def from_slot(slot: int) -> datetime:
    return datetime.fromtimestamp(slot, UTC)


def to_slot(moment: datetime) -> int:
    return int(moment.timestamp() // 1)


def to_micros(moment: datetime) -> int:
    """Return microseconds since 1970, exactly."""
    return (moment - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def parse_moment(text: str) -> datetime:
    """Parse ISO 8601 with offset, epoch milliseconds, or a bare date (midnight WITA) into UTC.

    An unescaped `+` in a URL arrives as a space and is accepted. Raises NaiveTime or ValueError.
    """
    moment = _parse_any(text)
    if not 2000 <= moment.year < 9000:
        raise ValueError("outside of the years 2000 to 8999, beyond which arithmetic may overflow")
    return moment


def _parse_any(text: str) -> datetime:
    if re.fullmatch(r"[0-9]{9,15}", text):
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return midnight(date.fromisoformat(text))
    moment = datetime.fromisoformat(re.sub(r" (\d{2}:?\d{2})$", r"+\1", text.strip()))
    if moment.tzinfo is None:
        raise NaiveTime(text)
    return moment.astimezone(UTC)


def midnight(day: date) -> datetime:
    """The day's first moment in WITA, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=WITA).astimezone(UTC)


class SlotClock:
    """Seconds since 1970, anchored to the monotonic clock: runs evenly even while the wall clock is stepped."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._read_wall = wall
        self.reanchor()

    def reanchor(self) -> None:
        """Start anew from the wall clock."""
        self._wall = self._read_wall()
        self._monotonic = time.monotonic()

    def now(self) -> float:
        return self._wall + time.monotonic() - self._monotonic

    def step_s(self) -> float:
        """Return how far the wall clock has moved away from this one; positive when it jumped ahead."""
        return self._read_wall() - self.now()
