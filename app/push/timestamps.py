"""Where in time a device's rows belong. Pure: no clock and no database.

A live beat belongs to the second in which it came. A row of a batch is placed by how long its device had been up
(exact, whatever its clock says), else by its clock, corrected by how far that was off when the batch was sent.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from app.core.errors import Fault
from app.push import rejections
from app.push.inbox import Row
from app.push.parser import Measured, Push
from probes.contract import Outcome

AHEAD_US = 60 * 1_000_000  # two readings of a clock and the way between them
KEPT_S = 7 * 86_400
ARRIVAL, CLAIMED, NOT_SENT = "arrival", "claimed", "not sent"

OK, TIMEOUT, FAULT = Outcome.OK.value, Outcome.TIMEOUT.value, Outcome.FAULT.value


class Terms(NamedTuple):
    """What a site's rows are placed by. `since`: the first second in which its agent measures it."""

    lifecycle: str
    since: int
    beat_s: int
    send_every_s: int


class Placed(NamedTuple):
    """A row and what becomes of it: one of `row` and `fault`. `live`: it says how the site is now."""

    measured: Measured
    row: Row | None
    fault: Fault | None = None
    live: bool = False


def place(push: Push, received_us: int, terms: Terms) -> list[Placed]:
    """In the order in which they came. No two of them share a second, none lies in the future."""
    if terms.lifecycle != "active":
        return [_refused(one, "not_active", lifecycle=terms.lifecycle) for one in push.rows]
    now = received_us // 1_000_000
    if push.live:
        return [Placed(one, _row(one, now, terms.send_every_s, ok=True), live=True) for one in push.rows]
    placed: list[Placed] = []
    moments: list[tuple[int, Measured]] = []
    for one in push.rows:
        moment = _moment(one, push, received_us)
        if moment is None:
            placed.append(_refused(one, "no_clock"))
        elif moment > received_us + AHEAD_US:
            placed.append(_refused(one, "in_future", seconds=(moment - received_us) // 1_000_000))
        else:
            moments.append((min(moment, received_us), one))
    if moments:
        moments.sort(key=_when)
        placed += _spread(moments, now, terms)
    placed.sort(key=_number)
    return placed


def arrival(received_us: int, terms: Terms) -> Row:
    """That something came proves the link, though none of its rows says how it is now."""
    return Row(received_us // 1_000_000, OK, 0, (), terms.send_every_s, ARRIVAL)


def _when(one: tuple[int, Measured]) -> int:
    return one[0]


def _number(one: Placed) -> int:
    return one.measured.number


def _moment(one: Measured, push: Push, received_us: int) -> int | None:
    if one.uptime_us is not None and push.uptime_us is not None and one.boot == push.boot:
        return received_us - push.uptime_us + one.uptime_us
    if one.clock_us is not None and push.sent_us is not None:
        return one.clock_us + received_us - push.sent_us
    return None


def _spread(moments: Sequence[tuple[int, Measured]], now: int, terms: Terms) -> list[Placed]:
    slots = seconds_apart([moment // 1_000_000 for moment, _ in moments], now)
    oldest, recent = now - KEPT_S, now - 1.5 * terms.beat_s
    placed: list[Placed] = []
    for slot, (_, one) in zip(slots, moments, strict=True):
        if slot < oldest:
            placed.append(_refused(one, "too_old", days=(now - slot) // 86_400))
        elif slot < terms.since:
            placed.append(_refused(one, "before_site", since=datetime.fromtimestamp(terms.since, UTC).isoformat()))
        else:
            placed.append(Placed(one, _row(one, slot, terms.beat_s)))
    newest = placed[-1]
    if newest.row is not None and newest.row.slot >= recent:
        live = _row(newest.measured, newest.row.slot, terms.send_every_s, ok=True)
        placed[-1] = Placed(newest.measured, live, live=True)
    return placed


def seconds_apart(slots: list[int], last: int) -> list[int]:
    """Rising slots, none after `last`: each moves to the next free second; where that ends in the future, all before it
    move back."""
    before = slots[0] - 1
    for number, slot in enumerate(slots):
        before = slots[number] = max(slot, before + 1)
    after = last + 1
    for number in range(len(slots) - 1, -1, -1):
        if slots[number] < after:
            break
        after = slots[number] = after - 1
    return slots


def _row(one: Measured, slot: int, valid_s: int, *, ok: bool = False) -> Row:
    if ok:
        return Row(slot, OK, one.sent, one.rtt_us, valid_s, None)
    if one.rtt_us:
        return Row(slot, OK, one.sent, one.rtt_us, valid_s, CLAIMED)
    if one.sent:
        return Row(slot, TIMEOUT, one.sent, one.rtt_us, valid_s, CLAIMED)
    return Row(slot, FAULT, 0, one.rtt_us, valid_s, NOT_SENT)


def _refused(one: Measured, code: str, **values: object) -> Placed:
    return Placed(one, None, rejections.fault("row", code, row=one.number, **values))
