"""The fast lane: what was just answered is answered again to the same caller, before any routing. Most polls are that.

A response may be repeated while its version is the current one and its caller is fresh (`RequestContext`).
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.status.rendered import Answers
from app.status.version import Version
from app.web.request_context import context_of

TELLING = {b"authorization", b"cookie", b"accept", b"accept-encoding", b"origin"}  # what makes answers differ
OF_A_BODY = {b"content-length", b"content-type", b"content-encoding"}
MOST = 2000

Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    version: Version
    until: float  # by the monotonic clock
    route: Any
    etag: bytes
    whole: tuple[Message, Message] | None  # none yet: it was asked for by those who have it
    unchanged: tuple[Message, Message]


class FastLane:
    def __init__(self, app: ASGIApp, answers: Answers) -> None:
        self._app, self._answers = app, answers
        self._kept: dict[Key, Kept] = {}
        self._renewed: dict[Key, asyncio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        key, seen = _key(scope)
        if (messages := self._repeat(key, seen, scope)) is None and key in self._renewed:
            await self._renewed[key].wait()
            messages = self._repeat(key, seen, scope)
        if messages is None:
            await self._ask(key, scope, receive, send)
            return
        for message in messages:
            await send(message)

    def _repeat(self, key: Key, seen: list[bytes], scope: Scope) -> tuple[Message, Message] | None:
        kept = self._kept.get(key)
        if kept is None or kept.until <= time.monotonic() or not self._answers.is_out(kept.version):
            return None
        scope["route"] = kept.route  # it is counted like any other
        return kept.unchanged if kept.etag in seen else kept.whole

    async def _ask(self, key: Key, scope: Scope, receive: Receive, send: Send) -> None:
        """Of those who want what was kept too long, one asks anew, and the others wait for that."""
        if key in self._kept and key not in self._renewed:
            self._renewed[key] = asyncio.Event()
        renewed = self._renewed.get(key)
        try:
            await self._app(scope, receive, _Keeping(self, key, scope, send))
        finally:
            if renewed is not None:
                self._renew(key, renewed)

    def _renew(self, key: Key, renewed: asyncio.Event) -> None:
        renewed.set()
        if self._renewed.get(key) is renewed:
            del self._renewed[key]

    def keep(self, key: Key, kept: Kept) -> None:
        if len(self._kept) >= MOST:
            self._kept.clear()
        self._kept[key] = kept
        if (renewed := self._renewed.get(key)) is not None:
            self._renew(key, renewed)


class _Keeping:
    """Passes an answer on, and keeps it when its route called it repeatable and it came whole."""

    def __init__(self, lane: FastLane, key: Key, scope: Scope, send: Send) -> None:
        self._lane, self._key, self._scope, self._send = lane, key, scope, send
        self._start: Message = {}
        context_of(scope)  # before anything copies the scope

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif not message.get("more_body") and self._start.get("status") in {200, 304}:
            self._keep(message)
        await self._send(message)

    def _keep(self, body: Message) -> None:
        context = context_of(self._scope)
        version, until = context.status_version, context.caller_fresh_until
        headers = self._start["headers"]
        etag = dict(headers).get(b"etag")
        if version is None or until is None or until <= time.monotonic() or etag is None:
            return
        bare = [(name, value) for name, value in headers if name not in OF_A_BODY]
        unchanged = {**self._start, "status": 304, "headers": bare}, {"type": "http.response.body", "body": b""}
        whole = (self._start, body) if self._start["status"] == 200 else None
        kept = Kept(version, until, self._scope.get("route"), etag, whole, unchanged)
        self._lane.keep(self._key, kept)


def _key(scope: Scope) -> tuple[Key, list[bytes]]:
    """What the answer depends on; and the tags of If-None-Match."""
    telling, seen = [], []
    for name, value in scope["headers"]:
        if name in TELLING:
            telling.append((name, value))
        elif name == b"if-none-match":
            seen = [tag.strip().removeprefix(b"W/") for tag in value.split(b",")]
    return (scope["path"], scope["query_string"], *telling), seen
