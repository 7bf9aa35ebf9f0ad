"""Pushes as rows, many at once: what came twice counts once, whichever process it came to.

Locks are taken in one order, (site, boot), and none is waited for after a row of another's was met: so no two processes
can wait for each other.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.push import dedupe, inbox
from app.push.dedupe import Arrived, Key, Receipt, Taken
from app.push.inbox import Delivery
from app.push.seen import Seen
from app.throughput import grants

KEPT = timedelta(days=8)

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
    INSERT INTO device AS d (site_id, heard_at, boot, booted_at, seq, agent, clients, measures,
        clock_offset_s, waiting, dropped,
        accepted, duplicates, rejected, last_rejection, last_rejected_at, two_agents_at, token_id)
    SELECT site_id, heard_at, boot, booted_at, seq, agent, clients, measures,
        clock_offset_s, waiting, dropped,
        accepted, duplicates, rejected, last_rejection, last_rejected_at, two_agents_at, token_id
    FROM json_to_recordset(cast(:rows AS json)) AS n(
        site_id int, heard_at timestamptz, boot text, booted_at timestamptz, seq bigint, agent text, clients int,
        measures boolean,
        clock_offset_s float, waiting int, dropped int, accepted int, duplicates int, rejected int,
        last_rejection text, last_rejected_at timestamptz, two_agents_at timestamptz, token_id int)
    ORDER BY site_id
    ON CONFLICT (site_id) DO UPDATE SET
        heard_at = greatest(d.heard_at, excluded.heard_at), boot = coalesce(excluded.boot, d.boot),
        booted_at = CASE WHEN excluded.boot IS NULL OR excluded.boot = d.boot
            THEN coalesce(excluded.booted_at, d.booted_at) ELSE excluded.booted_at END,
        seq = CASE WHEN excluded.boot IS NULL OR excluded.boot = d.boot
            THEN greatest(excluded.seq, d.seq) ELSE excluded.seq END,
        agent = coalesce(excluded.agent, d.agent), clients = excluded.clients,
        measures = coalesce(excluded.measures, d.measures),
        clock_offset_s = coalesce(excluded.clock_offset_s, d.clock_offset_s),
        waiting = excluded.waiting, dropped = excluded.dropped,
        accepted = d.accepted + excluded.accepted, duplicates = d.duplicates + excluded.duplicates,
        rejected = d.rejected + excluded.rejected, last_rejection = coalesce(excluded.last_rejection, d.last_rejection),
        last_rejected_at = coalesce(excluded.last_rejected_at, d.last_rejected_at),
        two_agents_at = coalesce(excluded.two_agents_at, d.two_agents_at),
        token_id = coalesce(excluded.token_id, d.token_id)
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
        found, rows = dedupe.sift(one, receipts)
        if rows:
            deliveries.append(Delivery(one.site_id, one.received_at, rows))
        two_agents = dedupe.follows(one, receipts, boots)
        heard[one.site_id] = dedupe.merged(heard.get(one.site_id), dedupe.heard(one, found, two_agents=two_agents))
        taken.append(found)
    await _keep(session, receipts)
    if deliveries:
        await inbox.put(session, deliveries)
    if heard:
        await session.execute(HEAR, {"rows": _json(list(heard.values()))})
        await session.execute(METER, {"rows": _json(dedupe.metered(arrivals))})
        granted = await grants.list_open(session, list(heard))
        for one, found in zip(arrivals, taken, strict=True):
            found.grant = granted.get(one.site_id or 0)
    return taken


async def forget_old(session: AsyncSession) -> None:
    """A row that comes again after that is older than what is taken at all."""
    await session.execute(FORGET, {"kept": KEPT})


async def _lock(session: AsyncSession, arrivals: Sequence[Arrived]) -> tuple[dict[Key, Receipt], dict[int, str | None]]:
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
        receipts[key] = Receipt(Seen(row.seen) if row else Seen(), row is not None, at, at)
    return receipts, {site: row.last_boot for (site, _), row in found.items()}


async def _keep(session: AsyncSession, receipts: dict[Key, Receipt]) -> None:
    rows: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    for (site_id, boot), receipt in receipts.items():
        rows[receipt.known].append(
            {
                "site_id": site_id,
                "boot": boot,
                "seen": str(receipt.seen),
                "booted_at": receipt.booted_at,
                "first_at": receipt.first_at,
                "last_at": receipt.last_at,
            }
        )
    if fresh := rows[False]:
        entered = (await session.execute(ENTER, {"rows": _json(fresh)})).all()
        if len(entered) < len(fresh):
            raise Overtaken
    if known := rows[True]:
        await session.execute(RENEW, {"rows": _json(known)})


def _json(rows: list[dict[str, Any]]) -> str:
    return orjson.dumps(rows).decode()
