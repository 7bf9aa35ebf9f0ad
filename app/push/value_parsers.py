"""Parsers for single JSON values of a push; times come out in whole microseconds. All of them raise RejectedValue."""

import base64
import binascii
import re
from contextlib import suppress
from datetime import datetime
from typing import Any

from app.core.validation import EXAMPLE_MOMENT, as_text
from app.push import rejections
from probes.starlink_terminal import MAX_ANSWER

MAX_COUNT, MAX_SEQ = 2**31 - 1, 2**53
MAX_RTT_MS = 60_000
MAX_UPTIME_S = 10**9  # 31 years
MAX_MOMENT_S = 253_402_300_799  # the end of the year 9999
MAX_EPOCHS = 32
MIN_MOMENT_MS = 10**11  # a number from here on counts milliseconds, not seconds
BOOT = re.compile(r"[A-Za-z0-9_-]{1,32}")
AGENT = re.compile(r"[ -~]{1,60}")
UPTIME = re.compile(
    r"(?:(\d{1,5})w)?(?:(\d{1,6})d)?(?:(\d{1,6}):(\d\d):(\d\d(?:\.\d{1,9})?)|(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?)"
)
UPTIME_UNITS_S = (604_800, 86_400, 3_600, 60, 1, 3_600, 60, 1)


class RejectedValue(Exception):  # a row's fault on its way up
    def __init__(self, field: str, code: str, **values: Any) -> None:
        self.fault = rejections.fault(field, code, **values)


def parse_rtt_us(field: str, value: Any) -> int:
    if type(value) is not float and type(value) is not int:
        raise not_a_number(field, value)
    if not 0 <= value <= MAX_RTT_MS:
        raise RejectedValue(field, "out_of_range", given=as_text(value), max=MAX_RTT_MS)
    return round(value * 1000)


def parse_boot(field: str, value: Any) -> str:
    if type(value) is not str or BOOT.fullmatch(value) is None:
        raise RejectedValue(field, "bad_boot", given=as_text(value))
    return value


def parse_agent(field: str, value: Any) -> str:
    if type(value) is not str or AGENT.fullmatch(value) is None:
        raise RejectedValue(field, "bad_agent", given=as_text(value))
    return value


def parse_count(field: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise not_whole(field, value, MAX_COUNT)
    return value


def parse_seq(field: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_SEQ:
        raise not_whole(field, value, MAX_SEQ)
    return value


def parse_starlink(field: str, value: Any) -> bytes:
    """Return what a terminal answered; whether it is an answer is for who reads it."""
    if type(value) is str and len(value) <= MAX_ANSWER * 4 // 3 + 4:
        with suppress(binascii.Error, ValueError):
            answer = base64.b64decode(value, validate=True)
            if 0 < len(answer) <= MAX_ANSWER:
                return answer
    raise RejectedValue(field, "bad_starlink", max=MAX_ANSWER)


def parse_uptime_us(field: str, value: Any) -> int:
    """Parse seconds, or a text as RouterOS writes it: 1w2d03:04:05."""
    if type(value) is str:
        seconds = _uptime_text_s(field, value)
    elif type(value) is int or type(value) is float:
        seconds = value
    else:
        raise not_a_number(field, value)
    if not 0 <= seconds <= MAX_UPTIME_S:
        raise RejectedValue(field, "out_of_range", given=as_text(value), max=MAX_UPTIME_S)
    return round(seconds * 1_000_000)


def _uptime_text_s(field: str, value: str) -> float:
    match = UPTIME.fullmatch(value) if value else None
    if match is None:
        raise RejectedValue(field, "bad_uptime", given=as_text(value))
    return sum(float(part) * unit_s for part, unit_s in zip(match.groups(), UPTIME_UNITS_S, strict=True) if part)


def parse_moment_us(field: str, value: Any) -> int:
    """Parse ISO 8601 with an offset, or seconds or milliseconds since 1970; return microseconds since 1970."""
    if type(value) is str:
        return _moment_text_us(field, value)
    if type(value) is not int and type(value) is not float:
        raise _bad_time(field, value)
    seconds = value / 1000 if value >= MIN_MOMENT_MS else value
    if not 0 <= seconds <= MAX_MOMENT_S:
        raise _bad_time(field, value)
    return round(seconds * 1_000_000)


def _moment_text_us(field: str, value: str) -> int:
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise RejectedValue(field, "naive_time", given=as_text(value))
        return round(moment.timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        raise _bad_time(field, value) from None


def parse_epochs_us(field: str, value: Any) -> dict[str, int]:
    """Parse seconds since 1970 by boot; return microseconds."""
    if type(value) is not dict or len(value) > MAX_EPOCHS:
        raise RejectedValue(field, "bad_epochs", given=as_text(value), max=MAX_EPOCHS)
    return {parse_boot(field, boot): _epoch_us(field, seconds) for boot, seconds in value.items()}


def _epoch_us(field: str, seconds: Any) -> int:
    if type(seconds) is not int and type(seconds) is not float:
        raise not_a_number(field, seconds)
    if not 0 <= seconds <= MAX_MOMENT_S:
        raise RejectedValue(field, "out_of_range", given=as_text(seconds), max=MAX_MOMENT_S)
    return round(seconds * 1_000_000)


def _bad_time(field: str, value: Any) -> RejectedValue:
    return RejectedValue(field, "bad_time", given=as_text(value), example=EXAMPLE_MOMENT)


def missing(field: str) -> RejectedValue:
    return RejectedValue(field, "missing")


def not_a_number(field: str, value: Any) -> RejectedValue:
    return RejectedValue(field, "not_a_number", given=as_text(value))


def not_whole(field: str, value: Any, maximum: int) -> RejectedValue:
    """The fault of a value that is not a whole number from 0 to `maximum`: missing, not_whole or out_of_range."""
    if value is None:
        return missing(field)
    if type(value) is int or (type(value) is float and value.is_integer()):
        return RejectedValue(field, "out_of_range", given=as_text(value), max=maximum)
    return RejectedValue(field, "not_whole", given=as_text(value))
