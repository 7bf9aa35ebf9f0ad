"""Refuses request bodies beyond their limit with 413, by Content-Length or as they arrive."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 1_000_000
LARGEST_FILE = 20_000_000
LARGEST_UPLOAD = 2**40
FILE_PATHS = ("/api/v1/sites/import", "/console/sites/import")
LARGEST_DELIVERY = 4_000_000
DELIVERY_PATHS = ("/api/v1/prober/readings",)
# limited by the route, to what is granted or offered; nothing of them is kept
UPLOAD_PATHS = ("/api/v1/speedtest", "/api/v1/visits/up", "/api/v1/stream")


class BodyLimit:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            receive = _limited(
                Headers(scope=scope), receive, _limit_of(scope["path"].removeprefix(scope.get("root_path", "")))
            )
        await self._app(scope, receive, send)


def _limit_of(path: str) -> int:
    if path in UPLOAD_PATHS:
        return LARGEST_UPLOAD
    if path in DELIVERY_PATHS:
        return LARGEST_DELIVERY
    return LARGEST_FILE if path in FILE_PATHS else LARGEST_BODY


def _limited(headers: Headers, receive: Receive, limit: int) -> Receive:
    """Raises HTTPException 413 once the application reads a body beyond the limit."""
    announced, received = headers.get("content-length", ""), 0
    too_large = HTTPException(413, str(limit // 1_000_000))  # becomes a TooLarge in app/web/problem_details.py

    async def receive_limited() -> Message:
        nonlocal received
        if announced.isdecimal() and int(announced[:18]) > limit:
            raise too_large
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise too_large
        return message

    return receive_limited
