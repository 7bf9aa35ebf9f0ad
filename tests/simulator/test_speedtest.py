"""An agent's test of its speed, against a real HTTP server that is as fast as anyone takes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from simulator import shaped_server
from simulator.host_plan import SimulatedHost
from simulator.http_client import HttpClient
from simulator.shaped_server import Shape
from simulator.speedtest import AgentSpeedtest, delivered_share, link_shape

HOST = SimulatedHost("127.9.8.1", "leo", "64.02.05.2003-01", probe="push", down_mbps=40.0, up_mbps=20.0)
DOWN, UP = 300_000, 100_000


class Server:
    def __init__(self) -> None:
        self.url = ""
        self.uploaded = 0
        self.report: dict[str, Any] = {}
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        self.asked.append(head[0].rsplit(" ", 1)[0])
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        if head[0].startswith("GET"):
            writer.write(b"x" * DOWN)
        else:
            body = await reader.readexactly(int(headers["Content-Length"]))
            if "report" in head[0]:
                self.report = json.loads(body)
            else:
                self.uploaded = len(body)
        await writer.drain()
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    yield made
    listening.close()
    await listening.wait_closed()


async def _read_within(reader: asyncio.StreamReader, seconds: float) -> bytes:
    """Return all that arrives within so many seconds."""
    found = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                found += await reader.read(65_536)
    return found


async def test_a_download_stalls_while_its_link_is_cut() -> None:
    cut = False
    async with await shaped_server.start(lambda _: Shape(100), is_cut=lambda _: cut) as serving:
        reader, writer = await asyncio.open_connection(*serving.sockets[0].getsockname())
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await reader.readexactly(50_000)
        cut = True
        arrived = [await _read_within(reader, 0.2) for _ in range(3)]
        assert arrived[-1] == b"", "only what was on its way arrives"
        cut = False
        await reader.readexactly(50_000)
        writer.close()


async def test_a_speed_test_downloads_uploads_and_reports_no_more_than_the_link_rate(server: Server) -> None:
    test = AgentSpeedtest(HttpClient(server.url, HOST.address), HOST, lambda: 40.0)
    await test.run("c0de", {"down_bytes": DOWN, "up_bytes": UP, "max_s": 5})
    assert server.asked == [
        "GET /api/v1/speedtest?grant=c0de",
        "POST /api/v1/speedtest?grant=c0de",
        "POST /api/v1/speedtest/report",
    ]
    said = server.report
    assert (said["down_bytes"], said["up_bytes"], server.uploaded) == (DOWN, UP, UP)
    assert said["down_bytes"] * 8 / said["down_ms"] / 1000 < HOST.down_mbps
    assert said["up_bytes"] * 8 / said["up_ms"] / 1000 < HOST.up_mbps
    assert (said["grant"], said["rtt_idle_ms"]) == ("c0de", 40.0)


async def test_without_an_upload_or_a_response_nothing_is_invented(server: Server) -> None:
    test = AgentSpeedtest(HttpClient(server.url, HOST.address), HOST, lambda: None)
    await test.run("c0de", {"down_bytes": DOWN})
    assert "up_bytes" not in server.report
    assert server.report["rtt_loaded_ms"] is None
    nobody = AgentSpeedtest(HttpClient("http://127.0.0.1:1", HOST.address), HOST, lambda: None)
    await nobody.run("c0de", {})


def test_some_links_deliver_far_less_than_their_contract_and_none_more() -> None:
    brought = [delivered_share(f"64.02.05.{n}-01") for n in range(1000)]
    poor = [share for share in brought if share < 0.6]
    assert 100 < len(poor) < 200
    assert min(brought) >= 0.3
    assert max(brought) <= 1
    assert link_shape(HOST).mbps == HOST.down_mbps * delivered_share(HOST.code)
    assert link_shape(HOST, up=True).mbps == HOST.up_mbps * delivered_share(HOST.code)
