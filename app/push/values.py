"""Single values of a row, read by hand; moments and times come out in whole microseconds. All of them raise Wrong."""

import re
from datetime import datetime
from typing import Any

from app.core.validation import EXAMPLE_MOMENT, as_text
from app.push import rejections

LARGEST_COUNT = 2**31 - 1
LARGEST_RTT_MS = 60_000
LONGEST_UP_S = 10**9  # 31 years
LAST_MOMENT_S, MS_FROM = 253_402_300_799, 10**11  # the end of 9999; a number from there on counts milliseconds
BOOT = re.compile(r"[A-Za-z0-9_-]{1,32}")
AGENT = re.compile(r"[ -~]{1,60}")
UPTIME = re.compile(
    r"(?:(\d{1,5})w)?(?:(\d{1,6})d)?(?:(\d{1,6}):(\d\d):(\d\d(?:\.\d{1,9})?)|(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?)"
)
UNIT_S = (604_800, 86_400, 3_600, 60, 1, 3_600, 60, 1)


class Wrong(Exception):  # a row's fault on its way up
    def __init__(self, field: str, code: str, **values: Any) -> None:
        self.fault = rejections.fault(field, code, **values)


def rtt_us(name: str, value: Any) -> int:
    if type(value) is not float and type(value) is not int:
        raise not_a_number(name, value)
    if not 0 <= value <= LARGEST_RTT_MS:
        raise Wrong(name, "out_of_range", given=as_text(value), most=LARGEST_RTT_MS)
    return round(value * 1000)


def boot(name: str, value: Any) -> str:
    if type(value) is not str or BOOT.fullmatch(value) is None:
        raise Wrong(name, "bad_boot", given=as_text(value))
    return value


def agent(name: str, value: Any) -> str:
    if type(value) is not str or AGENT.fullmatch(value) is None:
        raise Wrong(name, "bad_agent", given=as_text(value))
    return value


def count(name: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value <= LARGEST_COUNT:
        raise not_whole(name, value, LARGEST_COUNT)
    return value


def uptime(name: str, value: Any) -> int:
    """In microseconds, from seconds or as RouterOS writes it: 1w2d03:04:05."""
    if type(value) is str:
        seconds = _spelt_uptime(name, value)
    elif type(value) is int or type(value) is float:
        seconds = value
    else:
        raise not_a_number(name, value)
    if not 0 <= seconds <= LONGEST_UP_S:
        raise Wrong(name, "out_of_range", given=as_text(value), most=LONGEST_UP_S)
    return round(seconds * 1_000_000)


def _spelt_uptime(name: str, value: str) -> float:
    found = UPTIME.fullmatch(value) if value else None
    if found is None:
        raise Wrong(name, "bad_uptime", given=as_text(value))
    return sum(float(part) * unit for part, unit in zip(found.groups(), UNIT_S, strict=True) if part)


def moment(name: str, value: Any) -> int:
    """In microseconds since 1970, from ISO 8601 with an offset, or from seconds or milliseconds since 1970."""
    if type(value) is str:
        return _spelt_moment(name, value)
    if type(value) is not int and type(value) is not float:
        raise _bad_time(name, value)
    seconds = value / 1000 if value >= MS_FROM else value
    if not 0 <= seconds <= LAST_MOMENT_S:
        raise _bad_time(name, value)
    return round(seconds * 1_000_000)


def _spelt_moment(name: str, value: str) -> int:
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise Wrong(name, "naive_time", given=as_text(value))
        return round(moment.timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        raise _bad_time(name, value) from None


def _bad_time(name: str, value: Any) -> Wrong:
    return Wrong(name, "bad_time", given=as_text(value), example=EXAMPLE_MOMENT)


def missing(name: str) -> Wrong:
    return Wrong(name, "missing")


def not_a_number(name: str, value: Any) -> Wrong:
    return Wrong(name, "not_a_number", given=as_text(value))


def not_whole(name: str, value: Any, most: int) -> Wrong:
    if value is None:
        return missing(name)
    if type(value) is int or (type(value) is float and value.is_integer()):
        return Wrong(name, "out_of_range", given=as_text(value), most=most)
    return Wrong(name, "not_whole", given=as_text(value))
