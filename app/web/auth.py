"""Who is asking: by an API token, or by the cookie of a console session."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from hmac import compare_digest
from time import monotonic
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import sessions, stream_tickets
from app.access import store as access
from app.access.models import Kind
from app.access.scope import Caller
from app.access.stream_tickets import Credential
from app.core.errors import Forged, NotSignedIn
from app.postgres.engine import transaction
from app.web.problem_details import AWAY, NO_TOKEN

TOKEN_TTL_S, LOOK_UP_S = 2.5, 2.0  # together under 5 s: by then a token whose owner was disabled is refused
TRUSTED_S = 120.0  # while nobody can be looked up, who asked that recently goes on seeing how states age
COOKIE = "sinyal_session"
CSRF_HEADER = "X-CSRF-Token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

LookUp = Callable[[AsyncSession, bytes], Awaitable[Caller]]

bearer = HTTPBearer(auto_error=False, description="A token of `sinyal token create` or `POST /tokens`")
cookie = APIKeyCookie(
    name=COOKIE,
    auto_error=False,
    description=f"A session of `POST /session`; requests that change something also send {CSRF_HEADER}",
)


class Callers:
    """Callers by what they came with. Tokens are remembered for a moment, so that polling costs no look-up."""

    def __init__(self) -> None:
        self._known: dict[tuple[Credential, float], tuple[float, Caller]] = {}
        self._watched: dict[Credential, asyncio.Task[Caller]] = {}

    async def get(self, request: Request, credential: Credential) -> Caller:
        """A session is looked up each time: one that was ended is over at once."""
        return await self._get(request, credential, TOKEN_TTL_S if credential.kind is Kind.TOKEN else 0)

    async def watch(self, request: Request, credential: Credential) -> Caller:
        """For streams, which ask every moment, and many at once: one look-up for all of the same caller.

        Raises TimeoutError, one of AWAY, rather than keep a stream waiting.
        """
        looking = self._watched.get(credential)
        if looking is None:
            looking = asyncio.create_task(self._get(request, credential, TOKEN_TTL_S))
            self._watched[credential] = looking
            looking.add_done_callback(lambda done: self._looked(credential, done))
        async with asyncio.timeout(LOOK_UP_S):
            return await asyncio.shield(looking)

    def _looked(self, credential: Credential, done: asyncio.Task[Caller]) -> None:
        del self._watched[credential]
        if not done.cancelled():
            done.exception()  # seen, whether or not anybody still waits for it

    async def _get(self, request: Request, credential: Credential, ttl_s: float) -> Caller:
        now, key = monotonic(), (credential, ttl_s)
        until, known = self._known.get(key, (0.0, None))
        if known is not None and now < until:
            request.state.known_until = until
            return known
        try:
            async with (
                asyncio.timeout(LOOK_UP_S if known else None),
                transaction(request.app.state.sessions) as session,
            ):
                caller = await _look_up(request, credential.kind)(session, credential.digest)
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


def _look_up(request: Request, kind: Kind) -> LookUp:
    if kind is Kind.TOKEN:
        return access.get_caller
    return partial(sessions.get_caller, idle=timedelta(minutes=request.app.state.settings.sign_in.idle_minutes))


async def by_ticket(
    request: Request,
    ticket: Annotated[
        str | None, Query(max_length=100, description="of `POST /status/stream-ticket`; good once")
    ] = None,
) -> None:
    """Before `signed_in`, for a route that is also asked by who cannot send headers. Raises NotSignedIn."""
    if ticket is not None:
        async with transaction(request.app.state.sessions) as session:
            request.state.credential = await stream_tickets.redeem(session, ticket)


async def signed_in(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    session_secret: Annotated[str | None, Depends(cookie)],
) -> Caller:
    """A ticket wins over a token, a token over a cookie.

    Raises NotSignedIn, and Forged for a session's unsafe request without its CSRF token.
    """
    credential: Credential | None = getattr(request.state, "credential", None)
    if credential is None:
        credential = request.state.credential = _presented(credentials, session_secret)
    callers: Callers = request.app.state.callers
    caller = await callers.get(request, credential)
    if credential.kind is Kind.SESSION and request.method not in SAFE:
        _require_csrf_token(request, session_secret or "")
    return replace(caller, address=request.client.host if request.client else None)


def _presented(credentials: HTTPAuthorizationCredentials | None, session_secret: str | None) -> Credential:
    if credentials is not None:
        return Credential(Kind.TOKEN, access.digest(credentials.credentials))
    if session_secret:
        return Credential(Kind.SESSION, access.digest(session_secret))
    raise NotSignedIn(NO_TOKEN)


def _require_csrf_token(request: Request, secret: str) -> None:
    given = request.headers.get(CSRF_HEADER, "")
    if not compare_digest(given.encode(), sessions.csrf_token(secret).encode()):
        raise Forged("Send the session's csrf_token in the header {header}", values={"header": CSRF_HEADER})
