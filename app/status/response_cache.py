"""Middleware that serves cached status responses before routing: most polls are a 304 or a body sent before.

A response may be served again to the same caller while its version is current and the caller's rights are fresh
(`RequestContext`). One request renews what no longer holds; concurrent requests with the same key wait for it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cachetools import LRUCache
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.single_flight import SingleFlight
from app.status.rendered import StatusRenderer
from app.status.version import Version
from app.web.request_context import context_of

KEY_HEADERS = {b"authorization", b"cookie", b"accept", b"accept-encoding", b"origin"}  # the response depends on these
BODY_HEADERS = {b"content-length", b"content-type", b"content-encoding"}  # not in a 304
MAX_RESPONSES = 2000

Key = tuple[object, ...]
Messages = tuple[Message, Message]  # start and body


@dataclass(frozen=True, slots=True)
class CachedResponse:
    version: Version
    fresh_until: float  # monotonic
    route: Any
    etag: bytes
    full: Messages | None  # None: only a 304 has been sent so far
    not_modified: Messages


class StatusResponseCache:
    """`_responses` are all of one version, and start empty with the next one. `_cacheable` remembers the keys whose
    response was cached, so that only their requests wait for each other."""

    def __init__(self, app: ASGIApp, renderer: StatusRenderer) -> None:
        self._app, self._renderer = app, renderer
        self._version: Version | None = None
        self._responses: LRUCache[Key, CachedResponse] = LRUCache(MAX_RESPONSES)
        self._cacheable: LRUCache[Key, bool] = LRUCache(MAX_RESPONSES)
        self._flight: SingleFlight[Key, None] = SingleFlight()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        key, etags = _request_key(scope)
        messages: Sequence[Message] | None = self._lookup(key, etags, scope)
        if messages is None and key in self._cacheable:
            recorder = _Recorder(self, key, scope)
            try:
                await self._flight.run(key, lambda: self._record(scope, receive, recorder))
            except Exception:
                if recorder.is_running:  # else the error is of another request, and this one runs itself
                    raise
            messages = recorder.messages or self._lookup(key, etags, scope)  # recorded: this request ran itself
        if messages is None:
            await self._app(scope, receive, _Recorder(self, key, scope, send))
            return
        start, *body = messages
        await send({**start, "headers": list(start["headers"])})  # middleware further out changes them in place
        for message in body:
            await send(message)

    async def _record(self, scope: Scope, receive: Receive, recorder: "_Recorder") -> None:
        recorder.is_running = True
        await self._app(scope, receive, recorder)

    def _lookup(self, key: Key, etags: list[bytes], scope: Scope) -> Messages | None:
        try:
            cached = self._responses[key]
        except KeyError:
            return None
        if cached.fresh_until <= time.monotonic() or not self._renderer.is_current(cached.version):
            return None
        scope["route"] = cached.route  # for the request metrics
        return cached.not_modified if cached.etag in etags else cached.full

    def store(self, key: Key, response: CachedResponse) -> None:
        if not self._renderer.is_current(response.version):
            return
        if response.version is not self._version:
            self._version, self._responses = response.version, LRUCache(MAX_RESPONSES)
        known = self._responses.get(key)
        if response.full is None and known is not None and known.etag == response.etag:
            response = replace(response, full=known.full)
        self._responses[key] = response
        self._cacheable[key] = True


class _Recorder:
    """An ASGI `send` that caches the response if its route allows it, and passes it on, or else collects it."""

    def __init__(self, cache: StatusResponseCache, key: Key, scope: Scope, send: Send | None = None) -> None:
        self._cache, self._key, self._scope, self._send = cache, key, scope, send
        self._start: Message | None = None
        self.messages: list[Message] = []
        self.is_running = False  # its request is the one that others with the same key wait for
        context_of(scope)  # before anything copies the scope

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = {**message, "headers": list(message["headers"])}  # changed further out, too
        elif message.get("more_body"):
            self._start = None  # not one whole body
        elif self._start is not None and self._start["status"] in {200, 304}:
            self._store(self._start, message)
        if self._send is None:
            self.messages.append(message)
        else:
            await self._send(message)

    def _store(self, start: Message, body: Message) -> None:
        context = context_of(self._scope)
        version, fresh_until = context.status_version, context.caller_fresh_until
        etag = dict(start["headers"]).get(b"etag")
        if version is None or fresh_until is None or fresh_until <= time.monotonic() or etag is None:
            return
        headers = [(name, value) for name, value in start["headers"] if name not in BODY_HEADERS]
        not_modified = {**start, "status": 304, "headers": headers}, {"type": "http.response.body", "body": b""}
        full = (start, body) if start["status"] == 200 else None
        route = self._scope.get("route")
        self._cache.store(self._key, CachedResponse(version, fresh_until, route, etag, full, not_modified))


def _request_key(scope: Scope) -> tuple[Key, list[bytes]]:
    """Return what the response depends on, and the entity tags of If-None-Match."""
    key_headers, etags = [], []
    for name, value in scope["headers"]:
        if name in KEY_HEADERS:
            key_headers.append((name, value))
        elif name == b"if-none-match":
            etags = [tag.strip().removeprefix(b"W/") for tag in value.split(b",")]
    return (scope["path"], scope["query_string"], *key_headers), etags
