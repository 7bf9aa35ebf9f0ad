"""An HTTP client like a small device's: one connection a request, from the site's own address."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT_S = 15.0
_MOST_BYTES = 1 << 20
_BUFFER = 65_536  # small, or a speed test would measure the kernel's buffers

Send = Callable[[asyncio.StreamWriter], Awaitable[None]]
Read = Callable[[asyncio.StreamReader], Awaitable[None]]


class NoResponse(Exception):
    """Nothing listens, the time ran out, or the response was not HTTP."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    status: int
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class HttpClient:
    """`server` is like http://127.254.0.1:8000; no connection is kept."""

    server: str
    source: str

    async def post(
        self, path: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float = TIMEOUT_S
    ) -> HttpResponse:
        async def send(writer: asyncio.StreamWriter) -> None:
            writer.write(body)

        return await self.request("POST", path, headers, size=len(body), send=send, timeout_s=timeout_s)

    async def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        size: int = 0,
        send: Send | None = None,
        read: Read | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> HttpResponse:
        """Send a request; `read` consumes a long body, else the response holds it. Raises NoResponse."""
        try:
            async with asyncio.timeout(timeout_s), self._open() as (reader, writer):
                writer.write(self._head(method, path, headers, size))
                if send is not None:
                    await send(writer)
                await writer.drain()
                status = int((await reader.readline()).split()[1])
                while (await reader.readline()).strip():
                    pass
                if read is None:
                    return HttpResponse(status, await reader.read(_MOST_BYTES))
                await read(reader)
                return HttpResponse(status)
        except (OSError, TimeoutError, ValueError, IndexError, asyncio.IncompleteReadError) as problem:
            raise NoResponse(str(problem)) from problem

    def _head(self, method: str, path: str, headers: Mapping[str, str], size: int) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(self.server).netloc}", "Connection: close"]
        lines += [f"Content-Length: {size}"] if method == "POST" else []
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode()

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        parts = urlsplit(self.server)
        sock = socket.socket()
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            sock.bind((self.source, 0))
            await asyncio.get_running_loop().sock_connect(sock, (parts.hostname, parts.port))
        except BaseException:
            sock.close()
            raise
        reader, writer = await asyncio.open_connection(sock=sock)
        try:
            yield reader, writer
        finally:
            writer.transport.abort() if reader.exception() else writer.close()
