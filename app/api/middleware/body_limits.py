"""What happens to a request before any route sees it: a body that is too large is refused, HEAD is a GET unsent."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 1_000_000
LARGEST_FILE = 20_000_000
FILES = ("/api/v1/sites/import",)  # where whole files are sent
UPLOADS = ("/api/v1/speedtest",)  # as large as a grant allows, which is for the route to say: it keeps none of it
LARGEST_UPLOAD = 2**40


class Edge:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD" and not _costs(scope["path"]):
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        await self._app(scope, _limited(Headers(scope=scope), receive, _largest(scope["path"])), send)


def _costs(path: str) -> bool:
    """There a GET uses something up: a grant, a code."""
    return path.endswith(UPLOADS) or "/enrol/" in path


def _largest(path: str) -> int:
    if path.endswith(UPLOADS):
        return LARGEST_UPLOAD
    return LARGEST_FILE if path.endswith(FILES) else LARGEST_BODY


def _limited(headers: Headers, receive: Receive, largest: int) -> Receive:
    """Raises 413, by what is announced or by what comes, once somebody reads it."""
    announced, seen = headers.get("content-length", ""), 0

    async def counted() -> Message:
        nonlocal seen
        if announced.isdecimal() and int(announced[:18]) > largest:
            raise HTTPException(413, str(largest // 1_000_000))  # said by app/web/problem_details.py
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > largest:
            raise HTTPException(413, str(largest // 1_000_000))  # said by app/web/problem_details.py
        return message

    return counted


def _without_body(send: Send) -> Send:
    """Its headers end it: a stream would never."""

    async def headers_only(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body"})

    return headers_only
