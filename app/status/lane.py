"""The fast lane: what was just answered is answered again to the same caller, before any routing. Most polls are that.

An answer may be repeated while its version is the one that is out, and its caller is known (`known_until`).
"""

import time
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.status.answers import Answers
from app.status.version import Version

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        key, seen = _key(scope)
        kept = self._kept.get(key)
        if kept is not None and kept.until > time.monotonic() and self._answers.is_out(kept.version):
            messages = kept.unchanged if kept.etag in seen else kept.whole
            if messages is not None:
                scope["route"] = kept.route  # it is counted like any other
                for message in messages:
                    await send(message)
                return
        await self._app(scope, receive, _Keeping(self, key, scope, send))

    def keep(self, key: Key, kept: Kept) -> None:
        if len(self._kept) >= MOST:
            self._kept.clear()
        self._kept[key] = kept


class _Keeping:
    """Passes an answer on, and keeps it when its route called it repeatable and it came whole."""

    def __init__(self, lane: FastLane, key: Key, scope: Scope, send: Send) -> None:
        self._lane, self._key, self._scope, self._send = lane, key, scope, send
        self._start: Message = {}

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif not message.get("more_body") and self._start.get("status") in {200, 304}:
            self._keep(message)
        await self._send(message)

    def _keep(self, body: Message) -> None:
        state = self._scope.get("state", {})
        version, until = state.get("repeatable"), state.get("known_until")
        headers = self._start["headers"]
        etag = dict(headers).get(b"etag")
        if version is None or until is None or etag is None:
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
