"""Downloads from real loopback servers, some of them faulty."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from socket import IPPROTO_TCP, TCP_INFO

import pytest

from probes import http
from probes.throughput import SLACK_BYTES, DownloadLimits, DownloadResult, download
from simulator import shaped_server
from simulator.shaped_server import BLOCK, Shape

Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
SHORT = DownloadLimits(max_bytes=10_000_000, max_s=1.5, stall_s=0.5, answer_s=1.0)


class Server:
    """A server with a scripted behaviour; records request heads and how many bytes of its response arrived."""

    def __init__(self) -> None:
        self.port = 0
        self.heads: list[str] = []
        self.arrived = 0
        self.behave: Behave = answer("200 OK", b"")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket").dup()
        try:
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            await self.behave(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.arrived = struct.unpack_from("Q", sock.getsockopt(IPPROTO_TCP, TCP_INFO, 232), 120)[0]
            sock.close()
            writer.close()

    async def pull(self, limits: DownloadLimits = SHORT, path: str = "/objek") -> DownloadResult:
        async with http.open_client() as client:
            return await download(f"http://uji.desa.test:{self.port}{path}", "127.0.0.1", client, limits)


def answer(status: str, body: bytes, **headers: object) -> Behave:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()

    return behave


def slowly(block: bytes, every_s: float, *, announced: int, times: int = 10_000) -> Behave:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {announced}\r\n\r\n".encode())
        for _ in range(times):
            writer.write(block)
            await writer.drain()
            await asyncio.sleep(every_s)

    return behave


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server


async def test_the_rate_of_a_link_is_found(server: Server) -> None:
    shape = Shape(20, 30)
    async with await shaped_server.start(lambda address: shape) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        found = await server.pull(DownloadLimits(max_bytes=50_000_000, max_s=2))
    assert found.reason is None
    assert found.mbps == pytest.approx(20, rel=0.3)  # of a machine under load: tests/benchmarks/throughput.py is exact
    assert found.rtt_idle_ms is None


async def test_the_checked_address_is_asked_in_the_urls_name_and_for_no_more_than_may_come(server: Server) -> None:
    await server.pull()
    head = server.heads[0].lower()
    assert f"host: uji.desa.test:{server.port}" in head
    assert "range: bytes=0-9999999" in head
    assert "accept-encoding: identity" in head


async def test_no_more_arrives_than_may_from_one_who_sends_all_it_can(server: Server) -> None:
    limits = DownloadLimits(max_bytes=3_000_000, max_s=5)
    server.behave = slowly(BLOCK * 16, 0, announced=2_000_000_000)
    found = await server.pull(limits)
    assert (found.mbps, found.reason) == (None, "too_short")
    await asyncio.sleep(0.05)
    assert found.bytes <= limits.max_bytes + SLACK_BYTES
    assert 2_500_000 < server.arrived <= limits.max_bytes + SLACK_BYTES, "by the kernel's own count, with the head"


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (answer("404 Not Found", b"", Content_Length=0), "status 404"),
        (answer("500 Oops", b"x" * 100, Content_Length=100), "status 500"),
        (answer("302 Found", b"", Location="http://169.254.169.254/latest/meta-data", Content_Length=0), "redirected"),
        (answer("200 OK", b"tiny", Content_Length=4), "too_short"),
        (answer("200 OK", b"", Content_Length=0), "too_short"),
        (answer("200 OK", b"x" * 5000, Content_Length=1_000_000), "cut_off"),
        (answer("200 OK", b"x" * 500_000, Content_Length=1000), "too_short"),
        (answer("200 OK", b"x" * 100, Content_Length="many"), "no_http"),
        (answer("200 OK", b"x" * 100, Content_Length=-5), "no_http"),
        (answer("200 OK", b"zz\r\nnonsense", Transfer_Encoding="chunked"), "cut_off"),
        (answer("HELO", b"\x00\xff" * 500), "no_http"),
        (answer("200 OK", b"", X="y" * 300_000), "no_http"),
        (slowly(b"x", 0.2, announced=1_000_000), "too_little"),
        (slowly(b"x" * 2000, 0.05, announced=10_000_000, times=25), "cut_off"),
        (slowly(b"x" * 9000, 10, announced=1_000_000), "stalled"),
    ],
)
async def test_a_bad_server_gives_a_reason_and_no_figure(server: Server, behave: Behave, reason: str) -> None:
    server.behave = behave
    found = await server.pull()
    assert (found.mbps, found.reason) == (None, reason)
    assert found.seconds < 3
    assert len(server.heads) == 1, "nobody was sent on"


async def test_one_that_hangs_gives_no_answer(server: Server) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    server.behave = hang
    found = await server.pull(DownloadLimits(10_000, 5, stall_s=5, answer_s=0.3))
    assert found == DownloadResult(reason="no_answer")


async def test_a_head_that_comes_byte_by_byte_is_given_up(server: Server) -> None:
    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n" * 100:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)

    server.behave = dribble
    assert await server.pull(DownloadLimits(10_000, 5, stall_s=5, answer_s=0.4)) == DownloadResult(reason="no_answer")


async def test_where_nobody_listens_it_is_refused(server: Server) -> None:
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
    server.port = port
    assert await server.pull() == DownloadResult(reason="refused")


async def test_what_comes_zipped_is_counted_as_it_came(server: Server) -> None:
    server.behave = answer("200 OK", b"\x1f\x8b" + b"x" * 5000, Content_Encoding="gzip", Content_Length=5002)
    assert (await server.pull()).bytes == 5002
