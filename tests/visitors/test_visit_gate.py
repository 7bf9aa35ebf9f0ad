"""Who waits at the gate of visitors' requests, and who does not."""

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from app.api.app import API
from app.visitors.visit_gate import AT_ONCE
from tests.conftest import Cast
from tests.support.visitors import HOME, Visitor

BODY = {"type": "http.request", "body": b"{", "more_body": True}
GONE = {"type": "http.disconnect"}


def sending(app: FastAPI, receive: Callable[[], Any]) -> asyncio.Task[None]:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": f"{API}/visits/results",
        "raw_path": b"",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", b"application/json"), (b"host", b"test")],
        "client": (HOME, 50_000),
        "server": ("test", 80),
        "extensions": {},
    }

    async def send(message: Any) -> None:
        raise AssertionError(message)

    return asyncio.ensure_future(app(scope, receive, send))


async def test_bodies_that_come_slowly_and_senders_that_leave_take_no_place(app: FastAPI, cast: Cast) -> None:
    leave, messages = asyncio.Event(), [BODY] * AT_ONCE * 2

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await leave.wait()
        return GONE

    slow = [sending(app, receive) for _ in range(AT_ONCE * 2)]
    while messages:  # noqa: ASYNC110  # all are read from
        await asyncio.sleep(0)
    asking = asyncio.ensure_future(Visitor(app, HOME).ask("GET", "/site"))
    async with asyncio.timeout(10):
        assert (await asking).status_code == 200
    assert not any(one.done() for one in slow)
    leave.set()
    await asyncio.gather(*slow)
