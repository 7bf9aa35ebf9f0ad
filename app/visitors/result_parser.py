"""Parses the results of a visitor's page by hand: an invalid row does not affect the others. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import orjson

from app.core.errors import Fault, Invalid, TooLarge
from app.core.validation import MESSAGES, as_text

MAX_ROWS, MAX_BYTES = 100, 100_000
MAX_SAMPLES, MAX_LOST, MAX_SEQ, MAX_RTT_MS = 20, 100, 2**53, 60_000
MAX_AGE_MS = 7 * 86_400_000
MAX_OFFLINE_S, MAX_TRANSFER_BYTES, MAX_TRANSFER_MS = 7 * 86_400, 2**40, 600_000
REJECTED = {
    "missing": "{field} is missing",
    "not_an_object": "{given} is not an object",
    "not_a_list": "{given} is not a list of numbers",
    "too_long": "{field} holds more than {max} values",
    "not_a_number": "{field} {given} is not a number",
    "not_whole": "{field} {given} is not a whole number",
    "out_of_range": "{field} {given} is not between {min} and {max}",
    "nothing_measured": "It holds neither a round trip, nor a lost one, nor a transfer",
}


@dataclass(frozen=True, slots=True)
class Transferred:
    """What the page says of a transfer."""

    bytes: int
    ms: float

    @property
    def mbps(self) -> float:
        return self.bytes * 8 / 1000 / self.ms


@dataclass(frozen=True, slots=True)
class ResultRow:
    seq: int
    age_ms: float
    rtt_us: tuple[int, ...]
    lost: int
    offline_s: int
    down: Transferred | None
    up: Transferred | None

    @property
    def median_rtt_us(self) -> int | None:
        return round(median(self.rtt_us)) if self.rtt_us else None


@dataclass(frozen=True, slots=True)
class ParsedResults:
    visit: str
    rows: list[ResultRow]
    faults: list[Fault]


class _Rejected(Exception):
    def __init__(self, field: str, code: str, **values: Any) -> None:
        self.fault = Fault(field, code, REJECTED[code], values={"field": field, **values})


def parse(body: bytes) -> ParsedResults:
    """Raises Invalid for a body that is none, TooLarge for too many rows."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid(Fault("body", "json_invalid", MESSAGES["json_invalid"], values={"error": error.msg})) from None
    if type(document) is not dict:
        raise Invalid(Fault("body", "model_type", MESSAGES["model_type"]))
    visit, results = document.get("visit"), document.get("results")
    if type(visit) is not str:
        raise Invalid(Fault("visit", "missing", MESSAGES["missing"]))
    if type(results) is not list:
        raise Invalid(Fault("results", "list_type", MESSAGES["list_type"], values={"given": as_text(results)}))
    if len(results) > MAX_ROWS:
        raise TooLarge(
            "At most {max} results a request, these are {given}: send several",
            values={"max": MAX_ROWS, "given": len(results)},
        )
    rows, faults = [], []
    for number, raw in enumerate(results):
        try:
            rows.append(_row(raw))
        except _Rejected as rejected:
            fault = rejected.fault
            faults.append(Fault(fault.field, fault.code, fault.message, row=number, values=fault.values))
    return ParsedResults(visit, rows, faults)


def _row(raw: Any) -> ResultRow:
    if type(raw) is not dict:
        raise _Rejected("row", "not_an_object", given=as_text(raw))
    row = ResultRow(
        _whole(raw, "seq", MAX_SEQ),
        _number(raw, "age_ms", MAX_AGE_MS),
        _round_trips(raw.get("rtt_ms")),
        _whole(raw, "lost", MAX_LOST, default=0),
        _whole(raw, "offline_s", MAX_OFFLINE_S, default=0),
        _transferred(raw.get("down"), "down"),
        _transferred(raw.get("up"), "up"),
    )
    if not row.rtt_us and not row.lost and row.down is None and row.up is None:
        raise _Rejected("rtt_ms", "nothing_measured")
    return row


def _round_trips(value: Any) -> tuple[int, ...]:
    if value is None:
        return ()
    if type(value) is not list:
        raise _Rejected("rtt_ms", "not_a_list", given=as_text(value))
    if len(value) > MAX_SAMPLES:
        raise _Rejected("rtt_ms", "too_long", max=MAX_SAMPLES)
    return tuple(round(_number({"rtt_ms": one}, "rtt_ms", MAX_RTT_MS) * 1000) for one in value)


def _transferred(value: Any, field: str) -> Transferred | None:
    if value is None:
        return None
    if type(value) is not dict:
        raise _Rejected(field, "not_an_object", given=as_text(value))
    size = _whole(value, "bytes", MAX_TRANSFER_BYTES, field=f"{field}.bytes")
    ms = _number(value, "ms", MAX_TRANSFER_MS, least=1, field=f"{field}.ms")
    return Transferred(size, ms)


def _whole(raw: Mapping[str, Any], name: str, most: int, *, default: int | None = None, field: str = "") -> int:
    value = raw.get(name)
    if value is None and default is not None:
        return default
    number = _number(raw, name, most, field=field)
    if number != int(number):
        raise _Rejected(field or name, "not_whole", given=as_text(value))
    return int(number)


def _number(raw: Mapping[str, Any], name: str, most: int, *, least: int = 0, field: str = "") -> float:
    value, field = raw.get(name), field or name
    if value is None:
        raise _Rejected(field, "missing")
    if type(value) is not int and type(value) is not float:
        raise _Rejected(field, "not_a_number", given=as_text(value))
    if not least <= value <= most:
        raise _Rejected(field, "out_of_range", given=as_text(value), min=least, max=most)
    return value
