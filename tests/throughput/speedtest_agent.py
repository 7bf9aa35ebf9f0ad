"""A site's agent at the end of a link that is known: it downloads and uploads at the link's pace, and reports."""

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
from app.throughput.models import Mode, Stage, ThroughputTest
from simulator.shaped_server import TICK_S, Shape, send
from tests.factories import register
from tests.status.api_process import Served


async def grant(live: Served, *, down: int = 4_000_000, up: int = 1_000_000, max_s: int = 3, **changes: Any) -> str:
    made = await register(live.cast, probe="push", host=None, technology="leo")
    now = utc_now()
    row = ThroughputTest(
        site_id=made["id"],
        planned_at=now,
        month=now.date().replace(day=1),
        mode=Mode.PUSH,
        max_s=max_s,
        status=Stage.RUNNING,
        technology="leo",
        provider_id=1,
        village_code=made["village_code"],
        waits_until=now,
        allowed_down_bytes=down,
        allowed_up_bytes=up,
        started_at=now,
        reserved_bytes=down + up + SLACK_BYTES + UP_SLACK_BYTES,
        grant=f"grant-{made['id']}",
        expires_at=now.replace(year=now.year + 1),
        down_bytes=0,
        up_bytes=0,
    )
    for name, value in changes.items():
        setattr(row, name, value)
    async with transaction(live.sessions) as session:
        session.add(row)
    return f"grant-{made['id']}"


async def row_of(live: Served, code: str) -> ThroughputTest:
    async with transaction(live.sessions) as session:
        return (await session.scalars(select(ThroughputTest).where(ThroughputTest.grant == code))).one()


@dataclass
class Agent:
    """Its kernel keeps little: what is not read is not sent."""

    port: int
    shape: Shape

    async def download(self, code: str, *, most: int | None = None) -> dict[str, Any]:
        """Hangs up after `most`."""
        reader, writer = await self._connect()
        writer.write(f"GET /api/v1/speedtest?grant={code} HTTP/1.0\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        began, came = time.monotonic(), 0
        while not reader.at_eof() and (most is None or came < most):
            due = int(self.shape.bytes_by(time.monotonic() - began)) - came
            if due <= 0:
                await asyncio.sleep(TICK_S)
                continue
            came += len(await reader.read(min(due, 16_384)))
        writer.close()
        return {"head": head.decode(), "down_bytes": came, "down_ms": (time.monotonic() - began) * 1000}

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

    async def report(self, code: str, **found: Any) -> httpx.Response:
        told = {name: value for name, value in found.items() if name not in {"head", "answer"}}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}/api/v1", trust_env=False) as client:
            return await client.post("/speedtest/report", json={"grant": code, **told})

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1460)  # the loopback's own would swallow megabytes
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        return await asyncio.open_connection(sock=sock, limit=16_384)
