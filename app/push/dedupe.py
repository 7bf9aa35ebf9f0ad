"""Decides which rows of a push are new, and what it changes of its device. Pure: the caller has locked the receipts."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from operator import attrgetter
from typing import Any

from app.core.clock import month_of, to_slot
from app.core.errors import Fault
from app.core.freshness import overdue_after
from app.judging.claims import is_claim
from app.push.last_push import LastPush, heard_since
from app.push.near_rows import NearState
from app.push.parser import Push
from app.push.timestamps import PushSite, TimedRow, arrival_reading, unheard
from app.throughput.speedtest_grants import OpenGrant
from probes.contract import Reading

OVERHEAD_BYTES = 7_800  # headers, TLS handshake and acknowledgements, as measured (tests/benchmarks/push_bytes.py)
MAX_RANGES = 2_000  # beyond it the oldest gaps count as received: an agent with so many does not count by one


class SequenceRanges:
    """A set of sequence numbers, read from and written as PostgreSQL's int8multirange of `[first, next)`."""

    def __init__(self, text: str = "{}") -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for bound in text[1:-1].replace("[", "").replace(")", "").split(",") if text != "{}" else ():
            (self._starts if len(self._starts) == len(self._ends) else self._ends).append(int(bound))

    def __contains__(self, seq: int) -> bool:
        index = bisect_right(self._starts, seq) - 1
        return index >= 0 and seq < self._ends[index]

    def add(self, seq: int) -> bool:
        """Return whether it is new."""
        starts, ends = self._starts, self._ends
        index = bisect_right(starts, seq)  # the first range that begins after it
        if index and seq < ends[index - 1]:
            return False
        extends_previous = bool(index) and ends[index - 1] == seq
        extends_next = index < len(starts) and starts[index] == seq + 1
        if extends_previous and extends_next:
            ends[index - 1] = ends.pop(index)
            del starts[index]
        elif extends_previous:
            ends[index - 1] = seq + 1
        elif extends_next:
            starts[index] = seq
        else:
            starts.insert(index, seq)
            ends.insert(index, seq + 1)
        return True

    def __str__(self) -> str:
        if (excess := len(self._starts) - MAX_RANGES) > 0:
            del self._starts[1 : excess + 1]
            del self._ends[:excess]
        return "{" + ",".join(f"[{start},{end})" for start, end in zip(self._starts, self._ends, strict=True)) + "}"


@dataclass(slots=True)
class ReceivedPush:
    """A push whose rows have their slots. `site` None: the worker's ingest heartbeat."""

    site: PushSite | None
    received_at: datetime
    received_us: int
    size_bytes: int  # as it was sent, perhaps compressed
    push: Push
    rows: Sequence[TimedRow]
    token_id: int | None = None  # of the token that it was sent with
    address: str | None = None  # that it came from

    @property
    def booted_at(self) -> datetime | None:
        uptime_us = self.push.uptime_us
        return None if uptime_us is None else self.received_at - timedelta(microseconds=uptime_us)


@dataclass(slots=True)
class PushResult:
    """What the response to a push contains."""

    accepted: int = 0
    duplicates: int = 0
    rejected: list[Fault] = field(default_factory=list)
    grant: OpenGrant | None = None


ReceiptKey = tuple[int, str]  # site, boot


@dataclass(slots=True)
class Receipt:
    seen: SequenceRanges
    is_stored: bool  # by an earlier transaction
    first_at: datetime
    last_at: datetime
    booted_at: datetime | None = None
    has_sent: bool = False  # its agent sent a push in this transaction


def accept_rows(
    received: ReceivedPush, site: PushSite, receipts: dict[ReceiptKey, Receipt], last: LastPush | None
) -> tuple[PushResult, list[Reading]]:
    """Return the counts of the push and its new readings in the order of their slots; update its receipts.

    1. A row is new if its receipt does not hold its sequence number; rejected rows are not entered in it.
    2. What was not heard in time since the push before (`last`) is a claim.
    3. If no reading is live, add one for the arrival itself, unless all rows were duplicates.
    4. Renew the receipts of all boots in the push.
    """
    result, readings, is_live = PushResult(rejected=list(received.push.faults)), list[Reading](), False
    timely_from = heard_since(last, received.received_at)
    for timed in received.rows:
        seen = receipts[site.site_id, timed.row.boot].seen
        if timed.reading is None:
            if timed.row.seq in seen:
                result.duplicates += 1
            elif timed.fault is not None:
                result.rejected.append(timed.fault)
        elif seen.add(timed.row.seq):
            is_timely = timed.reading.slot >= timely_from
            readings.append(timed.reading if is_timely else unheard(timed.reading, site))
            is_live = is_live or (timed.live and is_timely)
        else:
            result.duplicates += 1
    result.accepted = len(readings)
    result.rejected.sort(key=lambda fault: (fault.row is None, fault.row or 0))  # faults of no row come last
    readings.sort(key=attrgetter("slot"))
    if not is_live and (readings or not result.duplicates) and site.lifecycle == "active":
        readings.append(arrival_reading(site, received.received_us))
    _renew_receipts(received, site, receipts)
    return result, readings


def _renew_receipts(received: ReceivedPush, site: PushSite, receipts: dict[ReceiptKey, Receipt]) -> None:
    push = received.push
    for boot in {row.boot for row in push.rows} | {push.boot}:
        if boot is not None:
            receipt = receipts[site.site_id, boot]
            receipt.last_at = max(receipt.last_at, received.received_at)
    if push.boot is not None and (booted_at := received.booted_at) is not None:
        receipts[site.site_id, push.boot].booted_at = booted_at


def detect_second_agent(
    received: ReceivedPush, site: PushSite, receipts: dict[ReceiptKey, Receipt], last: LastPush | None
) -> bool:
    """Return whether a boot sends again that another had replaced: then two agents share one token.

    Rows of an older boot that a later one delivers do not count.
    """
    boot = received.push.boot
    if boot is None:
        return False
    receipt, last_boot = receipts[site.site_id, boot], last and last.boot
    is_known, receipt.has_sent = receipt.is_stored or receipt.has_sent, True
    return is_known and last_boot is not None and last_boot != boot


def detect_unheard_boot(
    received: ReceivedPush, site: PushSite, receipts: dict[ReceiptKey, Receipt], readings: Sequence[Reading]
) -> bool:
    """Return whether a boot that had never been heard of claims a time in which it was due to be heard."""
    boot = received.push.boot
    if boot is None or (receipt := receipts[site.site_id, boot]).is_stored or receipt.has_sent:
        return False
    due_from = to_slot(received.received_at - overdue_after(timedelta(seconds=site.send_every_s)))
    return any(reading.slot < due_from for reading in readings if is_claim(reading))


def next_last_push(
    received: ReceivedPush,
    site: PushSite,
    last: LastPush | None,
    *,
    stored_address: bool,
    near: NearState | None,
) -> LastPush:
    """Return what is known of this push when the next one comes."""
    return LastPush(
        received.push.boot or (last and last.boot),
        max(received.received_at, last.heard_at) if last else received.received_at,
        site.send_every_s,
        received.address or (last and last.address),
        received.received_at if stored_address else last and last.address_at,
        near,
    )


def sum_traffic(pushes: Sequence[ReceivedPush]) -> list[dict[str, Any]]:
    """Return requests and bytes by site and month (WITA), as rows of `push_traffic`."""
    totals: dict[tuple[int, date], list[int]] = {}
    for received in pushes:
        if received.site is not None:
            month = month_of(received.received_at)
            total = totals.setdefault((received.site.site_id, month), [0, 0])
            total[0] += 1
            total[1] += received.size_bytes + OVERHEAD_BYTES
    return [
        {"site_id": site_id, "month": month, "requests": requests, "bytes": size_bytes}
        for (site_id, month), (requests, size_bytes) in totals.items()
    ]
