"""Connections that are slow, silent, too large or too many, over real sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime

import pytest
import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from app.runtime import connection_table, connections
from app.settings import LimitsSettings, Settings
from tests.support.demo_process import free_port
from tests.support.served_api import Server

pytestmark = pytest.mark.real_time

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the size of the body; `/early` before it is complete; `/slow` after two seconds."""
    request = Request(scope, receive)
    size = 0
    if request.url.path == "/slow":
        await asyncio.sleep(2)
    if request.url.path != "/early":
        try:
            async for part in request.stream():
                size += len(part)
        except ClientDisconnect:
            return
    await PlainTextResponse(str(size))(scope, receive, send)


@asynccontextmanager
async def listening(*, proxies: Sequence[str] = (), **limits: int) -> AsyncIterator[int]:
    port = free_port()
    settings = Settings(database_url=None, trusted_proxies=list(proxies), limits=LimitsSettings(**limits))
    http = connections.connections(settings, max_files=1024)
    config = uvicorn.Config(app, http=http, ws="none", port=port, log_config=None, lifespan="off", log_level="error")  # type: ignore[arg-type]
    server = Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  # watched from outside
        await asyncio.sleep(0.02)
    try:
        yield port
    finally:
        server.should_exit = True
        await running


class Peer:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> bytes:
        """Return the status line of a response and read its body; b"" once disconnected."""
        try:
            head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 8)
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""
        [size] = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        await self._reader.readexactly(size)
        return head.split(b"\r\n")[0]

    async def status(self) -> int:
        line = await self.answer()
        return int(line.split()[1]) if line else 0

    async def is_open(self) -> bool:
        """Whether it is still connected; whatever arrives is dropped."""
        try:
            async with asyncio.timeout(0.2):
                return bool(await self._reader.read(65_536))
        except TimeoutError:
            return True
        except ConnectionError:
            return False

    async def wait_until_cut(self, within_s: float) -> bytes:
        """Return what it sent before it disconnected."""
        received = b""
        async with asyncio.timeout(within_s):
            with contextlib.suppress(ConnectionError):  # it was sent something after it had disconnected
                while piece := await self._reader.read(4_096):
                    received += piece
        return received

    async def flood(self, data: bytes, *, every_s: float = 0) -> int:
        """Send it again and again until it is disconnected; return how many bytes, at most 30 million."""
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 30_000_000:
                await self.send(data)
                sent += len(data)
                await asyncio.sleep(every_s)
        return sent

    def close(self) -> None:
        self._writer.transport.abort()  # what is not sent yet may never be


@asynccontextmanager
async def peers(port: int) -> AsyncIterator[Callable[[], "asyncio.Future[Peer]"]]:
    opened: list[Peer] = []

    async def connect() -> Peer:
        opened.append(Peer(*await asyncio.open_connection("127.0.0.1", port)))
        return opened[-1]

    yield lambda: asyncio.ensure_future(connect())
    for peer in opened:
        peer.close()
    await asyncio.sleep(0)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits in seconds, not in minutes."""
    monkeypatch.setattr(connection_table, "CHECK_S", 0.1)
    for name, value in {"HEADER_S": 1.0, "BODY_S": 1.0, "LINGER_S": 1.0, "IDLE_S": 1.0}.items():
        monkeypatch.setattr(connections, name, value)


async def trickle(peer: Peer, data: bytes, every_s: float) -> None:
    """Send one byte after another, until it is disconnected."""
    try:
        for byte in data:
            await peer.send(bytes([byte]))
            await asyncio.sleep(every_s)
    except ConnectionError:
        pass


@pytest.mark.usefixtures("hurried")
async def test_a_silent_connection_is_cut_off() -> None:
    async with listening() as port, peers(port) as connect:
        silent = await connect()
        assert b" 408 " in await silent.wait_until_cut(5)


@pytest.mark.usefixtures("hurried")
async def test_a_header_that_comes_byte_by_byte_is_cut_off() -> None:
    async with listening() as port, peers(port) as connect:
        slow = await connect()
        sending = asyncio.create_task(trickle(slow, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100, 0.2))
        assert b" 408 " in await slow.wait_until_cut(5)
        sending.cancel()


@pytest.mark.usefixtures("hurried")
async def test_a_second_header_has_no_more_time_than_the_first() -> None:
    async with listening() as port, peers(port) as connect:
        slow = await connect()
        await slow.send(GET)
        assert await slow.status() == 200
        sending = asyncio.create_task(trickle(slow, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100, 0.2))
        assert b" 408 " in await slow.wait_until_cut(5)
        sending.cancel()


@pytest.mark.usefixtures("hurried")
async def test_an_idle_connection_is_closed_even_if_it_sends_blank_lines() -> None:
    async with listening() as port, peers(port) as connect:
        idle = await connect()
        await idle.send(GET)
        assert await idle.status() == 200
        sending = asyncio.create_task(trickle(idle, b"\r\n" * 50, 0.2))
        assert await idle.wait_until_cut(5) == b""
        sending.cancel()


@pytest.mark.usefixtures("hurried")
async def test_a_body_that_comes_too_slowly_is_cut_off_and_one_at_a_fair_rate_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with listening() as port, peers(port) as connect:
        slow = await connect()
        await slow.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n")
        sending = asyncio.create_task(trickle(slow, b"x" * 9000, 0.2))
        assert b" 408 " in await slow.wait_until_cut(5)
        sending.cancel()
        monkeypatch.setattr(connections, "BODY_BYTES_PER_S", 1)
        fair = await connect()
        await fair.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n" + b"x" * 10)
        for _ in range(9):
            await asyncio.sleep(0.2)
            await fair.send(b"x" * 10)
        assert await fair.status() == 200


@pytest.mark.usefixtures("hurried")
async def test_a_request_that_we_answer_slowly_is_not_cut_off() -> None:
    async with listening() as port, peers(port) as connect:
        waiting = await connect()
        await waiting.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await waiting.status() == 200


@pytest.mark.usefixtures("hurried")
async def test_a_body_that_goes_on_after_its_answer_is_cut_off() -> None:
    async with listening() as port, peers(port) as connect:
        flooding = await connect()
        await flooding.send(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
        assert await flooding.status() == 200
        assert await flooding.flood(b"x" * 10_000, every_s=0.01) < 10_000_000


@pytest.mark.parametrize("field", [b"Connection: close\r\n", b""])
async def test_who_sends_all_of_a_body_first_reads_the_answer_that_came_early(field: bytes) -> None:
    """As Python and many a router do: a reset would take the answer away."""
    size = 10_000_000
    async with listening() as port, peers(port) as connect:
        peer = await connect()
        head = b"POST /early HTTP/1.1\r\nHost: x\r\n" + field + b"Content-Length: %d\r\n\r\n" % size
        await peer.send(head + b"x" * size)
        assert await peer.status() == 200
        assert await peer.is_open() is (not field)


async def test_no_more_is_read_of_an_answered_body_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LINGER_BYTES", 1_000_000)
    async with listening() as port, peers(port) as connect:
        peer = await connect()
        await peer.send(b"POST /early HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 99000000\r\n\r\n")
        assert await peer.status() == 200
        assert await peer.flood(b"x" * 100_000) < 20_000_000


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 40_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 101 + b"\r\n",
    ],
    ids=["request line", "field", "number of fields"],
)
async def test_too_large_a_header_is_refused(head: bytes) -> None:
    async with listening() as port, peers(port) as connect:
        peer = await connect()
        await peer.send(head)
        assert await peer.status() == 431
        fitting = await connect()
        await fitting.send(b"GET /" + b"x" * 8_000 + b" HTTP/1.1\r\nCookie: " + b"y" * 8_000 + b"\r\n\r\n")
        assert await fitting.status() == 200


@pytest.mark.parametrize(
    "start",
    [
        b"GET /",
        b"GET / HTTP/1.1\r\nX: ",
        b"GET / HTTP/1.1\r\nX",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
        b"\r\n" * 20,
    ],
    ids=["request line", "value", "name", "chunk extension", "trailer", "blank lines"],
)
async def test_what_never_ends_is_cut_off_before_it_fills_the_memory(start: bytes) -> None:
    async with listening() as port, peers(port) as connect:
        peer = await connect()
        await peer.send(start)
        filler = b"\r\n" * 5_000 if start.startswith(b"\r\n") else b"y" * 10_000
        assert await peer.flood(filler) < 20_000_000, "most of it in the buffers of the kernel"


async def test_a_response_is_dated_as_of_its_request() -> None:
    dates = list[datetime]()
    async with listening() as port, peers(port) as connect:
        for _ in range(2):
            peer = await connect()
            await peer.send(GET.replace(b"Host", b"Connection: close\r\nHost"))
            lines = (await peer.wait_until_cut(8)).decode().splitlines()
            dates += [parsedate_to_datetime(line[6:]) for line in lines if line.startswith("date: ")]
            await asyncio.sleep(1)
    assert len(dates) == 2
    assert dates[0] < dates[1]


async def test_large_bodies_and_many_requests_at_once_are_read_whole() -> None:
    async with listening() as port, peers(port) as connect:
        peer = await connect()
        await peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n" + b"x" * 900_000 + GET * 20)
        assert [await peer.status() for _ in range(21)] == [200] * 21
        await peer.send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 9_000 + b"0\r\n\r\n")
        assert await peer.status() == 200


async def test_a_silent_neighbour_behind_the_same_address_locks_nobody_out() -> None:
    async with listening(connections_per_address=5) as port, peers(port) as connect:
        silent = [await connect() for _ in range(5)]
        await asyncio.sleep(0.1)
        for _ in range(3):
            device = await connect()
            await device.send(GET)
            assert await device.status() == 200
            device.close()
            await asyncio.sleep(0.1)
        assert not await silent[0].is_open(), "the longest silent one made room"
        assert await silent[4].is_open()


async def test_bodies_that_never_end_lock_nobody_out() -> None:
    async with listening(connections=10) as port, peers(port) as connect:
        busy = await connect()
        await busy.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        for number in range(9):
            path = b"/early" if number % 2 else b"/"
            await (await connect()).send(b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\nx")
        await asyncio.sleep(0.2)
        new = await connect()
        await new.send(GET)
        assert await new.status() == 200
        assert await busy.status() == 200


async def test_half_a_request_behind_a_whole_one_locks_nobody_out() -> None:
    async with listening(connections=10) as port, peers(port) as connect:
        for _ in range(10):
            half = await connect()
            await half.send(GET + b"GET / HTTP/1.1\r\nHost:")
            assert await half.status() == 200
        new = await connect()
        await new.send(GET)
        assert await new.status() == 200


async def test_requests_that_we_still_answer_count_as_a_clients_share() -> None:
    async with listening(connections_per_address=3) as port, peers(port) as connect:
        busy = [await connect() for _ in range(3)]
        for peer in busy:
            await peer.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(0.1)
        assert await (await connect()).status() == 429
        assert [await peer.status() for peer in busy] == [200] * 3


async def test_a_trusted_proxy_holds_as_many_as_it_needs() -> None:
    async with listening(connections_per_address=1, proxies=["unix", "127.0.0.0/8"]) as port, peers(port) as connect:
        for peer in [await connect() for _ in range(3)]:
            await peer.send(GET)
            assert await peer.status() == 200


async def test_when_all_are_taken_the_one_that_waits_longest_makes_room() -> None:
    async with listening(connections=10) as port, peers(port) as connect:
        busy = await connect()
        await busy.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        silent = [await connect() for _ in range(9)]
        await asyncio.sleep(0.1)
        new = await connect()
        await new.send(GET)
        assert await new.status() == 200
        assert [await peer.is_open() for peer in silent] == [False] + [True] * 8
        assert await busy.status() == 200


def test_a_process_keeps_files_for_itself() -> None:
    settings = Settings(database_url=None)
    few = connections.connections(settings, max_files=256).keywords["table"]  # type: ignore[attr-defined]
    assert few.max_open == 56
