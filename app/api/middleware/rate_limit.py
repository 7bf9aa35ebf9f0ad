"""How many requests one caller may send: so many a second for long, and a burst of them at once."""

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

EXEMPT = frozenset({"/healthz", "/readyz", "/metrics"})  # who watches us is never told to wait
OF_COOKIE = f"{COOKIE}=".encode()


class RateLimit:
    def __init__(self, app: ASGIApp, *, requests_per_s: int, burst: int) -> None:
        self._app, self._buckets = app, TokenBuckets(per_s=requests_per_s, burst=burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].removeprefix(scope.get("root_path", "")) not in EXEMPT:
            wait_s = self._buckets.take(_caller(scope), time.monotonic())
            if wait_s > 0:
                await problem_response(Request(scope), TooManyRequests(ceil(wait_s)))(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _caller(scope: Scope) -> bytes:
    """By token, by session, or by address: secrets are not kept."""
    secret = b""
    for name, value in scope["headers"]:
        if name == b"authorization":
            return blake2s(value, digest_size=16).digest()
        if name == b"cookie" and OF_COOKIE in value:
            secret = value.partition(OF_COOKIE)[2].partition(b";")[0]
    if secret:
        return blake2s(secret, digest_size=16, person=b"cookie").digest()
    client = scope.get("client")
    return network_of(client[0] if client else None).encode()
