"""Stores visitors' results: judged, once each, many requests in one transaction; answered after its commit."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second
from app.core.errors import Unavailable
from app.core.single_task import SingleTask, reject, resolve
from app.postgres.engine import Sessions, is_unavailable, transaction
from app.profiles import Technology
from app.visitors import transfers
from app.visitors.models import VisitDirection, VisitNetwork
from app.visitors.plausibility import JudgedResult, judge_row
from app.visitors.result_parser import ResultRow
from app.visitors.visit_token import Visit

log = structlog.get_logger()

LATE_MS = 60_000
MAX_GROUP_ROWS, MAX_WAITING = 1_000, 2_000  # rows of a transaction; requests that wait
REQUEST_BYTES = 8_000  # assumed cost of a request beside its body: handshake, headers, and the page's round trips
INSERT = text("""
    INSERT INTO visit_result (visitor, seq, site_id, at, received_at, late, network, rtt_us, samples, lost, offline_s,
        down_mbps, up_mbps, flaw)
    SELECT decode(n.visitor, 'hex'), n.seq, n.site_id, n.at, n.received_at, n.late, n.network, n.rtt_us, n.samples,
        n.lost, n.offline_s, n.down_mbps, n.up_mbps, n.flaw
    FROM json_to_recordset(cast(:rows AS json)) AS n(visitor text, seq bigint, site_id int, at timestamptz,
        received_at timestamptz, late bool, network text, rtt_us int, samples smallint, lost smallint, offline_s int,
        down_mbps real, up_mbps real, flaw text)
    ORDER BY n.visitor, n.seq
    ON CONFLICT (visitor, seq) DO NOTHING RETURNING encode(visitor, 'hex') AS visitor, seq
""")


@dataclass(frozen=True, slots=True)
class ReceivedResults:
    """A request's valid rows."""

    visit: Visit
    technology: Technology
    network: VisitNetwork
    received_at: datetime
    rows: Sequence[ResultRow]
    size_bytes: int

    def moment(self, row: ResultRow) -> datetime:
        """Return the second in which a row was measured."""
        return floor_second(self.received_at - timedelta(milliseconds=row.age_ms))

    def visitor(self, row: ResultRow) -> bytes:
        return self.visit.visitor(self.moment(row))


@dataclass(slots=True)
class _Waiting:
    received: ReceivedResults
    accepted: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class ResultsWriter:
    """One writer commits what waits, in order of arrival."""

    def __init__(self, sessions: Callable[[], Sessions]) -> None:
        self._sessions = sessions
        self._waiting: deque[_Waiting] = deque()
        self._writer = SingleTask(self._write_all)

    async def submit(self, received: ReceivedResults) -> int:
        """Return how many rows were new, after their commit. Raises Unavailable if there was none."""
        if len(self._waiting) >= MAX_WAITING:
            raise Unavailable("Too many results are waiting to be written; send them again shortly")
        waiting = _Waiting(received)
        self._waiting.append(waiting)
        self._writer.ensure_running()
        return await waiting.accepted

    async def close(self) -> None:
        """Wait until all that was submitted is written."""
        await self._writer.close()

    async def _write_all(self) -> None:
        while self._waiting:
            group = self._next_group()
            try:
                async with transaction(self._sessions()) as session:
                    counts = await record(session, [waiting.received for waiting in group])
            except Exception as error:
                log.warning(
                    "visits_not_stored",
                    error=type(error).__name__,
                    requests=len(group),
                    exc_info=not is_unavailable(error),
                )
                for waiting in group:
                    reject(waiting.accepted, Unavailable())
            else:
                for waiting, count in zip(group, counts, strict=True):
                    resolve(waiting.accepted, count)

    def _next_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        rows = 0
        while self._waiting and rows < MAX_GROUP_ROWS:
            group.append(self._waiting.popleft())
            rows += len(group[-1].received.rows)
        return group


async def record(session: AsyncSession, requests: Sequence[ReceivedResults]) -> list[int]:
    """Judge and store the rows of several requests; return how many of each were new."""
    served = await _served(session, requests)
    rows, used = [], dict[tuple[str, int], tuple[int, ...]]()
    for received in requests:
        await asyncio.sleep(0)  # the event loop serves others in between
        for row in received.rows:
            judged = _judge(row, received, served)
            stored = _stored(row, received, judged)
            rows.append(stored)
            used.setdefault((stored["visitor"], row.seq), judged.transfers)
    inserted = await session.execute(INSERT, {"rows": orjson.dumps(rows).decode()}) if rows else ()
    new = {(row.visitor, row.seq) for row in inserted}
    await transfers.mark_reported(session, {id: key[1] for key, ids in used.items() if key in new for id in ids})
    counts = [_count_new(received, new) for received in requests]
    await transfers.add_page_bytes(session, _page_bytes(requests), max(one.received_at for one in requests))
    return counts


async def _served(session: AsyncSession, requests: Sequence[ReceivedResults]) -> dict[Any, list[Any]]:
    visitors = {
        received.visitor(row)
        for received in requests
        for row in received.rows
        if row.down is not None or row.up is not None
    }
    if not visitors:
        return {}
    return await transfers.find_unreported(session, visitors, max(received.received_at for received in requests))


def _judge(row: ResultRow, received: ReceivedResults, served: dict[Any, list[Any]]) -> JudgedResult:
    """Judge a row; each transfer is the figure of one result only."""
    visitor, site_id = received.visitor(row), received.visit.site_id
    own = {direction: served.get((visitor, site_id, direction), []) for direction in VisitDirection}
    judged = judge_row(row, received.moment(row), received.technology, received.network, own)
    for of_direction in own.values():
        of_direction[:] = [transfer for transfer in of_direction if transfer.id not in judged.transfers]
    return judged


def _stored(row: ResultRow, received: ReceivedResults, judged: JudgedResult) -> dict[str, Any]:
    return {
        "visitor": received.visitor(row).hex(),
        "seq": row.seq,
        "site_id": received.visit.site_id,
        "at": received.moment(row),
        "received_at": received.received_at,
        "late": row.age_ms > LATE_MS,
        "network": received.network,
        "rtt_us": row.median_rtt_us,
        "samples": len(row.rtt_us),
        "lost": row.lost,
        "offline_s": row.offline_s,
        "down_mbps": judged.down_mbps,
        "up_mbps": judged.up_mbps,
        "flaw": judged.flaw,
    }


def _count_new(received: ReceivedResults, new: set[tuple[str, int]]) -> int:
    """Count a request's new rows; a row that several requests brought is the first one's."""
    own = {(received.visitor(row).hex(), row.seq) for row in received.rows} & new
    new -= own
    return len(own)


def _page_bytes(requests: Sequence[ReceivedResults]) -> dict[int, int]:
    """Return what came over the sites' own links: bodies, and an estimate for all else."""
    sizes: Counter[int] = Counter()
    for received in requests:
        if received.network is VisitNetwork.SAME:
            sizes[received.visit.site_id] += received.size_bytes + REQUEST_BYTES
    return dict(sizes)
