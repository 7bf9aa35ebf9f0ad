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
Headers = list[tuple[bytes, bytes]]
Messages = tuple[Message, Message]  # start and body


@dataclass(slots=True)
class CachedPage:
    """`facts`: what it was rendered from; while they are the same, so is the page.

    Only the compressed body is kept: all villages in both languages are 8 MB then, and few ask for a plain one.
    """

    facts: object
    fresh_until: float  # monotonic
    headers: list[tuple[bytes, bytes]]
    etags: tuple[bytes, bytes]  # plain, compressed
    compressed: Messages
    not_modified: tuple[Messages, Messages]
    route: Any = None  # for the request metrics

    @classmethod
    def of(
        cls, body: bytes, headers: dict[str, str], *, facts: object = None, fresh_until: float = 0.0
    ) -> "CachedPage":
        """`headers`: without those of length, encoding and entity tag."""
        digest = hashlib.blake2s(body, digest_size=9).hexdigest()
        plain, compressed = f'"{digest}"'.encode(), f'"{digest}-gzip"'.encode()
        common = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        common.append((b"vary", b"accept-encoding"))
        return cls(
            facts,
            fresh_until,
            common,
            (plain, compressed),
            _full(common, compressed, gzip.compress(body, GZIP_LEVEL, mtime=0), (b"content-encoding", b"gzip")),
            (_not_modified(common, plain), _not_modified(common, compressed)),
        )

    def size(self) -> int:
        """Return the bytes that it keeps of its body."""
        return len(self.compressed[1]["body"])

    def choose(self, headers: Headers) -> Messages:
        """Return what answers a request with these headers."""
        compressed, tags = False, b""
        for name, value in headers:
            if name == b"accept-encoding":
                compressed = b"gzip" in value and accepts_gzip(value.decode("latin-1"))
            elif name == b"if-none-match":
                tags = value
        if tags and any(tag.strip().removeprefix(b"W/") in self.etags for tag in tags.split(b",")):
            return self.not_modified[compressed]
        if compressed:
            return self.compressed
        return _full(self.headers, self.etags[0], gzip.decompress(self.compressed[1]["body"]))


def _full(headers: Headers, etag: bytes, body: bytes, *more: tuple[bytes, bytes]) -> Messages:
    length = (b"content-length", str(len(body)).encode())
    return _messages(200, [*headers, (b"etag", etag), *more, length], body)


def _not_modified(headers: Headers, etag: bytes) -> Messages:
    return _messages(304, [*(pair for pair in headers if pair[0] != b"content-type"), (b"etag", etag)], b"")


def _messages(status: int, headers: Headers, body: bytes) -> Messages:
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
        self.page, self.background, self.status_code = page, None, 200

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
