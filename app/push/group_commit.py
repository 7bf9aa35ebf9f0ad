"""Group commit: pushes wait for one flusher, which writes all that wait in one transaction. Who is answered is kept."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from app.core.errors import Unavailable
from app.postgres.engine import Sessions, is_refused, sqlstate, transaction
from app.push import inbox, receipts
from app.push.dedupe import Arrived, Taken
from app.push.receipts import Overtaken

log = structlog.get_logger()

GROUP, GROUP_ROWS = 500, 20_000  # a transaction's most
WAITING, WAITING_ROWS = 5_000, 200_000  # beyond it devices keep what they have: 503
TRIES = 4
AGAIN = {"40P01", "40001"}  # a deadlock, a serialization failure: nothing is wrong with the data


class TooBusy(Unavailable):
    type, title = "too-busy", "More is coming in than can be written; send it again shortly"


class Ingest:
    def __init__(self, sessions: Callable[[], Sessions]) -> None:
        self._sessions = sessions
        self._waiting: deque[tuple[Arrived, asyncio.Future[Taken]]] = deque()
        self._rows = 0
        self._flushing: asyncio.Task[None] | None = None
        self._has_begun = False

    def __len__(self) -> int:
        return len(self._waiting)

    async def take(self, arrived: Arrived) -> Taken:
        """Returns after the commit. Raises Unavailable where there was none, or nobody knows whether there was."""
        if len(self._waiting) >= WAITING or self._rows >= WAITING_ROWS:
            raise TooBusy
        future: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        self._waiting.append((arrived, future))
        self._rows += len(arrived.placed)
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        return await future

    async def close(self) -> None:
        """Waits for what was sent in time."""
        if self._flushing is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._flushing

    async def _flush(self) -> None:
        while self._waiting:
            group = self._next_group()
            try:
                await self._write(group)
            finally:
                for _, future in group:
                    if not future.done():
                        future.set_exception(Unavailable())
                        future.exception()  # seen, though its request may be gone

    def _next_group(self) -> list[tuple[Arrived, asyncio.Future[Taken]]]:
        group: list[tuple[Arrived, asyncio.Future[Taken]]] = []
        rows = 0
        while self._waiting and len(group) < GROUP and rows < GROUP_ROWS:
            one = self._waiting.popleft()
            rows += len(one[0].placed)
            group.append(one)
        self._rows -= rows
        return group

    async def _write(self, group: Sequence[tuple[Arrived, asyncio.Future[Taken]]]) -> None:
        """What the database refuses is looked for by halves: it takes no other with it."""
        try:
            taken = await self._commit([arrived for arrived, _ in group])
        except Exception as error:
            if is_refused(error) and len(group) > 1:
                middle = len(group) // 2
                await self._write(group[:middle])
                await self._write(group[middle:])
                return
            site = group[0][0].site_id if len(group) == 1 else None
            log.warning("not_taken", error=type(error).__name__, pushes=len(group), site=site)
            return
        for (_, future), one in zip(group, taken, strict=True):
            if not future.done():  # its request may be gone: what it sent is kept all the same
                future.set_result(one)

    async def _commit(self, arrivals: list[Arrived]) -> list[Taken]:
        for tries_left in range(TRIES - 1, -1, -1):
            try:
                async with transaction(self._sessions()) as session:
                    if not self._has_begun:
                        await inbox.put(session, [inbox.begun(arrivals[0].received_at)])
                    taken = await receipts.take(session, arrivals)
                self._has_begun = True
                return taken
            except Exception as error:
                again = isinstance(error, Overtaken) or sqlstate(error) in AGAIN
                if not again or not tries_left:
                    raise
        raise AssertionError("unreachable")
