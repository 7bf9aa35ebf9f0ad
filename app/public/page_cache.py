"""Pages ready to be sent, plain and compressed, and a middleware that sends them before routing."""

import gzip
import hashlib
import time
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web.conditional import accepts_gzip

GZIP_LEVEL = 6
Messages = tuple[Message, Message]  # start and body


@dataclass(slots=True)
class CachedPage:
    """`facts`: what it was rendered from; while they are the same, so is the page."""

    facts: object
    fresh_until: float  # monotonic
    etags: tuple[bytes, bytes]  # plain, compressed
    full: tuple[Messages, Messages]
    not_modified: tuple[Messages, Messages]
    route: Any = None  # for the request metrics

    @classmethod
    def of(
        cls, body: bytes, headers: dict[str, str], *, status: int = 200, facts: object = None, fresh_until: float = 0.0
    ) -> "CachedPage":
        """`headers`: without those of length, encoding and entity tag."""
        digest = hashlib.blake2s(body, digest_size=9).hexdigest()
        etags = f'"{digest}"'.encode(), f'"{digest}-gzip"'.encode()
        common = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        common.append((b"vary", b"accept-encoding"))
        full, not_modified = [], []
        for etag, content, encoding in (
            (etags[0], body, []),
            (etags[1], gzip.compress(body, GZIP_LEVEL, mtime=0), [(b"content-encoding", b"gzip")]),
        ):
            tagged = [*common, (b"etag", etag)]
            length = (b"content-length", str(len(content)).encode())
            full.append(_messages(status, [*tagged, *encoding, length], content))
            kept = [(name, value) for name, value in tagged if name != b"content-type"]
            not_modified.append(_messages(304, kept, b""))
        return cls(facts, fresh_until, etags, (full[0], full[1]), (not_modified[0], not_modified[1]))

    def choose(self, headers: list[tuple[bytes, bytes]]) -> Messages:
        """Return what answers a request with these headers."""
        compressed, tags = 0, b""
        for name, value in headers:
            if name == b"accept-encoding":
                compressed = int(b"gzip" in value and accepts_gzip(value.decode("latin-1")))
            elif name == b"if-none-match":
                tags = value
        return (self.not_modified if tags and self._matches(tags) else self.full)[compressed]

    def _matches(self, tags: bytes) -> bool:
        return any(tag.strip().removeprefix(b"W/") in self.etags for tag in tags.split(b","))


def _messages(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> Messages:
    return {"type": "http.response.start", "status": status, "headers": headers}, {
        "type": "http.response.body",
        "body": body,
    }


async def send_page(page: CachedPage, scope: Scope, send: Send) -> None:
    start, body = page.choose(scope["headers"])
    await send({**start, "headers": list(start["headers"])})  # middleware further out changes them in place
    await send(body)


class PageResponse(Response):
    """A page as a route's response."""

    def __init__(self, page: CachedPage) -> None:
        self.page, self.background, self.status_code = page, None, page.full[0][0]["status"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_page(self.page, scope, send)


class PublicPageCache:
    """Middleware: sends a page that is still fresh; the routes make the others."""

    def __init__(self, app: ASGIApp, pages: MutableMapping[str, CachedPage]) -> None:
        self._app, self._pages = app, pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET":
            page = self._pages.get(scope["path"])
            if page is not None and page.fresh_until > time.monotonic():
                scope["route"] = page.route
                await send_page(page, scope, send)
                return
        await self._app(scope, receive, send)
