"""An HTTP server that is as fast as a link would let it be: what tests of speed are held against.

The rate begins as TCP does, with ten segments a round trip, doubles with each one until the link is full, and stays.
"""

import asyncio
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from socket import socket

FIRST_WINDOW = 10 * 1460
TICK_S = 0.004
BLOCK = random.Random(1).randbytes(65536)
LONGEST = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Shape:
    """A link of `mbps` over a path of `rtt_ms`, on which what was sent comes up to `jitter_ms` late."""

    mbps: float
    rtt_ms: float = 30.0
    jitter_ms: float = 5.0

    @property
    def bytes_per_s(self) -> float:
        return self.mbps * 1e6 / 8

    def full_after_s(self) -> float:
        """How long the rate rises."""
        trips = math.log2(max(1.0, self.bytes_per_s * self.rtt_ms / 1000 / FIRST_WINDOW))
        return trips * self.rtt_ms / 1000

    def bytes_by(self, elapsed_s: float) -> float:
        """How much came through within so long."""
        if elapsed_s <= 0:
            return 0.0
        full_s, rtt_s = self.full_after_s(), max(self.rtt_ms, 0.001) / 1000
        rising_s = min(elapsed_s, full_s)
        risen = FIRST_WINDOW / math.log(2) * (2 ** (rising_s / rtt_s) - 1)
        return risen + self.bytes_per_s * max(0.0, elapsed_s - full_s)


ShapeOf = Callable[[str], Shape]  # by the address that was connected to


async def start(
    shape_of: ShapeOf,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    sock: socket | None = None,
    headers: Iterable[str] = (),
) -> asyncio.Server:
    """Answers every GET with as much as is taken; `sock` is one that was made elsewhere (not yet listening, or so)."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            shape = shape_of(writer.get_extra_info("sockname")[0])
            head = ["HTTP/1.1 200 OK", f"Content-Length: {LONGEST}", "Connection: close", *headers]
            writer.write("\r\n".join([*head, "", ""]).encode())
            await send(writer, shape)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    if sock is not None:
        return await asyncio.start_server(serve, sock=sock)
    return await asyncio.start_server(serve, host, port)


async def send(writer: asyncio.StreamWriter, shape: Shape, *, size: int = LONGEST) -> None:
    """Until `size` bytes are sent, or the reader hangs up."""
    writer.transport.set_write_buffer_limits(high=len(BLOCK))
    chance, loop, sent = random.Random(), asyncio.get_running_loop(), 0
    began = loop.time()
    while sent < size:
        late_s = chance.uniform(0, shape.jitter_ms / 1000)
        due = min(size, int(shape.bytes_by(loop.time() - began - late_s)))
        while sent < due:
            block = BLOCK[: due - sent]
            writer.write(block)
            await writer.drain()
            sent += len(block)
        await asyncio.sleep(TICK_S)
