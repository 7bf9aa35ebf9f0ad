"""Parses a push by hand: a row costs a few microseconds, and an invalid row does not affect the others.

A row that cannot be used becomes a Fault with its position in the batch. Only a body that is not a push is Invalid.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import orjson

from app.core.errors import Fault, Invalid, TooLarge
from app.core.validation import MESSAGES, as_text
from app.measurements.near import Near
from app.push import near_fields, value_parsers
from app.push.reported_breaks import DeviceBreak, parse_breaks
from app.push.value_parsers import RejectedValue

MAX_ROWS, MAX_SENT = 1000, 100
MAX_TOKEN = 100  # characters
MAX_COMMAS = 150_000  # a batch has 120,000 at most; a million empty values take long to parse
NOT_JSON = re.compile(rb"NaN|Inf(inity)?", re.IGNORECASE)


class PushRow(NamedTuple):
    """A row as its device sent it; times in microseconds, `clock_us` since 1970 by the device's own clock."""

    position: int  # in the batch, from 0
    boot: str
    seq: int
    uptime_us: int | None
    clock_us: int | None
    sent: int
    rtt_us: tuple[int, ...]
    near: Near | None = None


@dataclass(slots=True)
class Push:
    """A parsed request. `live`: one row measured just now; the fields beside a batch hold for when it was sent.

    `boot` is the sender's; where a batch does not state it, the boot of its last row.
    """

    live: bool
    boot: str | None = None
    uptime_us: int | None = None
    sent_us: int | None = None
    clients: int | None = None
    agent: str | None = None
    waiting: int | None = None
    dropped: int | None = None
    starlink: bytes | None = None  # what the site's terminal answered
    epochs_us: dict[str, int] = field(default_factory=dict)  # when each boot's uptime was 0, as the service told it
    rates: dict[str, int] = field(default_factory=dict)  # rx_bps, tx_bps
    breaks: list[DeviceBreak] = field(default_factory=list)  # of its stream
    rows: list[PushRow] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def load(body: bytes) -> dict[str, Any]:
    """Parse a JSON object. Raises Invalid with the position of the syntax error."""
    if body.count(b",") > MAX_COMMAS:
        raise Invalid(Fault("body", "too_many_values", MESSAGES["too_many_values"]))
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid(_syntax_fault(body, error)) from None
    if type(document) is not dict:
        raise Invalid(Fault("body", "model_type", MESSAGES["model_type"]))
    return document


def _syntax_fault(body: bytes, error: orjson.JSONDecodeError) -> Fault:
    offset = len(body.decode(errors="replace")[: error.pos].encode())
    if match := NOT_JSON.match(body, offset):
        return Fault(
            "body",
            "not_a_number",
            "JSON has no {given} (character {position}): leave the value out",
            values={"given": match[0].decode(), "position": error.pos + 1},
        )
    message = f"{error.msg} (line {error.lineno}, character {error.colno})"
    return Fault("body", "json_invalid", MESSAGES["json_invalid"], values={"error": message})


def parse(body: dict[str, Any]) -> Push:
    """Raises TooLarge for too many rows, Invalid for a batch that is not a list."""
    batch = body.get("batch")
    if batch is None:
        return _parse_beat(body)
    if type(batch) is not list:
        raise Invalid(Fault("batch", "list_type", MESSAGES["list_type"], values={"given": as_text(batch)}))
    if len(batch) > MAX_ROWS:
        raise TooLarge(
            "A batch holds at most {max} rows, this one has {given}: send several batches",
            values={"max": MAX_ROWS, "given": len(batch)},
        )
    push = Push(live=False)
    _parse_sender(push, body, "sent_at" if body.get("sent_at") is not None else "clock")
    _parse_value(push, body, "epochs", "epochs_us", value_parsers.parse_epochs_us)
    _parse_value(push, body, "breaks", "breaks", parse_breaks)
    for index, raw in enumerate(batch):
        try:
            push.rows.append(_parse_row(index, raw, push.boot, push.faults))
        except RejectedValue as error:
            push.faults.append(replace(error.fault, row=index))
    if push.boot is None and push.rows:
        push.boot = push.rows[-1].boot
    _parse_beside(push, body)
    return push


def _parse_beat(body: dict[str, Any]) -> Push:
    """A body without a batch is its own single row: any fault rejects that row, and only the first is reported."""
    push = Push(live=True)
    _parse_sender(push, body, "clock")
    beside: list[Fault] = []
    try:
        row = _parse_row(0, body, None, beside)
    except RejectedValue as error:
        push.faults = [replace(error.fault, row=0)]
    else:
        if push.faults:
            push.faults = [replace(push.faults[0], row=0)]
        else:
            push.rows, push.faults = [row], beside
    _parse_beside(push, body)
    return push


def _parse_beside(push: Push, body: dict[str, Any]) -> None:
    """Parse what devices tell beside their readings: a fault of it is its own, and rejects no row."""
    push.rates, faults = near_fields.parse_rates(body)
    push.faults += faults
    _parse_value(push, body, "starlink", "starlink", value_parsers.parse_starlink)


def _parse_sender(push: Push, body: dict[str, Any], clock_field: str) -> None:
    """Parse the fields beside the batch. Their faults belong to no row; rows that do without them are accepted."""
    parsers: tuple[tuple[str, str, Callable[[str, Any], Any]], ...] = (
        ("boot", "boot", value_parsers.parse_boot),
        ("uptime_s", "uptime_us", value_parsers.parse_uptime_us),
        (clock_field, "sent_us", value_parsers.parse_moment_us),
        ("clients", "clients", value_parsers.parse_count),
        ("agent", "agent", value_parsers.parse_agent),
        ("waiting", "waiting", value_parsers.parse_count),
        ("dropped", "dropped", value_parsers.parse_count),
    )
    for name, attribute, parse_value in parsers:
        _parse_value(push, body, name, attribute, parse_value)


def _parse_value(
    push: Push, body: dict[str, Any], name: str, attribute: str, parse_value: Callable[[str, Any], Any]
) -> None:
    if (value := body.get(name)) is not None:
        try:
            setattr(push, attribute, parse_value(name, value))
        except RejectedValue as error:
            push.faults.append(error.fault)


def _parse_row(index: int, raw: Any, sender_boot: str | None, beside: list[Fault]) -> PushRow:
    """Add the faults of fields that the row does without to `beside`."""
    if type(raw) is not dict:
        raise RejectedValue("row", "not_an_object", given=as_text(raw))
    get = raw.get
    boot = sender_boot
    if (own_boot := get("boot")) is not None:
        boot = own_boot if own_boot == sender_boot else value_parsers.parse_boot("boot", own_boot)
    if boot is None:
        raise value_parsers.missing("boot")
    seq = value_parsers.parse_seq("seq", get("seq"))
    sent, uptime, clock = get("sent"), get("uptime_s"), get("clock")
    if type(sent) is not int or not 0 <= sent <= MAX_SENT:
        raise value_parsers.not_whole("sent", sent, MAX_SENT)
    if (clients := get("clients")) is not None:
        value_parsers.parse_count("clients", clients)
    rtt_us = _parse_round_trips(get, sent)
    near, faults = near_fields.parse_near(get)
    if faults:
        beside += [replace(fault, row=index) for fault in faults]
    return PushRow(
        index,
        boot,
        seq,
        None if uptime is None else value_parsers.parse_uptime_us("uptime_s", uptime),
        None if clock is None else value_parsers.parse_moment_us("clock", clock),
        sent,
        rtt_us,
        near,
    )


def _parse_round_trips(get: Callable[[str], Any], sent: int) -> tuple[int, ...]:
    values = get("rtt_ms")
    if values is None:
        return _round_trips_of_summary(get, sent)
    if type(values) is not list:
        raise RejectedValue("rtt_ms", "not_a_list", given=as_text(values))
    if len(values) > sent:
        raise RejectedValue("rtt_ms", "too_many_answers", received=len(values), sent=sent)
    return tuple([value_parsers.parse_rtt_us("rtt_ms", value) for value in values])


def _round_trips_of_summary(get: Callable[[str], Any], sent: int) -> tuple[int, ...]:
    """Return as many round trips as were received, with the minimum, average and maximum that a router reports.

    A single one is the average. Of several, the first is the minimum, the last the maximum, and those between share the
    rest of the average, clamped between the two.
    """
    received = get("received")
    if received is None:
        raise value_parsers.missing("rtt_ms")
    if type(received) is not int or received < 0:
        raise value_parsers.not_whole("received", received, MAX_SENT)
    if received > sent:
        raise RejectedValue("received", "too_many_answers", received=received, sent=sent)
    if received == 0:
        return ()
    low, mean, high = (
        None if (value := get(name)) is None else value_parsers.parse_rtt_us(name, value)
        for name in ("rtt_min_ms", "rtt_avg_ms", "rtt_max_ms")
    )
    if mean is None:
        if low is None or high is None:
            raise value_parsers.missing("rtt_avg_ms")
        mean = (low + high) // 2
    low, high = mean if low is None else low, mean if high is None else high
    if low > high:
        raise RejectedValue("rtt_min_ms", "wrong_order", given=as_text(get("rtt_min_ms")))
    if received == 1:
        return (min(max(mean, low), high),)
    between = (received * mean - low - high) // (received - 2) if received > 2 else 0
    return (low, *[min(max(between, low), high)] * (received - 2), high)
