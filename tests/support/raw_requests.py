"""Requests that no HTTP client would send: any bytes in the path, the query, the headers and the body."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from fastapi import FastAPI
from starlette.types import Message


@dataclass
class RawResponse:
    status: int
    headers: dict[str, str]
    body: bytes
    cpu_s: float

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def fields(self) -> list[str]:
        """Return the fields that a problem names."""
        return [error["field"] for error in self.json()["errors"]]


def http_scope(
    method: str, path: str, *, query: str, headers: Iterable[tuple[str, bytes]], client: str = "198.51.100.7"
) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"test"), *((name.lower().encode(), value) for name, value in headers)],
        "client": (client, 1),
        "server": ("test", 80),
    }


async def send_raw(
    app: FastAPI,
    method: str,
    path: str,
    *,
    query: str = "",
    headers: Iterable[tuple[str, bytes]] = (),
    body: bytes = b"",
    client: str = "198.51.100.7",
) -> RawResponse:
    """Call the app as a server does. `path` and `query` are encoded already."""
    messages: list[Message] = []
    scope = http_scope(method, path, query=query, headers=headers, client=client)

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    started = time.process_time()
    await app(scope, receive, send)
    cpu_s = time.process_time() - started
    start, *parts = messages
    received = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
    return RawResponse(start["status"], received, b"".join(part.get("body", b"") for part in parts), cpu_s)
