"""Run a request once more if its database connection was cut: after a failover all in the pool are, until one is used.

Only what may be repeated: reads, and requests whose Idempotency-Key finds what the first run committed, if it did.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web.request_context import context_of

READ_METHODS = {"GET", "HEAD"}


class RetryOnce:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _may_be_repeated(scope):
            await self._app(scope, receive, send)
            return
        context, body, is_withheld = context_of(scope), _RecordedBody(receive), False

        async def withhold(message: Message) -> None:
            nonlocal is_withheld
            if message["type"] == "http.response.start":
                is_withheld = context.failed_in_passing and (
                    context.has_idempotency_key or scope["method"] in READ_METHODS
                )
            if not is_withheld:
                await send(message)

        await self._app(scope, body, withhold)
        if is_withheld:
            body.rewind()
            await self._app(scope, body, send)


def _may_be_repeated(scope: Scope) -> bool:
    return scope["method"] in READ_METHODS or any(name == b"idempotency-key" for name, _ in scope["headers"])


class _RecordedBody:
    """Receives a request's body, and after `rewind` the same again. Its size is limited outside (BodyLimit)."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._recorded: list[Message] = []
        self._next = 0

    def rewind(self) -> None:
        self._next = 0

    async def __call__(self) -> Message:
        if self._next == len(self._recorded):
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            self._recorded.append(message)
        self._next += 1
        return self._recorded[self._next - 1]
