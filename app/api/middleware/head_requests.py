"""Answers HEAD like GET, without the body."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.middleware.body_limits import UPLOAD_PATHS


class HeadRequests:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD" and not _consumes(scope["path"]):
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        await self._app(scope, receive, send)


def _consumes(path: str) -> bool:
    """Whether a GET uses something up: a speed test grant, a visitor's download, an enrolment code."""
    return path.endswith((*UPLOAD_PATHS, "/visits/down")) or "/enrol/" in path


def _without_body(send: Send) -> Send:
    """End the response after its headers: a stream would never end by itself."""

    async def send_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body"})

    return send_headers
