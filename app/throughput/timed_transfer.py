"""Transfers of a speed test in one direction, timed by the server and bounded in bytes and time."""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from functools import cache
from statistics import median
from typing import ClassVar

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.core.errors import TooLarge
from probes.rate import SAMPLE_S, Sample

log = structlog.get_logger()

PAUSE_S = 0.03  # without a byte: the run of bytes before it is over
BLOCK = 65_536
BLOCKS = 16
# `Content-Encoding: identity` keeps proxies and our own middleware from compressing it.
UNBUFFERED_HEADERS = {
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
    "Content-Encoding": "identity",
    "Content-Type": "application/octet-stream",
}


class TimedTransfer:
    """Bytes transferred over time in one direction; settled once, however the transfer ends."""

    _settling: ClassVar[set[asyncio.Future[None]]] = set()  # strong references: asyncio keeps weak ones only

    def __init__(
        self, *, site_id: int, max_bytes: int, max_s: int, store: Callable[["TimedTransfer"], Awaitable[None]]
    ) -> None:
        """`store`: writes the result down; where it fails the maximum cost stays reserved."""
        self._site_id, self.max_bytes, self.max_s, self._store = site_id, max_bytes, max_s, store
        self._started = time.monotonic()
        self.bytes = 0
        self.samples = [Sample(0.0, 0)]
        self._run_began_s = self._added_s = 0.0  # since when bytes came without a pause, and when the last did
        self._ended_s = 0.0
        self._pauses_s: list[float] = []
        self.open_end = False  # the peer may send more than was counted

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    @property
    def ms(self) -> float:
        """Return how long it took, until it was settled."""
        return self._ended_s * 1000

    def add(self, size: int) -> None:
        """Count bytes; a sample is taken each SAMPLE_S, or where they come in runs, at the end of a run.

        Over a slow link the kernel, or a proxy's, takes 128 kB at a time and then nothing for a second: between samples
        in the midst of such runs a rate would be wrong by several percent.
        """
        now_s = self.elapsed_s
        if (pause_s := now_s - self._added_s) > PAUSE_S:
            self._sample(self._added_s)
            self._pauses_s.append(pause_s)
            self._run_began_s = now_s
        self.bytes += size
        self._added_s = now_s
        if now_s - self._run_began_s >= SAMPLE_S:
            self._sample(now_s)

    def _sample(self, at_s: float) -> None:
        if at_s - self.samples[-1].at_s >= SAMPLE_S:
            self.samples.append(Sample(at_s, self.bytes))

    def _sample_end(self) -> None:
        """Sample the last bytes, and the time after them where that is longer than a pause: a stall counts."""
        if self._added_s > self.samples[-1].at_s:
            self.samples.append(Sample(self._added_s, self.bytes))
        usual_s = median(self._pauses_s) if self._pauses_s else PAUSE_S
        self._ended_s = self.elapsed_s
        if self._ended_s - self._added_s > 2 * usual_s:
            self.samples.append(Sample(self._ended_s, self.bytes))

    async def settle(self) -> None:
        """Store the result, even if the request is cancelled meanwhile."""
        self._sample_end()
        settling = asyncio.ensure_future(self._settle())
        self._settling.add(settling)
        settling.add_done_callback(self._settling.discard)
        await asyncio.shield(settling)

    async def _settle(self) -> None:
        try:
            await self._store(self)
        except Exception:  # the maximum cost stays reserved
            log.exception("speedtest_not_settled", site=self._site_id)


class TimedDownload(Response):
    """Sends as many bytes as the transfer may have, or as the peer receives within its time."""

    def __init__(self, timed: TimedTransfer) -> None:
        super().__init__(headers=UNBUFFERED_HEADERS)
        del self.headers["Content-Length"]
        self._timed = timed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        timed = self._timed
        disconnected = asyncio.create_task(_wait_for_disconnect(receive))
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timed.max_s):
                    await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                    await self._send_all(send, disconnected)
        finally:
            disconnected.cancel()
            await timed.settle()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timed.max_s):  # for a peer that still receives what is buffered
                await send({"type": "http.response.body", "body": b""})

    async def _send_all(self, send: Send, disconnected: asyncio.Task[None]) -> None:
        timed, blocks, number = self._timed, _blocks(), 0
        while timed.bytes < timed.max_bytes and not disconnected.done():
            block = blocks[number % BLOCKS][: timed.max_bytes - timed.bytes]
            await send({"type": "http.response.body", "body": block, "more_body": True})
            timed.add(len(block))
            number += 1
            await asyncio.sleep(0)


async def read_upload(request: Request, timed: TimedTransfer) -> None:
    """Count and discard the body, and settle the transfer. Raises TooLarge beyond its size."""
    try:
        await _read_all(request, timed)
    finally:
        await timed.settle()


async def _read_all(request: Request, timed: TimedTransfer) -> None:
    too_large = TooLarge("This grant allows {limit} bytes", values={"limit": timed.max_bytes})
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:18]) > timed.max_bytes:
        raise too_large
    try:
        async with asyncio.timeout(timed.max_s):
            async for chunk in request.stream():
                timed.add(len(chunk))
                if timed.bytes > timed.max_bytes:
                    raise too_large
    except ClientDisconnect:
        pass
    except TimeoutError:  # most clients go on sending what they announced, whatever the response
        timed.open_end = True


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@cache
def _blocks() -> list[bytes]:
    """Return random data, which no link can compress."""
    return [os.urandom(BLOCK) for _ in range(BLOCKS)]
