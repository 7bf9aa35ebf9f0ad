"""What every answer tells browsers: to take it for what it says it is, to frame it nowhere, to run nothing in it."""

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
    """A page that runs scripts brings a policy of its own."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        headers = HEADERS | (ONLY_HTTPS if https else {})
        self._all = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._but_policy = [pair for pair in self._all if pair[0] != POLICY.encode()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = any(name == POLICY.encode() for name, _ in message["headers"])
                added = self._but_policy if own else self._all
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self._app(scope, receive, secured)
