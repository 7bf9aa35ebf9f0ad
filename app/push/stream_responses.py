"""The two long requests of a stream: one carries the device's lines, each two beats, the other ours.

Two, since curl reads no response while it waits for what it is to send (docs/adr/0047-held-streams.md).
"""

import asyncio
import time
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from app.core.stream_cost import DEVICE_LINE_BYTES, server_lines
from app.push.device_streams import DeviceStreams, Half
from app.push.stream_lines import BadLine, LineReader
from app.streams.held import LATE_S
from app.web.held_requests import hold

SILENT_ROUNDS = 3  # after so many without a line the request is ended
UNBUFFERED = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no", "Connection": "close"}


class DeviceLines(Response):
    """Reads the device's lines for as long as they come; then answers that the request is over."""

    media_type = "text/plain"

    def __init__(self, streams: DeviceStreams, half: Half) -> None:
        super().__init__("end\n", headers=UNBUFFERED)
        self._streams, self._half = streams, half

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hold(scope)
        try:
            is_gone = await self._read_all(receive)
        finally:
            self._streams.close(self._half, carries_lines=True)
        if not is_gone:
            await super().__call__(scope, receive, send)

    async def _read_all(self, receive: Receive) -> bool:
        """Return whether the device is gone; else its stream has ended."""
        half, lines = self._half, LineReader(time.time())
        missed_rounds, reading = 0, _Reading(receive)
        try:
            while True:
                left_s = half.stream.due_at + LATE_S - time.time() + missed_rounds * 2 * half.stream.beat_s
                await _first_of(reading.task, half.ended, timeout_s=left_s)
                if half.ended.done():
                    return False
                if not reading.task.done():
                    self._streams.held.miss(half.stream, time.time())
                    missed_rounds += 1
                    if missed_rounds > SILENT_ROUNDS:
                        return False
                    continue
                message = reading.task.result()
                missed_rounds = 0
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return bool(message["type"] != "http.request")
                self._take(lines.read(message.get("body", b""), time.time()))
                if not await self._streams.is_allowed(half):
                    return False
                reading.next()
        except BadLine:
            return False
        finally:
            reading.task.cancel()
            half.end()

    def _take(self, uptimes: list[float]) -> None:
        half, at = self._half, time.time()
        for uptime_s in uptimes:
            self._streams.held.read_line(half.stream, uptime_s, at)
            self._streams.note(half, DEVICE_LINE_BYTES)


class OurLines(Response):
    """Writes `beat <seconds>` at once, then a dot each two beats; at our own stop `wait <seconds>`.

    To a device that asks for its first dot after more than two beats, all come so seldom.
    """

    media_type = "text/plain"

    def __init__(self, streams: DeviceStreams, half: Half, first_s: float) -> None:
        super().__init__(headers=UNBUFFERED)
        del self.headers["content-length"]
        self._streams, self._half, self._first_s = streams, half, first_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hold(scope)
        half, loop = self._half, asyncio.get_running_loop()
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await _write(send, f"beat {half.stream.beat_s}\n".encode())
            due = loop.time() + self._first_s
            every_s, size = server_lines(self._first_s, half.stream.beat_s, half.site.beat_s)
            while True:
                await _first_of(gone, half.ended, timeout_s=due - loop.time())
                if gone.done():
                    return
                if half.ended.done():
                    break
                await _write(send, b".\n")
                self._streams.note(half, size)
                due += every_s
            wait_s = half.ended.result()
            await _write(send, b"" if wait_s is None else f"wait {wait_s}\n".encode(), more=False)
        finally:
            gone.cancel()
            self._streams.close(half, carries_lines=False)


class _Reading:
    """One message at a time, in a task that outlives a timeout."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.next()

    def next(self) -> None:
        self.task: asyncio.Task[Message] = asyncio.ensure_future(self._receive())


async def _first_of(*futures: asyncio.Future[Any], timeout_s: float) -> None:
    await asyncio.wait(futures, timeout=max(0.0, timeout_s), return_when=asyncio.FIRST_COMPLETED)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _write(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
