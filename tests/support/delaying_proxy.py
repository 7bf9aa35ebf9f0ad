"""A TCP proxy that delays what it passes on, either way, and holds no more than a link of that delay would."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK, BUFFER = 16_384, 131_072


class DelayingProxy:
    """`way_s`: how long a byte is under way."""

    def __init__(self, target: int, *, way_s: float) -> None:
        self._target, self._way_s, self._window = target, way_s, CHUNK

    def expect(self, mbps: float) -> None:
        """Let so much be under way as such a link needs, on connections that come from now on."""
        self._window = max(4 * CHUNK, round(mbps * 125_000 * self._way_s * 2))

    @asynccontextmanager
    async def listening(self, host: str) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, host, 0, limit=CHUNK)
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            theirs, ours = socket.socket(), writer.get_extra_info("socket")
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                theirs.setsockopt(socket.SOL_SOCKET, option, BUFFER)
                ours.setsockopt(socket.SOL_SOCKET, option, BUFFER)
            theirs.setblocking(False)
            await asyncio.get_running_loop().sock_connect(theirs, ("127.0.0.1", self._target))
            upstream, downstream = await asyncio.open_connection(sock=theirs, limit=CHUNK)
            await asyncio.gather(self._pass(reader, downstream), self._pass(upstream, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(self._window // CHUNK)
        writer.transport.set_write_buffer_limits(4 * CHUNK)

        async def deliver() -> None:
            while (arrived := await under_way.get())[1]:
                await asyncio.sleep(max(0.0, arrived[0] - loop.time()))
                writer.write(arrived[1])
                await writer.drain()

        delivering = asyncio.create_task(deliver())
        try:
            with suppress(OSError):
                while data := await reader.read(CHUNK):
                    await under_way.put((loop.time() + self._way_s, data))
            await under_way.put((loop.time(), b""))
            with suppress(OSError):
                await delivering
        finally:
            delivering.cancel()
            writer.close()
