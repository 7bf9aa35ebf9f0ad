"""Security headers on every response: no MIME sniffing, no framing, and a policy under which nothing runs."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "content-security-policy"
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    POLICY: "default-src 'none'; frame-ancestors 'none'",
}
ONLY_HTTPS = {"strict-transport-security": "max-age=31536000"}


class SecurityHeaders:
    """Middleware; a response that brings one of them keeps its own."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        headers = HEADERS | (ONLY_HTTPS if https else {})
        self._all = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._names = {name for name, _ in self._all}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = self._names.intersection([name for name, _ in message["headers"]])
                added = [pair for pair in self._all if pair[0] not in own] if own else self._all
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self._app(scope, receive, send_secured)
