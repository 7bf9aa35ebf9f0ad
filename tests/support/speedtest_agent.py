"""A site's agent behind a link of a known rate: it downloads, uploads and reports."""

import asyncio
import socket
import time
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import select

from app.core.clock import utc_now
from app.postgres.engine import transaction
from app.throughput.budget import SLACK_BYTES, UP_SLACK_BYTES
from app.throughput.models import Mode, SpeedtestStatus, ThroughputTest
from simulator.shaped_server import TICK_S, Shape, send
from tests.factories import register
from tests.support.served_api import Served


async def create_grant(
    live: Served, *, down: int = 4_000_000, up: int = 1_000_000, max_s: int = 3, **changes: Any
) -> str:
    site = await register(live.cast, probe="push", host=None, technology="leo")
    now = utc_now()
    row = ThroughputTest(
        site_id=site["id"],
        planned_at=now,
        month=now.date().replace(day=1),
        mode=Mode.PUSH,
        max_s=max_s,
        status=SpeedtestStatus.RUNNING,
        technology="leo",
        provider_id=1,
        village_code=site["village_code"],
        waits_until=now,
        allowed_down_bytes=down,
        allowed_up_bytes=up,
        started_at=now,
        reserved_bytes=down + up + SLACK_BYTES + UP_SLACK_BYTES,
        grant=f"grant-{site['id']}",
        expires_at=now.replace(year=now.year + 1),
        down_bytes=0,
        up_bytes=0,
    )
    for name, value in changes.items():
        setattr(row, name, value)
    async with transaction(live.sessions) as session:
        session.add(row)
    return f"grant-{site['id']}"


async def get_test(live: Served, code: str) -> ThroughputTest:
    async with transaction(live.sessions) as session:
        return (await session.scalars(select(ThroughputTest).where(ThroughputTest.grant == code))).one()


@dataclass
class Agent:
    """A client with a small receive buffer: what it does not read is not sent."""

    port: int
    shape: Shape

    async def download(self, code: str, *, hang_up_after: int | None = None) -> dict[str, Any]:
        """Download at the link's rate; hang up after `hang_up_after` bytes."""
        reader, writer = await self._connect()
        writer.write(f"GET /api/v1/speedtest?grant={code} HTTP/1.0\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        began, received = time.monotonic(), 0
        while not reader.at_eof() and (hang_up_after is None or received < hang_up_after):
            due = int(self.shape.bytes_by(time.monotonic() - began)) - received
            if due <= 0:
                await asyncio.sleep(TICK_S)
                continue
            received += len(await reader.read(min(due, 16_384)))
        writer.close()
        return {"head": head.decode(), "down_bytes": received, "down_ms": (time.monotonic() - began) * 1000}

    async def upload(self, code: str, size: int) -> dict[str, Any]:
        reader, writer = await self._connect()
        writer.write(
            f"POST /api/v1/speedtest?grant={code} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        began = time.monotonic()
        await send(writer, self.shape, size=size)
        answer = await reader.read()
        writer.close()
        return {"answer": answer.decode(), "up_bytes": size, "up_ms": (time.monotonic() - began) * 1000}

    async def report(self, code: str, **figures: Any) -> httpx.Response:
        report = {name: value for name, value in figures.items() if name not in {"head", "answer"}}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}/api/v1", trust_env=False) as client:
            return await client.post("/speedtest/report", json={"grant": code, **report})

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1460)  # the loopback's own would swallow megabytes
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        return await asyncio.open_connection(sock=sock, limit=16_384)
