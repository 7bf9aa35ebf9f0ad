"""Pushes as rows, many at once: what came twice counts once, whichever process it came to.

Locks are taken in one order, (site, boot), and none is waited for after a row of another's was met: so no two processes
can wait for each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import WITA
from app.errors import Fault
from app.field import inbox
from app.field.inbox import Delivery, Row
from app.field.placing import Placed, Terms, arrival
from app.field.rows import Push
from app.field.seen import Seen
from app.throughput import grants
from app.throughput.grants import OpenGrant

KEPT = timedelta(days=8)
OVERHEAD_BYTES = 5_000  # headers and TLS handshake: a POST a minute was measured to come to 170-260 MB a month

LOCK = text("""
    SELECT r.site_id, r.boot, r.seen::text AS seen, d.boot AS last_boot
    FROM unnest(cast(:sites AS int[]), cast(:boots AS text[])) n(site_id, boot)
    JOIN push_receipt r ON r.site_id = n.site_id AND r.boot = n.boot
    LEFT JOIN device d ON d.site_id = r.site_id
    ORDER BY r.site_id, r.boot FOR UPDATE OF r
""")
GIVEN = """
    json_to_recordset(cast(:rows AS json)) AS n(
        site_id int, boot text, seen text, booted_at timestamptz, first_at timestamptz, last_at timestamptz)
"""
ENTER = text(f"""
    INSERT INTO push_receipt (site_id, boot, seen, booted_at, first_at, last_at)
    SELECT site_id, boot, cast(seen AS int8multirange), booted_at, first_at, last_at FROM {GIVEN}
    ORDER BY site_id, boot ON CONFLICT DO NOTHING RETURNING 1
""")
RENEW = text(f"""
    UPDATE push_receipt r SET seen = cast(n.seen AS int8multirange), last_at = greatest(r.last_at, n.last_at),
        booted_at = coalesce(n.booted_at, r.booted_at)
    FROM {GIVEN} WHERE r.site_id = n.site_id AND r.boot = n.boot
""")
HEAR = text("""
    INSERT INTO device AS d (site_id, heard_at, boot, booted_at, seq, agent, clients, clock_offset_s, waiting, dropped,
        accepted, duplicates, rejected, last_rejection, last_rejected_at, two_agents_at)
    SELECT site_id, heard_at, boot, booted_at, seq, agent, clients, clock_offset_s, waiting, dropped,
        accepted, duplicates, rejected, last_rejection, last_rejected_at, two_agents_at
    FROM json_to_recordset(cast(:rows AS json)) AS n(
        site_id int, heard_at timestamptz, boot text, booted_at timestamptz, seq bigint, agent text, clients int,
        clock_offset_s float, waiting int, dropped int, accepted int, duplicates int, rejected int,
        last_rejection text, last_rejected_at timestamptz, two_agents_at timestamptz)
    ORDER BY site_id
    ON CONFLICT (site_id) DO UPDATE SET
        heard_at = greatest(d.heard_at, excluded.heard_at), boot = coalesce(excluded.boot, d.boot),
        booted_at = CASE WHEN excluded.boot IS NULL OR excluded.boot = d.boot
            THEN coalesce(excluded.booted_at, d.booted_at) ELSE excluded.booted_at END,
        seq = CASE WHEN excluded.boot IS NULL OR excluded.boot = d.boot
            THEN greatest(excluded.seq, d.seq) ELSE excluded.seq END,
        agent = coalesce(excluded.agent, d.agent), clients = excluded.clients,
        clock_offset_s = coalesce(excluded.clock_offset_s, d.clock_offset_s),
        waiting = excluded.waiting, dropped = excluded.dropped,
        accepted = d.accepted + excluded.accepted, duplicates = d.duplicates + excluded.duplicates,
        rejected = d.rejected + excluded.rejected, last_rejection = coalesce(excluded.last_rejection, d.last_rejection),
        last_rejected_at = coalesce(excluded.last_rejected_at, d.last_rejected_at),
        two_agents_at = coalesce(excluded.two_agents_at, d.two_agents_at)
""")
METER = text("""
    INSERT INTO push_traffic AS t (site_id, month, requests, bytes)
    SELECT site_id, month, requests, bytes FROM json_to_recordset(cast(:rows AS json)) AS n(
        site_id int, month date, requests int, bytes bigint)
    ORDER BY site_id, month
    ON CONFLICT (site_id, month) DO UPDATE SET
        requests = t.requests + excluded.requests, bytes = t.bytes + excluded.bytes
""")
FORGET = text("DELETE FROM push_receipt WHERE last_at < now() - cast(:kept AS interval)")


class Overtaken(Exception):  # no error: the same again succeeds
    """Another process entered the same new boot in this moment."""


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


@dataclass(slots=True)
class Taken:
    """What became of a push."""

    accepted: int = 0
    duplicates: int = 0
    rejected: list[Fault] = field(default_factory=list)
    grant: OpenGrant | None = None


Key = tuple[int, str]


@dataclass(slots=True)
class _Receipt:
    seen: Seen
    known: bool  # before this transaction
    first_at: datetime
    last_at: datetime
    booted_at: datetime | None = None
    sent: bool = False  # in this transaction, by an agent of this boot


async def take(session: AsyncSession, arrivals: Sequence[Arrived]) -> list[Taken]:
    """Raises Overtaken: then nothing of it may be kept, and it is to be done again."""
    receipts, boots = await _lock(session, arrivals)
    deliveries: list[Delivery] = []
    heard: dict[int, dict[str, Any]] = {}
    taken: list[Taken] = []
    for one in arrivals:
        if one.site_id is None:
            deliveries.append(Delivery(None, one.received_at, ()))
            taken.append(Taken())
            continue
        found, rows = _sift(one, receipts)
        if rows:
            deliveries.append(Delivery(one.site_id, one.received_at, rows))
        two_agents = _follows(one, receipts, boots)
        heard[one.site_id] = _merged(heard.get(one.site_id), _heard(one, found, two_agents=two_agents))
        taken.append(found)
    await _keep(session, receipts)
    if deliveries:
        await inbox.put(session, deliveries)
    if heard:
        await session.execute(HEAR, {"rows": _json(list(heard.values()))})
        await session.execute(METER, {"rows": _json(_metered(arrivals))})
        granted = await grants.list_open(session, list(heard))
        for one, found in zip(arrivals, taken, strict=True):
            found.grant = granted.get(one.site_id or 0)
    return taken


async def forget_old(session: AsyncSession) -> None:
    """A row that comes again after that is older than what is taken at all."""
    await session.execute(FORGET, {"kept": KEPT})


async def _lock(
    session: AsyncSession, arrivals: Sequence[Arrived]
) -> tuple[dict[Key, _Receipt], dict[int, str | None]]:
    """Receipts by site and boot; the boot that each site's agent had when it sent last."""
    named = {
        (one.site_id, boot): one.received_at
        for one in reversed(arrivals)
        if one.site_id is not None
        for boot in {one.push.boot, *(row.boot for row in one.push.rows)}
        if boot is not None
    }
    keys = sorted(named)
    if not keys:
        return {}, {}
    asked = {"sites": [site for site, _ in keys], "boots": [boot for _, boot in keys]}
    found = {(row.site_id, row.boot): row for row in await session.execute(LOCK, asked)}
    receipts = {}
    for key in keys:
        row, at = found.get(key), named[key]
        receipts[key] = _Receipt(Seen(row.seen) if row else Seen(), row is not None, at, at)
    return receipts, {site: row.last_boot for (site, _), row in found.items()}


def _sift(one: Arrived, receipts: dict[Key, _Receipt]) -> tuple[Taken, list[Row]]:
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


def _booted_at(one: Arrived) -> datetime | None:
    return None if one.push.uptime_us is None else one.received_at - timedelta(microseconds=one.push.uptime_us)


def _follows(one: Arrived, receipts: dict[Key, _Receipt], boots: dict[int, str | None]) -> bool:
    """Whether a boot sends that another had followed already: two agents do, with one token. Rows of an older boot that
    a later one delivers are no sign of it."""
    assert one.site_id is not None
    if one.push.boot is None:
        return False
    receipt, last = receipts[one.site_id, one.push.boot], boots.get(one.site_id)
    boots[one.site_id] = one.push.boot
    was_known, receipt.sent = receipt.known or receipt.sent, True
    return was_known and last is not None and last != one.push.boot


def _heard(one: Arrived, found: Taken, *, two_agents: bool) -> dict[str, Any]:
    push, at = one.push, one.received_at
    return {
        "site_id": one.site_id, "heard_at": at, "boot": push.boot, "booted_at": _booted_at(one),
        "seq": max((row.seq for row in push.rows if row.boot == push.boot), default=None),
        "agent": push.agent, "clients": push.clients,
        "clock_offset_s": None if push.sent_us is None else (one.received_us - push.sent_us) / 1_000_000,
        "waiting": push.waiting, "dropped": push.dropped,
        "accepted": found.accepted, "duplicates": found.duplicates, "rejected": len(found.rejected),
        "last_rejection": found.rejected[-1].code if found.rejected else None,
        "last_rejected_at": at if found.rejected else None, "two_agents_at": at if two_agents else None,
    }  # fmt: skip


def _merged(before: dict[str, Any] | None, now: dict[str, Any]) -> dict[str, Any]:
    """Two pushes of one device in one transaction."""
    if before is None:
        return now
    counts = {name: before[name] + now[name] for name in ("accepted", "duplicates", "rejected")}
    return before | {name: value for name, value in now.items() if value is not None} | counts


def _metered(arrivals: Sequence[Arrived]) -> list[dict[str, Any]]:
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


async def _keep(session: AsyncSession, receipts: dict[Key, _Receipt]) -> None:
    rows: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    for (site_id, boot), receipt in receipts.items():
        rows[receipt.known].append({
            "site_id": site_id, "boot": boot, "seen": str(receipt.seen), "booted_at": receipt.booted_at,
            "first_at": receipt.first_at, "last_at": receipt.last_at,
        })  # fmt: skip
    if fresh := rows[False]:
        entered = (await session.execute(ENTER, {"rows": _json(fresh)})).all()
        if len(entered) < len(fresh):
            raise Overtaken
    if known := rows[True]:
        await session.execute(RENEW, {"rows": _json(known)})


def _json(rows: list[dict[str, Any]]) -> str:
    return orjson.dumps(rows).decode()
