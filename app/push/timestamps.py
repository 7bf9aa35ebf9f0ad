"""Assigns each row of a push to a slot (a whole second). Pure: no clock and no database.

1. A live beat belongs to the second in which it was received.
2. A row of a batch is dated by its device's uptime, and by when that uptime was 0: as the service told this boot
   (`epochs`), exact however long the batch was on its way, and after the device has restarted.
3. Without it, a row of the sender's boot is dated by the uptime beside the batch, as if that had been sent on receipt.
4. Without a usable uptime it is dated by the device's clock, corrected by the clock's offset when the batch was sent.
5. Without any it is rejected (`no_clock`).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import NamedTuple

from app.core.errors import Fault
from app.judging.claims import LATE
from app.push import rejections
from app.push.parser import Push, PushRow
from probes.contract import AGENT, Outcome, Reading

FUTURE_TOLERANCE_US = 60 * 1_000_000  # covers two clock readings and the network between them
MAX_ON_ITS_WAY_US = 120 * 1_000_000  # a batch, from its stamp to its receipt: connecting, resending, a slow body
MAX_EPOCH_ERROR_US = 2 * 1_000_000
MAX_AGE_S = 7 * 86_400
ARRIVAL, STREAM, CLAIMED, NOT_SENT, BEFORE_TOKEN = "arrival", "stream", "claimed", "not sent", "before token"  # reasons
ARRIVALS = frozenset({ARRIVAL, STREAM})  # the device was heard, and measured nothing


class PushSite(NamedTuple):
    """What of a site decides where its rows belong and how long its readings are valid."""

    site_id: int
    lifecycle: str
    since: int  # the first second in which its agent measures it
    beat_s: int
    send_every_s: int
    token_since: int = 0  # the second in which its token was first used: it claims nothing of the time before
    stream_beat_s: int = 0  # 0: it holds no stream


class TimedRow(NamedTuple):
    """A row with either its `reading` or its `fault`. `live`: the reading reflects the site's current state."""

    row: PushRow
    reading: Reading | None
    fault: Fault | None = None
    live: bool = False


def assign_slots(push: Push, received_us: int, site: PushSite) -> list[TimedRow]:
    """Return the rows in the order of the batch. No two readings share a slot, and none is in the future."""
    if site.lifecycle != "active":
        return [_reject(row, "not_active", lifecycle=site.lifecycle) for row in push.rows]
    if push.live:
        slot = received_us // 1_000_000
        return [TimedRow(row, _live_reading(site, row, slot), live=True) for row in push.rows]
    timed: list[TimedRow] = []
    dated: list[tuple[int, PushRow]] = []
    since_us = site.since * 1_000_000
    epochs_us = epochs_of(push, received_us)
    for row in push.rows:
        measured_us = _measured_us(row, push, epochs_us, received_us)
        if measured_us is None:
            timed.append(_reject(row, "no_clock"))
        elif measured_us > received_us + FUTURE_TOLERANCE_US:
            timed.append(_reject(row, "in_future", seconds=(measured_us - received_us) // 1_000_000))
        else:
            if since_us - MAX_EPOCH_ERROR_US <= measured_us < since_us:
                measured_us = since_us  # an agent that began with its site
            dated.append((min(measured_us, received_us), row))
    if dated:
        dated.sort(key=itemgetter(0))
        timed += _assign_dated(dated, received_us // 1_000_000, site)
    timed.sort(key=lambda timed_row: timed_row.row.position)
    return timed


def arrival_reading(site: PushSite, received_us: int) -> Reading:
    """The reading for a push without a live row: its arrival proves the link."""
    slot = received_us // 1_000_000
    return Reading(site.site_id, slot, Outcome.OK, 0, (), site.send_every_s, ARRIVAL, AGENT)


def unheard(reading: Reading, site: PushSite) -> Reading:
    """Return a reading that nobody heard at the time: an answer in it is a mere claim, a loss still counts.

    An answer from before the first use of the token that it was sent with is nothing at all: while no token was valid
    no silence counted, so whoever ends one could have an outage be unknown, and claim it with the next.
    """
    outcome = Outcome.FAULT if reading.outcome is Outcome.OK else reading.outcome
    reason = reading.reason if reading.reason == NOT_SENT else LATE
    if outcome is Outcome.FAULT and reading.slot < site.token_since:
        reason = BEFORE_TOKEN
    return Reading(site.site_id, reading.slot, outcome, reading.sent, reading.rtt_us, site.beat_s, reason, AGENT)


def epochs_of(push: Push, received_us: int) -> dict[str, int]:
    """Return when the uptime of each boot was 0, as far as it can be told.

    The sender's own claim holds if by it the batch was sent just before it was received: else a clock has jumped.
    """
    epochs_us = dict(push.epochs_us)
    if push.boot is not None and push.uptime_us is not None:
        on_its_way_us = received_us - push.uptime_us - epochs_us.get(push.boot, 0)
        if push.boot not in epochs_us or not -MAX_EPOCH_ERROR_US <= on_its_way_us <= MAX_ON_ITS_WAY_US:
            epochs_us[push.boot] = received_us - push.uptime_us
    return epochs_us


def _measured_us(row: PushRow, push: Push, epochs_us: Mapping[str, int], received_us: int) -> int | None:
    if row.uptime_us is not None and (epoch_us := epochs_us.get(row.boot)) is not None:
        return epoch_us + row.uptime_us
    if row.clock_us is not None and push.sent_us is not None:
        return row.clock_us + received_us - push.sent_us
    return None


def _assign_dated(dated: Sequence[tuple[int, PushRow]], now: int, site: PushSite) -> list[TimedRow]:
    """`dated`: rows with their time of measurement in microseconds, in ascending order.

    The newest is live if it is recent and answered. A lost one says that the link was out then: what proves the link
    is the arrival of the push, at its receipt.
    """
    slots = distinct_slots([measured_us // 1_000_000 for measured_us, _ in dated], now)
    timed: list[TimedRow] = []
    for slot, (_, row) in zip(slots, dated, strict=True):
        if slot < now - MAX_AGE_S:
            timed.append(_reject(row, "too_old", days=(now - slot) // 86_400))
        elif slot < site.since:
            timed.append(_reject(row, "before_site", since=datetime.fromtimestamp(site.since, UTC).isoformat()))
        else:
            timed.append(TimedRow(row, _claimed_reading(site, row, slot)))
    newest = timed[-1]
    if newest.reading is not None and newest.row.rtt_us and newest.reading.slot >= now - 1.5 * site.beat_s:
        timed[-1] = TimedRow(newest.row, _live_reading(site, newest.row, newest.reading.slot), live=True)
    return timed


def distinct_slots(slots: list[int], last: int) -> list[int]:
    """Move ascending slots, none after `last`, apart in place so that no two are equal.

    1. Each moves forward to the next free second.
    2. Where that ends after `last`, those at the end move back.
    """
    before = slots[0] - 1
    for index, slot in enumerate(slots):
        before = slots[index] = max(slot, before + 1)
    after = last + 1
    for index in range(len(slots) - 1, -1, -1):
        if slots[index] < after:
            break
        after = slots[index] = after - 1
    return slots


def _live_reading(site: PushSite, row: PushRow, slot: int) -> Reading:
    """Up: a live beat, whatever the anchors replied, is an arrival that proves the link. Lost packets are recorded."""
    return Reading(site.site_id, slot, Outcome.OK, row.sent, row.rtt_us, site.send_every_s, None, AGENT)


def _claimed_reading(site: PushSite, row: PushRow, slot: int) -> Reading:
    outcome, reason = Outcome.OK, CLAIMED
    if not row.rtt_us:
        outcome, reason = (Outcome.TIMEOUT, CLAIMED) if row.sent else (Outcome.FAULT, NOT_SENT)
    return Reading(site.site_id, slot, outcome, row.sent, row.rtt_us, site.beat_s, reason, AGENT)


def _reject(row: PushRow, code: str, **values: object) -> TimedRow:
    return TimedRow(row, None, rejections.fault("row", code, row=row.position, **values))
