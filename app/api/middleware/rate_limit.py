"""Rate limit: a sustained rate and a burst; beyond it 429 with Retry-After.

A request counts against its caller where the caller cache knows its credential, and else, before it is authenticated,
against its client's network: made-up credentials get no budget of their own, and callers behind one address do not use
up each other's.
"""

import time
from collections.abc import Collection
from functools import partial
from math import ceil

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import TooManyRequests
from app.core.networks import limit_key
from app.core.token_bucket import TokenBuckets
from app.web.caller_cache import CallerCache
from app.web.credentials import find_credential
from app.web.problem_details import problem_response
from app.web.request_context import context_of

EXEMPT = frozenset({"/healthz", "/readyz", "/metrics"})  # monitoring is never limited


class RateLimit:
    """`exempt`: paths with limits of their own."""

    def __init__(
        self, app: ASGIApp, *, callers: CallerCache, requests_per_s: int, burst: int, exempt: Collection[str]
    ) -> None:
        self._app, self._callers, self._exempt = app, callers, EXEMPT.union(exempt)
        self._buckets = TokenBuckets(per_s=requests_per_s, burst=burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].removeprefix(scope.get("root_path", "")) not in self._exempt:
            count = partial(self._count, self._bucket_of(scope))
            try:
                count()
            except TooManyRequests as problem:
                await problem_response(Request(scope), problem)(scope, receive, send)
                return
            context_of(scope).count_one_more = count
        await self._app(scope, receive, send)

    def _count(self, bucket: bytes) -> None:
        """Raises TooManyRequests."""
        if (wait_s := self._buckets.take(bucket, time.monotonic())) > 0:
            raise TooManyRequests(ceil(wait_s))

    def _bucket_of(self, scope: Scope) -> bytes:
        """Return the key of an account, of a token without one, or of a client's network."""
        credential = find_credential(scope)
        caller = self._callers.find_known(credential) if credential is not None else None
        if caller is None:
            client = scope.get("client")
            return limit_key(client[0] if client else None).encode()
        return caller.limit_key.encode()
