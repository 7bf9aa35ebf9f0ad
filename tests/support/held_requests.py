"""Requests that stay open, put to the application itself: an HTTP client would wait for their end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from app.api.app import API
from app.push.device_streams import DeviceStreams
from tests.support.raw_requests import http_scope


class HeldRequest:
    """One of the two requests of a device's stream."""

    def __init__(self, app: FastAPI, method: str, query: str, token: str) -> None:
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.status, self.text, self.is_over = 0, "", False
        self._changed = asyncio.Event()
        if method == "GET":
            self._inbox.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        authorization = [("Authorization", f"Bearer {token}".encode())]
        scope = http_scope(method, f"{API}/stream", query=query, headers=authorization)
        self._running = asyncio.create_task(app(scope, self._inbox.get, self._send))

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.text += message.get("body", b"").decode()
            self.is_over = not message.get("more_body", False)
        self._changed.set()

    def write(self, text: str) -> None:
        self._inbox.put_nowait({"type": "http.request", "body": text.encode(), "more_body": True})

    def disconnect(self) -> None:
        self._inbox.put_nowait({"type": "http.disconnect"})

    async def until(self, text: str) -> None:
        """Wait until that was answered."""
        async with asyncio.timeout(30):
            while text not in self.text:
                self._changed.clear()
                await self._changed.wait()

    async def over(self) -> None:
        async with asyncio.timeout(30):
            await asyncio.shield(self._running)

    async def close(self) -> None:
        self.disconnect()
        with contextlib.suppress(Exception):
            await self.over()


async def refused(app: FastAPI, method: str, token: str, *, boot: str = "k3f9", number: int = 1) -> HeldRequest:
    """Return a request of a stream that the service has answered and ended."""
    request = HeldRequest(app, method, f"boot={boot}&number={number}", token)
    await request.over()
    return request


@asynccontextmanager
async def held(
    app: FastAPI, token: str, *, boot: str = "k3f9", number: int = 1
) -> AsyncIterator[tuple[HeldRequest, HeldRequest]]:
    """Yield the request with the service's lines, and the one with the device's, after its first one."""
    query = f"boot={boot}&number={number}"
    ours, theirs = (HeldRequest(app, method, query, token) for method in ("GET", "POST"))
    try:
        await ours.until("beat")
        async with asyncio.timeout(10):
            while not _is_open(app.state.device_streams, boot, number):  # noqa: ASYNC110  # the other tells nothing
                await asyncio.sleep(0.01)
        yield ours, theirs
    finally:
        await theirs.close()
        await ours.close()


def _is_open(streams: DeviceStreams, boot: str, number: int) -> bool:
    return any(
        lines and (half.stream.boot, half.stream.number) == (boot, number)
        for (_, lines), half in streams._halves.items()
    )
