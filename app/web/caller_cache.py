"""Callers by credential: tokens are cached for a moment, so that polling costs no look-up."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import NamedTuple

from cachetools import TTLCache
from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import api_tokens, sessions
from app.access.models import CredentialKind
from app.access.scope import Caller
from app.access.stream_tickets import Credential
from app.core.errors import NotSignedIn
from app.core.single_flight import SingleFlight
from app.postgres.engine import transaction
from app.web.problem_details import UNAVAILABLE

TOKEN_TTL_S, LOOK_UP_S = 2.5, 2.0  # together under 5 s: by then a token whose owner was disabled is refused
TRUSTED_S = 120.0  # after expiry, while the database is unavailable, a cached caller may still read
MAX_ENTRIES = 10_000
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

LookUp = Callable[[AsyncSession, bytes], Awaitable[Caller]]
Key = tuple[Credential, float]  # the TTL it is cached for: streams cache sessions, requests do not


class CachedCaller(NamedTuple):
    caller: Caller
    fresh_until: float  # by the cache's clock; in the past: looked up at every request


class CallerCache:
    """Beyond `max_entries` the least recently used are evicted."""

    def __init__(self, *, max_entries: int = MAX_ENTRIES, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._entries: TTLCache[Key, CachedCaller] = TTLCache(max_entries, TOKEN_TTL_S + TRUSTED_S, timer=clock)
        self._flight: SingleFlight[Credential, CachedCaller] = SingleFlight()

    async def get(self, request: Request, credential: Credential) -> CachedCaller:
        """Return the caller of a request; a session is looked up each time, so that its end counts at once.

        Raises NotSignedIn.
        """
        return await self._get(request, credential, TOKEN_TTL_S if credential.kind is CredentialKind.TOKEN else 0)

    def find_known(self, credential: Credential) -> Caller | None:
        """Return the caller of a credential that was valid within the last TRUSTED_S, without looking it up."""
        ttl_s = TOKEN_TTL_S if credential.kind is CredentialKind.TOKEN else 0
        cached = self._entries.get((credential, ttl_s))
        return cached.caller if cached is not None else None

    async def recheck(self, request: Request, credential: Credential) -> Caller:
        """Return the caller of an open stream: one look-up for all streams of a credential, sessions cached too.

        Raises NotSignedIn, one of UNAVAILABLE, and TimeoutError after LOOK_UP_S rather than hold up a stream.
        """
        async with asyncio.timeout(LOOK_UP_S):
            cached = await self._flight.run(credential, lambda: self._get(request, credential, TOKEN_TTL_S))
        return cached.caller

    async def _get(self, request: Request, credential: Credential, ttl_s: float) -> CachedCaller:
        now, key = self._clock(), (credential, ttl_s)
        cached = self._entries.get(key)
        if cached is not None and now < cached.fresh_until:
            return cached
        try:
            async with (
                asyncio.timeout(LOOK_UP_S if cached else None),
                transaction(request.app.state.sessions) as session,
            ):
                caller = await _look_up(request, credential.kind)(session, credential.digest)
        except UNAVAILABLE:
            if cached is None or request.method not in SAFE_METHODS or now > cached.fresh_until + TRUSTED_S:
                raise
            # The caller may have been revoked meanwhile, if only we cannot reach the database: allow reads, not writes.
            caller, ttl_s = cached.caller, TOKEN_TTL_S
        except NotSignedIn:
            self._entries.pop(key, None)
            raise
        self._entries[key] = fresh = CachedCaller(caller, now + ttl_s)
        return fresh


def _look_up(request: Request, kind: CredentialKind) -> LookUp:
    if kind is CredentialKind.TOKEN:
        return api_tokens.get_caller
    return partial(sessions.get_caller, idle=timedelta(minutes=request.app.state.settings.sign_in.idle_minutes))
