"""A reader of server-sent events over a plain socket: cheap enough for hundreds, and it can pause."""

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import orjson


class Event(NamedTuple):
    kind: str
    id: str
    body: bytes

    @property
    def data(self) -> dict[str, Any]:
        return orjson.loads(self.body)  # type: ignore[no-any-return]


@dataclass
class Sse:
    status: int
    headers: dict[str, str]
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter
    _held: bytearray = field(default_factory=bytearray)

    @classmethod
    async def open(cls, port: int, path: str, headers: Mapping[str, str], *, receive_buffer: int | None = None) -> Self:
        taken = socket.socket()
        if receive_buffer is not None:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        taken.setblocking(False)
        await asyncio.get_running_loop().sock_connect(taken, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=taken)
        sent = {"Host": "127.0.0.1", "Accept-Encoding": "gzip", **headers}
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", ""]
        writer.write("\r\n".join(lines).encode())
        first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        named = (line.partition(": ") for line in rest if line)
        return cls(int(first.split()[1]), {name.lower(): value for name, _, value in named}, reader, writer)

    async def event(self, timeout_s: float = 5) -> Event:
        """Return the next event. Raises EOFError at the stream's end, TimeoutError without one for so long."""
        async with asyncio.timeout(timeout_s):
            while True:
                while (end := self._held.find(b"\n\n")) < 0:
                    self._held += await self._chunk()
                lines = [line.partition(b": ") for line in bytes(self._held[:end]).split(b"\n")]
                del self._held[: end + 2]
                fields = {name: value for name, _, value in lines}
                if b"data" in fields:
                    return Event(fields[b"event"].decode(), fields[b"id"].decode(), fields[b"data"])

    async def _chunk(self) -> bytes:
        try:
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            chunk = await self._reader.readexactly(size + 2)
        except ConnectionError as error:
            raise EOFError from error
        if size == 0:
            raise EOFError
        return chunk[:-2]

    def pause(self) -> None:
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]  # of the transport's other half

    def resume(self) -> None:
        self._writer.transport.resume_reading()  # type: ignore[attr-defined]

    def close(self) -> None:
        self._writer.transport.abort()
