"""How many requests one caller may send: so many a second for long, and a burst of them at once."""

import time
from hashlib import blake2s
from math import ceil

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.access.throttle import place_of
from app.callers import COOKIE
from app.errors import TooManyRequests
from app.problems import answer

EXEMPT = frozenset({"/healthz", "/readyz", "/metrics"})  # who watches us is never told to wait
MOST = 20_000
ROUNDING_S = 1e-6
OF_COOKIE = f"{COOKIE}=".encode()


class RateLimit:
    """A bucket for each caller that holds a burst and fills up evenly: kept as the moment when it is full again."""

    def __init__(self, app: ASGIApp, *, requests_per_s: int, burst: int) -> None:
        self._app = app
        self._each_s, self._room_s = 1 / requests_per_s, (burst - 1) / requests_per_s
        self._full_at: dict[bytes, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].removeprefix(scope.get("root_path", "")) not in EXEMPT:
            wait_s = self._take(_caller(scope), time.monotonic())
            if wait_s > 0:
                await answer(Request(scope), TooManyRequests(ceil(wait_s)))(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _take(self, caller: bytes, now: float) -> float:
        """How long to wait for the next one: 0 when it was there."""
        full_at = self._full_at.get(caller)
        if full_at is None and len(self._full_at) >= MOST:
            self._forget(now)
        full_at = max(full_at or 0.0, now)
        wait_s = full_at - now - self._room_s
        if wait_s > ROUNDING_S:
            return wait_s
        self._full_at[caller] = full_at + self._each_s
        return 0.0

    def _forget(self, now: float) -> None:
        """The idle; and if that does not do, the half that has asked for least."""
        owing = sorted((at, caller) for caller, at in self._full_at.items() if at > now)
        self._full_at = {caller: at for at, caller in owing[-MOST // 2 :]}


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
    return place_of(client[0] if client else None).encode()
