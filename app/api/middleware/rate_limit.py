"""Rate limit per caller: a sustained rate and a burst; beyond it 429 with Retry-After."""

import time
from hashlib import blake2s
from math import ceil

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.access.login_throttle import network_of
from app.core.errors import TooManyRequests
from app.core.token_bucket import TokenBuckets
from app.web.auth import COOKIE
from app.web.problem_details import problem_response

EXEMPT = frozenset({"/healthz", "/readyz", "/metrics"})  # monitoring is never limited
COOKIE_PREFIX = f"{COOKIE}=".encode()


class RateLimit:
    def __init__(self, app: ASGIApp, *, requests_per_s: int, burst: int) -> None:
        self._app, self._buckets = app, TokenBuckets(per_s=requests_per_s, burst=burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].removeprefix(scope.get("root_path", "")) not in EXEMPT:
            wait_s = self._buckets.take(_caller_key(scope), time.monotonic())
            if wait_s > 0:
                await problem_response(Request(scope), TooManyRequests(ceil(wait_s)))(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _caller_key(scope: Scope) -> bytes:
    """A digest of the token or the session's secret, else the client's network."""
    secret = b""
    for name, value in scope["headers"]:
        if name == b"authorization":
            return blake2s(value, digest_size=16).digest()
        if name == b"cookie" and COOKIE_PREFIX in value:
            secret = value.partition(COOKIE_PREFIX)[2].partition(b";")[0]
    if secret:
        return blake2s(secret, digest_size=16, person=b"cookie").digest()
    client = scope.get("client")
    return network_of(client[0] if client else None).encode()
