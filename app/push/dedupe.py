"""What of a push is new, and what it says of its device: pure, over receipts that somebody holds locked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from app.core.clock import WITA
from app.core.errors import Fault
from app.push.inbox import Row
from app.push.parser import Push
from app.push.seen import Seen
from app.push.timestamps import Placed, Terms, arrival
from app.throughput.grants import OpenGrant

OVERHEAD_BYTES = 5_000  # headers and TLS handshake: a POST a minute was measured to come to 170-260 MB a month


@dataclass(slots=True)
class Arrived:
    """One push, placed in time. `site_id` None: our own beat."""

    site_id: int | None
    terms: Terms
    received_at: datetime
    received_us: int
    size: int  # bytes, as they were sent
    push: Push
    placed: Sequence[Placed]
    token_id: int | None = None  # that it came with


@dataclass(slots=True)
class Taken:
    """What became of a push."""

    accepted: int = 0
    duplicates: int = 0
    rejected: list[Fault] = field(default_factory=list)
    grant: OpenGrant | None = None


Key = tuple[int, str]


@dataclass(slots=True)
class Receipt:
    seen: Seen
    known: bool  # before this transaction
    first_at: datetime
    last_at: datetime
    booted_at: datetime | None = None
    sent: bool = False  # in this transaction, by an agent of this boot


def sift(one: Arrived, receipts: dict[Key, Receipt]) -> tuple[Taken, list[Row]]:
    """What is new of a push, in the order of time; with a reading for its arrival if none of it says how it is now."""
    assert one.site_id is not None
    site_id, rows, live = one.site_id, [], False
    found = Taken(rejected=list(one.push.faults))
    for placed in one.placed:
        measured = placed.measured
        seen = receipts[site_id, measured.boot].seen
        if placed.row is None:
            if measured.seq in seen:
                found.duplicates += 1
            elif placed.fault is not None:
                found.rejected.append(placed.fault)
        elif seen.add(measured.seq):
            rows.append(placed.row)
            live = live or placed.live
        else:
            found.duplicates += 1
    found.accepted = len(rows)
    found.rejected.sort(key=_place)
    rows.sort()
    if not live and (rows or not found.duplicates) and one.terms.lifecycle == "active":
        rows.append(arrival(one.received_us, one.terms))
    for boot in {row.boot for row in one.push.rows} | {one.push.boot}:
        if boot is not None:
            receipt = receipts[site_id, boot]
            receipt.last_at = max(receipt.last_at, one.received_at)
    if one.push.boot is not None and (booted_at := _booted_at(one)) is not None:
        receipts[site_id, one.push.boot].booted_at = booted_at
    return found, rows


def _place(fault: Fault) -> tuple[bool, int]:
    """What concerns no row comes last."""
    return fault.row is None, fault.row or 0


def _booted_at(one: Arrived) -> datetime | None:
    return None if one.push.uptime_us is None else one.received_at - timedelta(microseconds=one.push.uptime_us)


def follows(one: Arrived, receipts: dict[Key, Receipt], boots: dict[int, str | None]) -> bool:
    """Whether a boot sends that another had followed already: two agents do, with one token. Rows of an older boot that
    a later one delivers are no sign of it."""
    assert one.site_id is not None
    if one.push.boot is None:
        return False
    receipt, last = receipts[one.site_id, one.push.boot], boots.get(one.site_id)
    boots[one.site_id] = one.push.boot
    was_known, receipt.sent = receipt.known or receipt.sent, True
    return was_known and last is not None and last != one.push.boot


def heard(one: Arrived, found: Taken, *, two_agents: bool) -> dict[str, Any]:
    push, at = one.push, one.received_at
    return {
        "site_id": one.site_id,
        "heard_at": at,
        "boot": push.boot,
        "booted_at": _booted_at(one),
        "seq": max(
            (row.measured.seq for row in one.placed if row.row is not None and row.measured.boot == push.boot),
            default=None,
        ),
        "agent": push.agent,
        "clients": push.clients,
        "measures": push.rows[-1].sent > 0 if push.rows else None,
        "clock_offset_s": None if push.sent_us is None else (one.received_us - push.sent_us) / 1_000_000,
        "waiting": push.waiting,
        "dropped": push.dropped,
        "accepted": found.accepted,
        "duplicates": found.duplicates,
        "rejected": len(found.rejected),
        "last_rejection": found.rejected[-1].code if found.rejected else None,
        "last_rejected_at": at if found.rejected else None,
        "two_agents_at": at if two_agents else None,
        "token_id": one.token_id,
    }


def merged(before: dict[str, Any] | None, now: dict[str, Any]) -> dict[str, Any]:
    """Two pushes of one device in one transaction."""
    if before is None:
        return now
    counts = {name: before[name] + now[name] for name in ("accepted", "duplicates", "rejected")}
    return before | {name: value for name, value in now.items() if value is not None} | counts


def metered(arrivals: Sequence[Arrived]) -> list[dict[str, Any]]:
    found: dict[tuple[int, date], list[int]] = {}
    for one in arrivals:
        if one.site_id is not None:
            month = one.received_at.astimezone(WITA).date().replace(day=1)
            sums = found.setdefault((one.site_id, month), [0, 0])
            sums[0] += 1
            sums[1] += one.size + OVERHEAD_BYTES
    return [
        {"site_id": site_id, "month": month, "requests": requests, "bytes": size}
        for (site_id, month), (requests, size) in found.items()
    ]
