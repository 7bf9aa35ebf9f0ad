"""Authentication: by an API token, by the cookie of a console session, or by a stream ticket."""

import asyncio
from dataclasses import replace
from hmac import compare_digest
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from app.access import sessions, stream_tickets
from app.access.models import CredentialKind
from app.access.scope import Caller
from app.access.stream_tickets import Credential
from app.core.errors import CsrfTokenInvalid, NotSignedIn
from app.postgres.engine import transaction
from app.web.caller_cache import LOOK_UP_S, SAFE_METHODS, CallerCache
from app.web.client_address import client_address
from app.web.credentials import COOKIE, find_credential
from app.web.problem_details import NO_TOKEN, UNAVAILABLE
from app.web.request_context import context_of

CSRF_HEADER = "X-CSRF-Token"

bearer = HTTPBearer(auto_error=False, description="A token of `sinyal token create` or `POST /tokens`")
cookie = APIKeyCookie(
    name=COOKIE,
    auto_error=False,
    description=f"A session of `POST /session`; requests that change something also send {CSRF_HEADER}",
)


async def redeem_ticket(
    request: Request,
    ticket: Annotated[
        str | None,
        Query(max_length=100, description="of `POST /status/stream-ticket`; good once", examples=["t9Jw3kQv8mX2"]),
    ] = None,
) -> None:
    """Before `signed_in`, for routes that browsers open without headers. Raises NotSignedIn."""
    if ticket is not None:
        async with transaction(request.app.state.sessions) as session:
            context_of(request).credential = await stream_tickets.redeem(session, ticket)


async def signed_in(
    request: Request,
    _: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    session_secret: Annotated[str | None, Depends(cookie)],
) -> Caller:
    """Return the caller. A ticket wins over a token, a token over a cookie.

    Raises NotSignedIn, and CsrfTokenInvalid for a session's unsafe request without its CSRF token.
    """
    context = context_of(request)
    if context.credential is None:
        context.credential = find_credential(request.scope)
    if context.credential is None:
        raise NotSignedIn(NO_TOKEN)
    callers: CallerCache = request.app.state.callers
    caller, context.caller_fresh_until = await callers.get(request, context.credential)
    if context.credential.kind is CredentialKind.SESSION and request.method not in SAFE_METHODS:
        _require_csrf_token(request, session_secret or "")
    return replace(caller, address=client_address(request))


async def find_caller(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    session_secret: Annotated[str | None, Depends(cookie)],
) -> Caller | None:
    """Return the caller; None for a stranger, and while that cannot be told."""
    try:
        async with asyncio.timeout(LOOK_UP_S):
            return await signed_in(request, credentials, session_secret)
    except (NotSignedIn, *UNAVAILABLE):
        return None


def presented_credential(request: Request, _: Annotated[Caller, Depends(signed_in)]) -> Credential:
    """Return what the caller signed in with."""
    credential = context_of(request).credential
    assert credential is not None
    return credential


Presented = Annotated[Credential, Depends(presented_credential)]


async def is_still_allowed(request: Request, credential: Credential, caller: Caller) -> bool:
    """Whether an open stream's caller is still signed in, with the same role and scope.

    True while the database is unavailable: revocations cannot reach it either.
    """
    callers: CallerCache = request.app.state.callers
    try:
        current = await callers.recheck(request, credential)
    except NotSignedIn:
        return False
    except UNAVAILABLE:
        return True
    return replace(current, address=caller.address) == caller


def _require_csrf_token(request: Request, secret: str) -> None:
    sent = request.headers.get(CSRF_HEADER, "")
    if not compare_digest(sent.encode(), sessions.csrf_token(secret).encode()):
        raise CsrfTokenInvalid("Send the session's csrf_token in the header {header}", values={"header": CSRF_HEADER})
