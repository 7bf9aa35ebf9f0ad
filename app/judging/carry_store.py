"""Steady carry in the database: written as the few columns of `site_status` that move, and read back whole.

A window is written by the slow gear alone. What was judged at once since is read back from the stored readings.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import CursorResult, Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import MICROSECOND, to_slot
from app.judging.carry import RECENTLY, Carry, fill_windows, records_of
from app.judging.degraded import WINDOW_READINGS
from app.judging.gate import MICROS, medians_us
from app.judging.site_rejudgement import FAR_FUTURE
from app.measurements import reader
from app.postgres.array_text import array_text
from app.postgres.engine import Counter, next_version
from probes.contract import VANTAGES, ProbeKind, Reading
from probes.reading_block import OK, ReadingBlock

SITES_A_PAGE = 2_000
SECOND = timedelta(seconds=1)

WRITE_MOVED = text("""
    UPDATE site_status st SET
        version = :version, evidence_at = to_timestamp(n.evidence_at / 1e6::float8), valid_s = n.valid_s,
        seen_at = to_timestamp(n.seen_at / 1e6::float8), last_ok_at = to_timestamp(n.last_ok_at / 1e6::float8),
        rtt_us = nullif(n.rtt_us, 0), loss_pct = n.loss_pct,
        window_from = to_timestamp(nullif(n.window_from, 0))
    FROM unnest(cast(cast(:site_id AS text) AS int[]), cast(cast(:known AS text) AS bigint[]),
        cast(cast(:evidence_at AS text) AS bigint[]), cast(cast(:valid_s AS text) AS int[]),
        cast(cast(:seen_at AS text) AS bigint[]), cast(cast(:last_ok_at AS text) AS bigint[]),
        cast(cast(:rtt_us AS text) AS int[]), cast(cast(:loss_pct AS text) AS real[]),
        cast(cast(:window_from AS text) AS bigint[]))
        AS n(site_id, known, evidence_at, valid_s, seen_at, last_ok_at, rtt_us, loss_pct, window_from)
    WHERE st.site_id = n.site_id AND st.version = n.known
""")
# A site that pushes since lately may have been probed in the time that is to be judged yet.
PAGE = """
    SELECT st.*, s.addressed_at AS configured_at, c.started_at AS setup_at, c.technology, s.probe
    FROM site_status st JOIN site s ON s.id = st.site_id
        JOIN site_configuration c ON c.site_id = st.site_id AND c.ended_at IS NULL
    WHERE st.site_id > :after AND st.state = 'up' AND st.pending_at IS NULL AND st.timeouts = 0
        AND NOT st.pending_behind AND st.pending_valid_s = 0 AND st.commissioned_at IS NOT NULL
        AND st.evidence_at IS NOT NULL AND st.seen_at IS NOT NULL AND st.last_ok_at IS NOT NULL
        AND (s.probe <> 'push' OR c.started_at > st.seen_at - interval '1 day') AND cardinality(c.vantages) = 1 {among}
    ORDER BY st.site_id LIMIT :limit
"""
PAGE_OF_ALL = text(PAGE.format(among=""))
PAGE_OF_SHARD = text(PAGE.format(among="AND st.shard = :shard"))
PAGE_OF_SITES = text(PAGE.format(among="AND st.site_id = ANY(cast(:ids AS int[]))"))


class CarryOutdated(Exception):
    """Another one has written `site_status`: what is in memory no longer follows it."""


@dataclass(frozen=True, slots=True)
class CarryPage:
    """Steady sites in the order of ids, as `site_status` has them, and readings stored since that were not judged."""

    carry: Carry
    unjudged: list[Reading]
    last_id: int


async def write_moved(session: AsyncSession, carry: Carry) -> int:
    """Write what moves while a site is steady; return the version. Raises CarryOutdated."""
    version = await next_version(session, Counter.STATUS)
    first = carry["window"]["slot"][np.arange(len(carry)), WINDOW_READINGS - np.maximum(carry["length"], 1)]
    moved = ("site_id", "evidence_at", "valid_s", "seen_at", "last_ok_at", "rtt_us", "loss_pct")
    columns = {name: carry[name] for name in moved} | {"known": carry["version"], "window_from": first}
    parameters = {name: array_text(column) for name, column in columns.items()}
    result = cast(CursorResult[Any], await session.execute(WRITE_MOVED, {"version": version, **parameters}))
    if result.rowcount != len(carry):
        raise CarryOutdated(f"{len(carry) - result.rowcount} of {len(carry)} sites were written by another one")
    return version


async def load_page(
    session: AsyncSession, after: int, *, shard: int | None = None, site_ids: Collection[int] | None = None
) -> CarryPage | None:
    """Return the next steady sites beyond this id, None if there are none: of a shard, or among these, or of all."""
    statement, params = PAGE_OF_ALL, dict[str, Any]()
    if site_ids is not None:
        statement, params = PAGE_OF_SITES, {"ids": list(site_ids)}
    elif shard is not None:
        statement, params = PAGE_OF_SHARD, {"shard": shard}
    rows = (await session.execute(statement, {"after": after, "limit": SITES_A_PAGE, **params})).all()
    if not rows:
        return None
    ranges = [(row.site_id, _reads_from(row), FAR_FUTURE) for row in rows]
    block = await reader.read(session, ranges, sources=VANTAGES)
    carry = records_of(rows)
    places = np.searchsorted(carry["site_id"], block.key)
    is_new = block.slot * MICROS > carry["seen_at"][places]
    carry["was_lost"] = (carry["since"] != carry["commissioned_at"]) & (
        carry["since"] >= carry["seen_at"] - RECENTLY // MICROSECOND
    )
    _fill_windows(carry, rows, block.take(~is_new), places[~is_new])
    wanted = np.array([row.probe != ProbeKind.PUSH for row in rows])
    wanted[places] = True
    return CarryPage(carry[wanted], block.take(is_new).readings(), rows[-1].site_id)


def _reads_from(row: Row[Any]) -> datetime:
    """Return from where on stored readings are needed: what the window lacks, and what was not judged yet."""
    last = row.pooled[-1][0] if row.pooled else 0
    is_whole = last >= to_slot(row.evidence_at) or row.window_from is None
    since: datetime = row.seen_at + SECOND if is_whole else row.window_from
    return since


def _fill_windows(carry: Carry, rows: Sequence[Row[Any]], since: ReadingBlock, places: NDArray[np.int64]) -> None:
    """Set each window to what was written of it, and the answers since; `places`: of the readings' sites in `carry`."""
    written = [(place, *reading) for place, row in enumerate(rows) for reading in row.pooled]
    last = np.array([row.pooled[-1][0] if row.pooled else 0 for row in rows], np.int64)
    first = np.array([to_slot(row.window_from) if row.window_from is not None else 0 for row in rows], np.int64)
    answered = (since.outcome == OK) & (since.slot > last[places])
    columns = (places, since.slot, since.sent, since.received, medians_us(since))
    read = np.stack([column[answered].astype(np.int64) for column in columns], axis=1)
    readings = np.concatenate([np.array(written, np.int64).reshape(-1, 5), read])
    readings = readings[readings[:, 1] >= first[readings[:, 0]]]
    fill_windows(carry, readings[:, 0], readings[:, 1:])
