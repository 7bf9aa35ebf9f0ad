"""Records pushes in bulk: a row that was sent twice counts once, whichever API process receives it.

Receipts are locked in the order of (site, boot) and nothing else is waited for afterwards, so that no two processes
can deadlock.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.measurements import device_traffic, near_looks
from app.push import backlog, dedupe, inbox, source_addresses
from app.push.acceptance import AcceptedPushes
from app.push.beside import record_beside
from app.push.dedupe import PushResult, Receipt, ReceiptKey, ReceivedPush, SequenceRanges
from app.push.last_push import LastPush
from app.push.near_rows import known_state
from app.throughput import speedtest_grants

RETENTION = timedelta(days=8)  # longer than rows are accepted (timestamps.MAX_AGE_S)

LOCK_RECEIPTS = text("""
    SELECT r.site_id, r.boot, r.seen::text AS seen
    FROM unnest(cast(:sites AS int[]), cast(:boots AS text[])) n(site_id, boot)
    JOIN push_receipt r ON r.site_id = n.site_id AND r.boot = n.boot
    ORDER BY r.site_id, r.boot FOR UPDATE OF r
""")
LAST_PUSHES = text("""
    SELECT site_id, boot, heard_at, told_s, address, address_at, near_at, lan, terminal, carrier
    FROM device WHERE site_id = ANY(cast(:sites AS int[]))
""")
RECEIPT_ROWS = """
    json_to_recordset(cast(:rows AS json)) AS n(
        site_id int, boot text, seen text, booted_at timestamptz, first_at timestamptz, last_at timestamptz)
"""
INSERT_RECEIPTS = text(f"""
    INSERT INTO push_receipt (site_id, boot, seen, booted_at, first_at, last_at)
    SELECT site_id, boot, cast(seen AS int8multirange), booted_at, first_at, last_at FROM {RECEIPT_ROWS}
    ORDER BY site_id, boot ON CONFLICT DO NOTHING RETURNING 1
""")
UPDATE_RECEIPTS = text(f"""
    UPDATE push_receipt r SET seen = cast(n.seen AS int8multirange), last_at = greatest(r.last_at, n.last_at),
        booted_at = coalesce(n.booted_at, r.booted_at)
    FROM {RECEIPT_ROWS} WHERE r.site_id = n.site_id AND r.boot = n.boot
""")
UPSERT_DEVICES = text("""
    INSERT INTO device AS d (site_id, heard_at, told_s, boot, booted_at, seq, agent, clients, measures,
        clock_offset_s, waiting, dropped,
        accepted, duplicates, rejected, last_rejection, last_rejected_at, two_agents_at, unheard_boot_at, token_id,
        near_at, lan, terminal, carrier, rx_bps, tx_bps, rates_at)
    SELECT site_id, heard_at, told_s, boot, booted_at, seq, agent, clients, measures,
        clock_offset_s, waiting, dropped,
        accepted, duplicates, rejected, last_rejection, last_rejected_at, two_agents_at, unheard_boot_at, token_id,
        near_at, lan, terminal, carrier, rx_bps, tx_bps, rates_at
    FROM json_to_recordset(cast(:rows AS json)) AS n(
        site_id int, heard_at timestamptz, told_s int, boot text, booted_at timestamptz, seq bigint, agent text,
        clients int, measures boolean,
        clock_offset_s float, waiting int, dropped int, accepted int, duplicates int, rejected int,
        last_rejection text, last_rejected_at timestamptz, two_agents_at timestamptz, unheard_boot_at timestamptz,
        token_id int, near_at timestamptz, lan boolean, terminal boolean, carrier boolean, rx_bps bigint,
        tx_bps bigint, rates_at timestamptz)
    ORDER BY site_id
    ON CONFLICT (site_id) DO UPDATE SET
        heard_at = greatest(d.heard_at, excluded.heard_at), told_s = excluded.told_s,
        boot = coalesce(excluded.boot, d.boot),
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
        unheard_boot_at = coalesce(excluded.unheard_boot_at, d.unheard_boot_at),
        token_id = coalesce(excluded.token_id, d.token_id), near_at = coalesce(excluded.near_at, d.near_at),
        lan = CASE WHEN excluded.near_at IS NULL THEN d.lan ELSE excluded.lan END,
        terminal = CASE WHEN excluded.near_at IS NULL THEN d.terminal ELSE excluded.terminal END,
        carrier = CASE WHEN excluded.near_at IS NULL THEN d.carrier ELSE excluded.carrier END,
        rx_bps = coalesce(excluded.rx_bps, d.rx_bps), tx_bps = coalesce(excluded.tx_bps, d.tx_bps),
        rates_at = coalesce(excluded.rates_at, d.rates_at)
""")
DELETE_EXPIRED = text("DELETE FROM push_receipt WHERE last_at < now() - cast(:retention AS interval)")


class ReceiptConflict(Exception):  # no error: a retry succeeds
    """Another process inserted a receipt of the same new boot at the same time."""


async def record_pushes(session: AsyncSession, pushes: Sequence[ReceivedPush]) -> list[PushResult]:
    """Record pushes in the caller's transaction; return one result each, in their order.

    1. Lock the receipts of all boots, and read what is known of each device's last push.
    2. Accept the new rows of each push, in the order of receipt.
    3. Store the receipts, and enqueue the new readings for the worker.
    4. Update the devices, their traffic, the addresses that they send from, and what they saw near themselves.
    5. Record what devices told beside their rows.
    6. Add open speed test grants to the results.

    Raises ReceiptConflict: then the transaction must be rolled back and retried.
    """
    accepted = AcceptedPushes(await _lock_receipts(session, pushes), await _last_pushes(session, pushes))
    results: list[PushResult] = []
    for received in pushes:
        results.append(accepted.add(received))
        if len(received.rows) >= backlog.LONG:
            await asyncio.sleep(0)  # other requests of this process go on
    await _store_receipts(session, accepted.receipts)
    if accepted.deliveries:
        await inbox.enqueue(session, accepted.deliveries)
    if accepted.devices:
        await _store_devices(session, accepted, pushes)
        await record_beside(session, pushes)
        open_grants = await speedtest_grants.list_open(session, list(accepted.devices))
        for received, result in zip(pushes, results, strict=True):
            result.grant = open_grants.get(received.site.site_id) if received.site else None
    return results


async def _store_devices(session: AsyncSession, accepted: AcceptedPushes, pushes: Sequence[ReceivedPush]) -> None:
    await session.execute(UPSERT_DEVICES, {"rows": _json(list(accepted.devices.values()))})
    await device_traffic.add(session, dedupe.sum_traffic(pushes))
    await source_addresses.record(session, accepted.sightings)
    await near_looks.record(session, accepted.near_looks)


async def delete_expired(session: AsyncSession) -> None:
    """Rows sent again after that are rejected as too old."""
    await session.execute(DELETE_EXPIRED, {"retention": RETENTION})


async def _last_pushes(session: AsyncSession, pushes: Sequence[ReceivedPush]) -> dict[int, LastPush]:
    """Return what is known of each device's last push, by site; it is read after the receipts are locked."""
    sites = {received.site.site_id for received in pushes if received.site is not None}
    if not sites:
        return {}
    rows = await session.execute(LAST_PUSHES, {"sites": sorted(sites)})
    return {
        row.site_id: LastPush(
            row.boot,
            row.heard_at,
            row.told_s,
            row.address,
            row.address_at,
            known_state(row.near_at, row.lan, row.terminal, row.carrier),
        )
        for row in rows
    }


async def _lock_receipts(session: AsyncSession, pushes: Sequence[ReceivedPush]) -> dict[ReceiptKey, Receipt]:
    """Return receipts by site and boot, stored or new."""
    first_received = {
        (received.site.site_id, boot): received.received_at
        for received in reversed(pushes)
        if received.site is not None
        for boot in {received.push.boot, *(row.boot for row in received.push.rows)}
        if boot is not None
    }
    keys = sorted(first_received)
    if not keys:
        return {}
    rows = await session.execute(
        LOCK_RECEIPTS, {"sites": [site_id for site_id, _ in keys], "boots": [boot for _, boot in keys]}
    )
    stored = {(row.site_id, row.boot): row for row in rows}
    receipts = {}
    for key in keys:
        row, at = stored.get(key), first_received[key]
        receipts[key] = Receipt(SequenceRanges(row.seen) if row else SequenceRanges(), row is not None, at, at)
    return receipts


async def _store_receipts(session: AsyncSession, receipts: dict[ReceiptKey, Receipt]) -> None:
    new_rows: list[dict[str, Any]] = []
    stored_rows: list[dict[str, Any]] = []
    for (site_id, boot), receipt in receipts.items():
        row = {
            "site_id": site_id,
            "boot": boot,
            "seen": str(receipt.seen),
            "booted_at": receipt.booted_at,
            "first_at": receipt.first_at,
            "last_at": receipt.last_at,
        }
        (stored_rows if receipt.is_stored else new_rows).append(row)
    if new_rows:
        inserted = (await session.execute(INSERT_RECEIPTS, {"rows": _json(new_rows)})).all()
        if len(inserted) < len(new_rows):
            raise ReceiptConflict
    if stored_rows:
        await session.execute(UPDATE_RECEIPTS, {"rows": _json(stored_rows)})


def _json(rows: list[dict[str, Any]]) -> str:
    return orjson.dumps(rows).decode()
