"""An HTTP server limited to the rate of a simulated link, for speed tests.

As in TCP the rate begins with ten segments a round trip and doubles with each one until the link is full.
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
CONTENT_LENGTH = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Shape:
    """A link of `mbps` over a path of `rtt_ms`, on which data arrives up to `jitter_ms` late."""

    mbps: float
    rtt_ms: float = 30.0
    jitter_ms: float = 5.0

    @property
    def bytes_per_s(self) -> float:
        return self.mbps * 1e6 / 8

    def full_after_s(self) -> float:
        """Return how long the rate rises."""
        trips = math.log2(max(1.0, self.bytes_per_s * self.rtt_ms / 1000 / FIRST_WINDOW))
        return trips * self.rtt_ms / 1000

    def bytes_by(self, elapsed_s: float) -> float:
        """Return how many bytes pass within so many seconds."""
        if elapsed_s <= 0:
            return 0.0
        full_s, rtt_s = self.full_after_s(), max(self.rtt_ms, 0.001) / 1000
        rising_s = min(elapsed_s, full_s)
        risen = FIRST_WINDOW / math.log(2) * (2 ** (rising_s / rtt_s) - 1)
        return risen + self.bytes_per_s * max(0.0, elapsed_s - full_s)


ShapeOf = Callable[[str], Shape]  # by the address connected to
IsCut = Callable[[str], bool]  # whether nothing passes the link of that address now


async def start(
    shape_of: ShapeOf,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    sock: socket | None = None,
    headers: Iterable[str] = (),
    is_cut: IsCut = lambda address: False,
) -> asyncio.Server:
    """Serve endless responses to GET; `sock` is a bound socket to use instead of `host` and `port`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            address = writer.get_extra_info("sockname")[0]
            head = ["HTTP/1.1 200 OK", f"Content-Length: {CONTENT_LENGTH}", "Connection: close", *headers]
            writer.write("\r\n".join([*head, "", ""]).encode())
            await send(writer, shape_of(address), is_cut=lambda: is_cut(address))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    if sock is not None:
        return await asyncio.start_server(serve, sock=sock)
    return await asyncio.start_server(serve, host, port)


async def send(
    writer: asyncio.StreamWriter,
    shape: Shape,
    *,
    size: int = CONTENT_LENGTH,
    is_cut: Callable[[], bool] = lambda: False,
) -> None:
    """Send `size` bytes at the link's rate, or until the reader hangs up; none while the link is cut."""
    writer.transport.set_write_buffer_limits(high=len(BLOCK))
    random_jitter, loop, sent = random.Random(), asyncio.get_running_loop(), 0
    began = loop.time()
    while sent < size:
        late_s = random_jitter.uniform(0, shape.jitter_ms / 1000)
        due = sent if is_cut() else min(size, int(shape.bytes_by(loop.time() - began - late_s)))
        while sent < due:
            block = BLOCK[: due - sent]
            writer.write(block)
            await writer.drain()
            sent += len(block)
        await asyncio.sleep(TICK_S)
