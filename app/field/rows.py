"""What a device sends, read by hand: a row costs a few microseconds, and one bad row spoils no other.

A row that cannot be used becomes a Fault with its number (0 is the first). Only a body that is no push is Invalid.
"""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from app.errors import Fault, Invalid, TooLarge
from app.field import verdicts
from app.validation import EXAMPLE_MOMENT, MESSAGES, shown

MOST_ROWS, MOST_SENT = 1000, 100
LARGEST_SEQ, LARGEST_COUNT = 2**53, 2**31 - 1
LARGEST_RTT_MS = 60_000
LONGEST_UP_S = 10**9  # 31 years
LAST_MOMENT_S, MS_FROM = 253_402_300_799, 10**11  # the end of 9999; a number from there on counts milliseconds
BOOT = re.compile(r"[A-Za-z0-9_-]{1,32}")
AGENT = re.compile(r"[ -~]{1,60}")
UPTIME = re.compile(
    r"(?:(\d{1,5})w)?(?:(\d{1,6})d)?(?:(\d{1,6}):(\d\d):(\d\d(?:\.\d{1,9})?)|(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?)"
)
UNIT_S = (604_800, 86_400, 3_600, 60, 1, 3_600, 60, 1)
NOT_JSON = re.compile(rb"NaN|Inf(inity)?", re.IGNORECASE)


class Measured(NamedTuple):
    """A row as its device told it; moments in microseconds, `clock_us` since 1970 by the device's own clock."""

    number: int
    boot: str
    seq: int
    uptime_us: int | None
    clock_us: int | None
    sent: int
    rtt_us: list[int]


@dataclass(slots=True)
class Push:
    """A whole request. `live`: one row that was measured right now; a batch says with the fields what it is when sent.

    `boot` is the sender's: of a batch that says none, the boot of its last row.
    """

    live: bool
    boot: str | None = None
    uptime_us: int | None = None
    sent_us: int | None = None
    clients: int | None = None
    agent: str | None = None
    waiting: int | None = None
    dropped: int | None = None
    rows: list[Measured] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


class _Wrong(Exception):  # a row's fault on its way up
    def __init__(self, field: str, code: str, **values: Any) -> None:
        self.fault = verdicts.fault(field, code, **values)


def load(body: bytes) -> dict[str, Any]:
    """Raises Invalid, with where it stops being JSON."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid(_unreadable(body, error)) from None
    if type(found) is not dict:
        raise Invalid(Fault("body", "model_type", MESSAGES["model_type"]))
    return found


def _unreadable(body: bytes, error: orjson.JSONDecodeError) -> Fault:
    at = len(body.decode(errors="replace")[: error.pos].encode())
    if found := NOT_JSON.match(body, at):
        return Fault("body", "not_a_number", "JSON has no {given} (character {position}): leave the value out",
                     values={"given": found[0].decode(), "position": error.pos + 1})  # fmt: skip
    said = f"{error.msg} (line {error.lineno}, character {error.colno})"
    return Fault("body", "json_invalid", MESSAGES["json_invalid"], values={"error": said})


def read(body: dict[str, Any]) -> Push:
    """Raises TooLarge for too many rows, Invalid for a batch that is no list."""
    batch = body.get("batch")
    if batch is None:
        return _read_beat(body)
    if type(batch) is not list:
        raise Invalid(Fault("batch", "list_type", MESSAGES["list_type"], values={"given": shown(batch)}))
    if len(batch) > MOST_ROWS:
        raise TooLarge("At most {most} rows fit in a batch, this one has {given}: send several",
                       values={"most": MOST_ROWS, "given": len(batch)})  # fmt: skip
    push = Push(live=False)
    _read_sender(push, body, "sent_at" if body.get("sent_at") is not None else "clock")
    for index, raw in enumerate(batch):
        try:
            push.rows.append(_read_row(index, raw, push.boot))
        except _Wrong as error:
            push.faults.append(_numbered(error.fault, index))
    if push.boot is None and push.rows:
        push.boot = push.rows[-1].boot
    return push


def _read_beat(body: dict[str, Any]) -> Push:
    push = Push(live=True)
    _read_sender(push, body, "clock")
    try:
        row = _read_row(0, body, None)
    except _Wrong as error:
        push.faults = [_numbered(error.fault, 0)]  # what else is wrong with it is wrong with the same row
    else:
        if push.faults:
            push.faults = [_numbered(push.faults[0], 0)]
        else:
            push.rows = [row]
    return push


def _read_sender(push: Push, body: dict[str, Any], moment: str) -> None:
    """What is wrong here makes a fault of no row; the rows that do without it stand."""
    for name, to, read_one in (
        ("boot", "boot", _boot), ("uptime_s", "uptime_us", _uptime), (moment, "sent_us", _moment),
        ("clients", "clients", _count), ("agent", "agent", _agent), ("waiting", "waiting", _count),
        ("dropped", "dropped", _count),
    ):  # fmt: skip
        if (value := body.get(name)) is not None:
            try:
                setattr(push, to, read_one(name, value))
            except _Wrong as error:
                push.faults.append(error.fault)


def _numbered(fault: Fault, index: int) -> Fault:
    return replace(fault, row=index)


def _read_row(index: int, raw: Any, boot: str | None) -> Measured:
    if type(raw) is not dict:
        raise _Wrong("row", "not_an_object", given=shown(raw))
    get = raw.get
    if (own := get("boot")) is not None:
        boot = own if own == boot else _boot("boot", own)
    elif boot is None:
        raise _missing("boot")
    seq, sent, uptime, clock = get("seq"), get("sent"), get("uptime_s"), get("clock")
    if type(seq) is not int or not 0 <= seq <= LARGEST_SEQ:
        raise _not_whole("seq", seq, LARGEST_SEQ)
    if type(sent) is not int or not 0 <= sent <= MOST_SENT:
        raise _not_whole("sent", sent, MOST_SENT)
    if (clients := get("clients")) is not None:
        _count("clients", clients)
    if (rtts := get("rtt_ms")) is None:
        rtt_us = _summary(get, sent)
    elif type(rtts) is list:
        rtt_us = [_rtt_us("rtt_ms", rtt) for rtt in rtts] if len(rtts) <= sent else _too_many(len(rtts), sent)
    else:
        raise _Wrong("rtt_ms", "not_a_list", given=shown(rtts))
    return Measured(
        index, boot, seq,
        None if uptime is None else _uptime("uptime_s", uptime),
        None if clock is None else _moment("clock", clock),
        sent, rtt_us,
    )  # fmt: skip


def _summary(get: Any, sent: int) -> list[int]:
    """Round trips out of what a router tells of them: as many as were received, with its minimum, average and maximum.

    One is the average; of more the first is the minimum, the last the maximum, and those between share what is left of
    the average, held between the two.
    """
    received = get("received")
    if received is None:
        raise _missing("rtt_ms")
    if type(received) is not int or received < 0:
        raise _not_whole("received", received, MOST_SENT)
    if received > sent:
        _too_many(received, sent)
    if received == 0:
        return []
    low, mean, high = (
        None if (value := get(name)) is None else _rtt_us(name, value)
        for name in ("rtt_min_ms", "rtt_avg_ms", "rtt_max_ms")
    )
    if mean is None:
        if low is None or high is None:
            raise _missing("rtt_avg_ms")
        mean = (low + high) // 2
    low, high = mean if low is None else low, mean if high is None else high
    if low > high:
        raise _Wrong("rtt_min_ms", "wrong_order", given=shown(get("rtt_min_ms")))
    if received == 1:
        return [min(max(mean, low), high)]
    between = (received * mean - low - high) // (received - 2) if received > 2 else 0
    return [low, *[min(max(between, low), high)] * (received - 2), high]


def _rtt_us(name: str, value: Any) -> int:
    if type(value) is not float and type(value) is not int:
        raise _not_a_number(name, value)
    if not 0 <= value <= LARGEST_RTT_MS:
        raise _Wrong(name, "out_of_range", given=shown(value), most=LARGEST_RTT_MS)
    return round(value * 1000)


def _too_many(received: int, sent: int) -> list[int]:
    raise _Wrong("received", "too_many_answers", received=received, sent=sent)


def _boot(name: str, value: Any) -> str:
    if type(value) is not str or BOOT.fullmatch(value) is None:
        raise _Wrong(name, "bad_boot", given=shown(value))
    return value


def _agent(name: str, value: Any) -> str:
    if type(value) is not str or AGENT.fullmatch(value) is None:
        raise _Wrong(name, "bad_agent", given=shown(value))
    return value


def _count(name: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value <= LARGEST_COUNT:
        raise _not_whole(name, value, LARGEST_COUNT)
    return value


def _uptime(name: str, value: Any) -> int:
    """In microseconds, from seconds or as RouterOS writes it: 1w2d03:04:05."""
    if type(value) is str:
        seconds = _spelt_uptime(name, value)
    elif type(value) is int or type(value) is float:
        seconds = value
    else:
        raise _not_a_number(name, value)
    if not 0 <= seconds <= LONGEST_UP_S:
        raise _Wrong(name, "out_of_range", given=shown(value), most=LONGEST_UP_S)
    return round(seconds * 1_000_000)


def _spelt_uptime(name: str, value: str) -> float:
    found = UPTIME.fullmatch(value) if value else None
    if found is None:
        raise _Wrong(name, "bad_uptime", given=shown(value))
    return sum(float(part) * unit for part, unit in zip(found.groups(), UNIT_S, strict=True) if part)


def _moment(name: str, value: Any) -> int:
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
            raise _Wrong(name, "naive_time", given=shown(value))
        return round(moment.timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        raise _bad_time(name, value) from None


def _bad_time(name: str, value: Any) -> _Wrong:
    return _Wrong(name, "bad_time", given=shown(value), example=EXAMPLE_MOMENT)


def _missing(name: str) -> _Wrong:
    return _Wrong(name, "missing")


def _not_a_number(name: str, value: Any) -> _Wrong:
    return _Wrong(name, "not_a_number", given=shown(value))


def _not_whole(name: str, value: Any, most: int) -> _Wrong:
    if value is None:
        return _missing(name)
    if type(value) is int or (type(value) is float and value.is_integer()):
        return _Wrong(name, "out_of_range", given=shown(value), most=most)
    return _Wrong(name, "not_whole", given=shown(value))
