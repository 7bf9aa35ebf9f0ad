"""Records blocks of readings, each reading once: as rows, or in packs where their hour is packed."""

from datetime import timedelta
from functools import cache

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot
from app.measurements import pack_store, reader
from app.postgres.array_text import array_text
from probes.reading_block import OUTCOMES, SOURCE_CODES, SOURCES, ReadingBlock

SECOND = timedelta(seconds=1)
NUMBERS = ("key", "slot", "source", "outcome", "sent", "valid_s", "reason", "received")  # columns of a block

MAKE_STALE = text("""
    INSERT INTO stale_hour (site_id, hour)
    SELECT DISTINCT n.site_id, n.hour
    FROM unnest(cast(:sites AS int[]), cast(:hours AS timestamptz[])) AS n(site_id, hour)
        JOIN rollup_watermark w ON w.stage = 'closed' AND n.hour < w.upto
    ORDER BY 1, 2 ON CONFLICT DO NOTHING
""")


@cache
def _statement(width: int) -> TextClause:
    """Return the statement for blocks of so many round trips a reading.

    It returns from which hour on readings are stored as rows, and how many rows are new; if they are not all of them,
    their identities too. The share lock makes whoever closes an hour, or packs it, wait for us: either the count of
    that hour sees our rows, or we see that it is closed and make it stale. No clock decides it.
    """
    rtts = [f"rtt{n}" for n in range(width)]
    rtt_us = f"(ARRAY[{', '.join(f'n.{rtt}' for rtt in rtts)}])[1:n.received]" if rtts else "cast('{}' AS int[])"
    columns = [*NUMBERS, *rtts]
    arrays = ", ".join(f"cast(cast(:{name} AS text) AS {'bigint' if name == 'slot' else 'int'}[])" for name in columns)
    return text(f"""
        WITH locked AS (
            SELECT stage, upto FROM rollup_watermark WHERE stage IN ('closed', 'packing') ORDER BY stage FOR SHARE
        ), fresh AS (
            INSERT INTO measurement (site_id, slot, source, outcome, sent, valid_s, rtt_us, reason)
            SELECT n.key, to_timestamp(n.slot), (cast(:sources AS text[]))[n.source + 1],
                (cast(:outcomes AS text[]))[n.outcome + 1], n.sent, n.valid_s, {rtt_us},
                (cast(:reasons AS text[]))[n.reason + 1]
            FROM unnest({arrays}) AS n({", ".join(columns)})
            WHERE to_timestamp(n.slot) >= (SELECT upto FROM locked WHERE stage = 'packing')
            ON CONFLICT DO NOTHING RETURNING site_id, slot, source
        ), made_stale AS (
            INSERT INTO stale_hour (site_id, hour)
            SELECT DISTINCT site_id, date_trunc('hour', slot, 'UTC') FROM fresh
            WHERE slot < (SELECT upto FROM locked WHERE stage = 'closed')
            ORDER BY 1, 2 ON CONFLICT DO NOTHING
        ), counted AS (
            SELECT count(*) AS readings FROM fresh
        )
        SELECT (SELECT upto FROM locked WHERE stage = 'packing') AS packing, c.readings, i.keys, i.slots, i.sources
        FROM counted c LEFT JOIN LATERAL (
            SELECT array_agg(site_id) AS keys, array_agg(extract(epoch FROM slot)::bigint) AS slots,
                array_agg(source) AS sources
            FROM fresh WHERE c.readings < :total
        ) i ON true
    """)


async def record_block(session: AsyncSession, block: ReadingBlock) -> NDArray[np.bool_]:
    """Store each reading once; return which of them are new. Idempotent.

    A new reading of an hour that was closed already makes that hour stale.
    """
    if not len(block):
        return np.zeros(0, bool)
    width = block.rtt_us.shape[1]
    parameters = {
        **{name: array_text(getattr(block, name)) for name in NUMBERS},
        "sources": list(SOURCES),
        "outcomes": list(OUTCOMES),
        "reasons": list(block.reasons),
        **{f"rtt{n}": array_text(block.rtt_us[:, n]) for n in range(width)},
        "total": len(block),
    }
    packing, readings, keys, slots, sources = (await session.execute(_statement(width), parameters)).one()
    if readings == len(block):
        return np.ones(len(block), bool)
    codes = [SOURCE_CODES[source] for source in sources or ()]
    mask = _first_of(block, set(zip(keys or (), slots or (), codes, strict=True)))
    if (is_late := block.slot < packing.timestamp()).any():
        mask[is_late] = await _record_late(session, block.take(is_late))
    return mask


async def _record_late(session: AsyncSession, block: ReadingBlock) -> NDArray[np.bool_]:
    """Add readings to the packs of their hours; return which of them are new."""
    await pack_store.lock(session)
    moments = [from_slot(slot) for slot in block.slot.tolist()]
    known = await reader.read(
        session, ((key, at, at + SECOND) for key, at in zip(block.key.tolist(), moments, strict=True))
    )
    is_new = _first_of(block, _identities(block) - _identities(known))
    await pack_store.merge(session, block.take(is_new))
    hours = [at.replace(minute=0, second=0) for at, new in zip(moments, is_new, strict=True) if new]
    await session.execute(MAKE_STALE, {"sites": block.key[is_new].tolist(), "hours": hours})
    return is_new


def _identities(block: ReadingBlock) -> set[tuple[int, int, int]]:
    return set(zip(block.key.tolist(), block.slot.tolist(), block.source.tolist(), strict=True))


def _first_of(block: ReadingBlock, identities: set[tuple[int, int, int]]) -> NDArray[np.bool_]:
    """Return the mask of the first reading of each of these (key, slot, source)."""
    mask = np.zeros(len(block), bool)
    for row, identity in enumerate(zip(block.key.tolist(), block.slot.tolist(), block.source.tolist(), strict=True)):
        if identity in identities:
            identities.discard(identity)
            mask[row] = True
    return mask
