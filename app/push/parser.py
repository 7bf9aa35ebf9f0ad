"""What a device sends, read by hand: a row costs a few microseconds, and one bad row spoils no other.

A row that cannot be used becomes a Fault with its number (0 is the first). Only a body that is no push is Invalid.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import orjson

from app.core.errors import Fault, Invalid, TooLarge
from app.core.validation import MESSAGES, as_text
from app.push import values

MOST_ROWS, MOST_SENT, LARGEST_SEQ = 1000, 100, 2**53
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
        return Fault(
            "body",
            "not_a_number",
            "JSON has no {given} (character {position}): leave the value out",
            values={"given": found[0].decode(), "position": error.pos + 1},
        )
    said = f"{error.msg} (line {error.lineno}, character {error.colno})"
    return Fault("body", "json_invalid", MESSAGES["json_invalid"], values={"error": said})


def read(body: dict[str, Any]) -> Push:
    """Raises TooLarge for too many rows, Invalid for a batch that is no list."""
    batch = body.get("batch")
    if batch is None:
        return _read_beat(body)
    if type(batch) is not list:
        raise Invalid(Fault("batch", "list_type", MESSAGES["list_type"], values={"given": as_text(batch)}))
    if len(batch) > MOST_ROWS:
        raise TooLarge(
            "At most {most} rows fit in a batch, this one has {given}: send several",
            values={"most": MOST_ROWS, "given": len(batch)},
        )
    push = Push(live=False)
    _read_sender(push, body, "sent_at" if body.get("sent_at") is not None else "clock")
    for number, raw in enumerate(batch):
        try:
            push.rows.append(_read_row(number, raw, push.boot))
        except values.Wrong as error:
            push.faults.append(_numbered(error.fault, number))
    if push.boot is None and push.rows:
        push.boot = push.rows[-1].boot
    return push


def _read_beat(body: dict[str, Any]) -> Push:
    push = Push(live=True)
    _read_sender(push, body, "clock")
    try:
        row = _read_row(0, body, None)
    except values.Wrong as error:
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
        ("boot", "boot", values.boot),
        ("uptime_s", "uptime_us", values.uptime),
        (moment, "sent_us", values.moment),
        ("clients", "clients", values.count),
        ("agent", "agent", values.agent),
        ("waiting", "waiting", values.count),
        ("dropped", "dropped", values.count),
    ):
        if (value := body.get(name)) is not None:
            try:
                setattr(push, to, read_one(name, value))
            except values.Wrong as error:
                push.faults.append(error.fault)


def _numbered(fault: Fault, number: int) -> Fault:
    return replace(fault, row=number)


def _read_row(number: int, raw: Any, boot: str | None) -> Measured:
    if type(raw) is not dict:
        raise values.Wrong("row", "not_an_object", given=as_text(raw))
    get = raw.get
    if (own := get("boot")) is not None:
        boot = own if own == boot else values.boot("boot", own)
    elif boot is None:
        raise values.missing("boot")
    seq, sent, uptime, clock = get("seq"), get("sent"), get("uptime_s"), get("clock")
    if type(seq) is not int or not 0 <= seq <= LARGEST_SEQ:
        raise values.not_whole("seq", seq, LARGEST_SEQ)
    if type(sent) is not int or not 0 <= sent <= MOST_SENT:
        raise values.not_whole("sent", sent, MOST_SENT)
    if (clients := get("clients")) is not None:
        values.count("clients", clients)
    if (rtts := get("rtt_ms")) is None:
        rtt_us = _summary(get, sent)
    elif type(rtts) is not list:
        raise values.Wrong("rtt_ms", "not_a_list", given=as_text(rtts))
    elif len(rtts) > sent:
        raise values.Wrong("rtt_ms", "too_many_answers", received=len(rtts), sent=sent)
    else:
        rtt_us = [values.rtt_us("rtt_ms", rtt) for rtt in rtts]
    return Measured(
        number,
        boot,
        seq,
        None if uptime is None else values.uptime("uptime_s", uptime),
        None if clock is None else values.moment("clock", clock),
        sent,
        rtt_us,
    )


def _summary(get: Any, sent: int) -> list[int]:
    """Round trips out of what a router tells of them: as many as were received, with its minimum, average and maximum.

    One is the average; of more the first is the minimum, the last the maximum, and those between share what is left of
    the average, held between the two.
    """
    received = get("received")
    if received is None:
        raise values.missing("rtt_ms")
    if type(received) is not int or received < 0:
        raise values.not_whole("received", received, MOST_SENT)
    if received > sent:
        raise values.Wrong("received", "too_many_answers", received=received, sent=sent)
    if received == 0:
        return []
    low, mean, high = (
        None if (value := get(name)) is None else values.rtt_us(name, value)
        for name in ("rtt_min_ms", "rtt_avg_ms", "rtt_max_ms")
    )
    if mean is None:
        if low is None or high is None:
            raise values.missing("rtt_avg_ms")
        mean = (low + high) // 2
    low, high = mean if low is None else low, mean if high is None else high
    if low > high:
        raise values.Wrong("rtt_min_ms", "wrong_order", given=as_text(get("rtt_min_ms")))
    if received == 1:
        return [min(max(mean, low), high)]
    between = (received * mean - low - high) // (received - 2) if received > 2 else 0
    return [low, *[min(max(between, low), high)] * (received - 2), high]
