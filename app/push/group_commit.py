"""Group commit: one writer commits all waiting pushes in one transaction; each is answered after the commit."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from app.core.errors import Problem, Unavailable
from app.core.single_task import SingleTask, reject, resolve
from app.postgres.engine import Sessions, is_unavailable, sqlstate, transaction
from app.push import inbox, receipts
from app.push.dedupe import PushResult, ReceivedPush
from app.push.inbox import Delivery
from app.push.receipts import ReceiptConflict

log = structlog.get_logger()

MAX_GROUP, MAX_GROUP_ROWS = 500, 8_000  # of one transaction
MAX_WAITING, MAX_WAITING_ROWS = 5_000, 60_000  # beyond it pushes are answered with 503, and devices keep their rows
ATTEMPTS = 4
RETRY_AT_ONCE = {"40P01", "40001"}  # deadlock, serialization failure: nothing is wrong with the data

Waiting = tuple[ReceivedPush, asyncio.Future[PushResult]]


class TooBusy(Unavailable):
    type, title = "too-busy", "Too many pushes are waiting to be written; send it again shortly"


class NotStored(Problem):
    """The push itself cannot be written, by a fault of ours: its device keeps its rows and sends them again."""


class GroupCommit:
    def __init__(self, sessions: Callable[[], Sessions], *, announces_start: bool = False) -> None:
        """`announces_start`: enqueue the start of this process with its first group: it excuses pushes due then.

        The first group after the database was unavailable does the same: what was sent meanwhile was refused. Only
        ingest does: whoever could end an api process would excuse them at will.
        """
        self._sessions = sessions
        self._waiting: deque[Waiting] = deque()
        self._rows = 0  # of all that wait
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._writer = SingleTask(self._write_all)
        self._announces_start = self._start_due = announces_start

    def __len__(self) -> int:
        """How many pushes wait for their commit."""
        return len(self._waiting)

    async def wait_for_room(self) -> None:
        """Wait while so many rows wait for their commit that no more need be parsed."""
        await self._has_room.wait()

    async def submit(self, received: ReceivedPush) -> PushResult:
        """Return after the commit.

        Raises Unavailable if there was no commit or its outcome is unknown, NotStored if this push cannot be written.
        """
        if len(self._waiting) >= MAX_WAITING or self._rows >= MAX_WAITING_ROWS:
            raise TooBusy
        future: asyncio.Future[PushResult] = asyncio.get_running_loop().create_future()
        self._waiting.append((received, future))
        self._add_rows(len(received.rows))
        self._writer.ensure_running()
        return await future

    async def close(self) -> None:
        """Wait until all that was submitted is written."""
        await self._writer.close()

    async def _write_all(self) -> None:
        while self._waiting:
            group = self._next_group()
            try:
                await self._write(group)
            finally:
                for _, future in group:
                    reject(future, Unavailable())

    def _next_group(self) -> list[Waiting]:
        group: list[Waiting] = []
        rows = 0
        while self._waiting and len(group) < MAX_GROUP and rows < MAX_GROUP_ROWS:
            waiting = self._waiting.popleft()
            rows += len(waiting[0].rows)
            group.append(waiting)
        self._add_rows(-rows)
        return group

    def _add_rows(self, count: int) -> None:
        self._rows += count
        if self._rows < MAX_GROUP_ROWS:
            self._has_room.set()
        else:
            self._has_room.clear()

    async def _write(self, group: Sequence[Waiting]) -> None:
        """Commit a group. If it cannot be written though the database is available, find the faulty push by halves.

        The faulty push alone fails with NotStored. Futures left open here are failed with Unavailable by the caller.
        """
        try:
            results = await self._commit([received for received, _ in group])
        except Exception as error:
            if is_unavailable(error) or isinstance(error, ReceiptConflict):
                log.warning("push_commit_unavailable", error=type(error).__name__, pushes=len(group))
                self._start_due = self._announces_start
            elif len(group) > 1:
                middle = len(group) // 2
                await self._write(group[:middle])
                await self._write(group[middle:])
            else:
                [(received, future)] = group
                site_id = received.site and received.site.site_id
                log.error("push_not_stored", site=site_id, rows=len(received.rows), exc_info=error)
                reject(future, NotStored())
            return
        for (_, future), result in zip(group, results, strict=True):
            resolve(future, result)

    async def _commit(self, pushes: list[ReceivedPush]) -> list[PushResult]:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with transaction(self._sessions()) as session:
                    if self._start_due:
                        await inbox.enqueue(session, [Delivery.api_start(pushes[0].received_at)])
                    results = await receipts.record_pushes(session, pushes)
                self._start_due = False
                return results
            except Exception as error:
                may_retry = isinstance(error, ReceiptConflict) or sqlstate(error) in RETRY_AT_ONCE
                if not may_retry or attempt == ATTEMPTS:
                    raise
        raise AssertionError("unreachable")
