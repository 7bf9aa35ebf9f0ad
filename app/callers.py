"""Who is asking: by an API token, or by the cookie of a console session."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from hmac import compare_digest
from time import monotonic
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import sign_ins
from app.access import store as access
from app.access.scope import Caller
from app.database import transaction
from app.errors import Forged, NotSignedIn
from app.problems import AWAY, NO_TOKEN

TOKEN_TTL_S, LOOK_UP_S = 2.5, 2.0  # together under 5 s: by then a token whose owner was disabled is refused
TRUSTED_S = 120.0  # while nobody can be looked up, who asked that recently goes on seeing how states age
COOKIE = "sinyal_session"
CSRF_HEADER = "X-CSRF-Token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

LookUp = Callable[[AsyncSession, str], Awaitable[Caller]]

bearer = HTTPBearer(auto_error=False, description="A token of `sinyal token create` or `POST /tokens`")
cookie = APIKeyCookie(
    name=COOKIE, auto_error=False,
    description=f"A session of `POST /session`; requests that change something also send {CSRF_HEADER}",
)  # fmt: skip


class Callers:
    """Callers by their secret's digest. Tokens are remembered for a moment, so that polling costs no look-up."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes], tuple[float, Caller]] = {}

    async def by_token(self, request: Request, secret: str) -> Caller:
        return await self._get(request, ("token", access.digest(secret)), secret, access.get_caller, TOKEN_TTL_S)

    async def by_session(self, request: Request, secret: str) -> Caller:
        """Looked up each time: a session that was ended is over at once."""
        idle = timedelta(minutes=request.app.state.settings.sign_in.idle_minutes)
        look_up = partial(sign_ins.get_caller, idle=idle)
        return await self._get(request, ("session", access.digest(secret)), secret, look_up, 0)

    async def _get(
        self, request: Request, key: tuple[str, bytes], secret: str, look_up: LookUp, ttl_s: float
    ) -> Caller:
        now = monotonic()
        until, known = self._known.get(key, (0.0, None))
        if known is not None and now < until:
            request.state.known_until = until
            return known
        try:
            async with (
                asyncio.timeout(LOOK_UP_S if known else None),
                transaction(request.app.state.sessions) as session,
            ):
                caller = await look_up(session, secret)
        except AWAY:
            if known is None or request.method not in SAFE or now > until + TRUSTED_S:
                raise
            caller = known  # that it does not answer us need not mean that nobody was revoked there: who reads goes on
            ttl_s = TOKEN_TTL_S
        except NotSignedIn:
            self._known.pop(key, None)
            raise
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[key] = (now + ttl_s, caller)
        if ttl_s > 0:
            request.state.known_until = now + ttl_s
        return caller


async def signed_in(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    session_secret: Annotated[str | None, Depends(cookie)],
) -> Caller:
    """A token wins over a cookie.

    Raises NotSignedIn, and Forged for a session's unsafe request without its CSRF token.
    """
    callers: Callers = request.app.state.callers
    if credentials is not None:
        caller = await callers.by_token(request, credentials.credentials)
    elif session_secret:
        caller = await callers.by_session(request, session_secret)
        if request.method not in SAFE:
            _require_csrf_token(request, session_secret)
    else:
        raise NotSignedIn(NO_TOKEN)
    return replace(caller, address=request.client.host if request.client else None)


def _require_csrf_token(request: Request, secret: str) -> None:
    given = request.headers.get(CSRF_HEADER, "")
    if not compare_digest(given.encode(), sign_ins.csrf_token(secret).encode()):
        raise Forged(f"Send the session's csrf_token in the header {CSRF_HEADER}")
