"""`/session` and `/me`: signing in and out, the caller's own account or token, and its password."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import api_tokens, sessions
from app.access.api_tokens import digest
from app.access.rights import rights_of
from app.access.scope import Caller
from app.accounts import role_grants, store
from app.accounts import sign_in as signing
from app.accounts.schemas import MeOut, PasswordIn, SessionOut, SignInIn
from app.accounts.sign_in import OpenedSession
from app.core.errors import NotAllowed, NotFound
from app.postgres.engine import transaction
from app.registry import regions
from app.settings import Settings
from app.web.auth import cookie
from app.web.client_address import client_address
from app.web.credentials import COOKIE
from app.web.deps import Session, SignedIn, open_to_all
from app.web.json_body import JsonRoute
from app.web.problem_details import problems

router = APIRouter(tags=["access"], route_class=JsonRoute)

SessionSecret = Annotated[str | None, Depends(cookie)]
NO_SESSION = "This request was authenticated by a token: a session begins with POST /api/v1/session"


@router.post("/session", response_model=SessionOut, responses=problems(429), dependencies=[Depends(open_to_all)])
async def sign_in(credentials: SignInIn, request: Request, response: Response) -> dict[str, Any]:
    """Sign in.

    Sets a cookie that scripts cannot read, and returns the CSRF token that unsafe requests need. Wrong passwords lead
    to ever longer waits (429 with `Retry-After`).
    """
    opened = await signing.sign_in(
        request.app.state.sessions,
        credentials.username,
        credentials.password.get_secret_value(),
        address=client_address(request),
        ttl=_ttl(request),
        previous=request.cookies.get(COOKIE),
    )
    return await _issue(request, response, opened)


@router.get("/session", response_model=SessionOut, responses=problems(404))
async def get_session(
    session: Session, caller: SignedIn, request: Request, response: Response, secret: SessionSecret
) -> dict[str, Any]:
    """The session that you are signed in with."""
    if caller.token_id is not None or secret is None:
        raise NotFound(NO_SESSION)
    response.headers["Cache-Control"] = "no-store"
    return await _present(session, await _find(session, request, secret))


@router.delete("/session", status_code=204, responses=problems(403))
async def sign_out(
    session: Session, caller: SignedIn, request: Request, response: Response, secret: SessionSecret
) -> None:
    """Sign out.

    Ends this session. Tokens stay valid.
    """
    if caller.token_id is None and secret is not None:
        await sessions.end(session, secret)
        response.delete_cookie(COOKIE, **_cookie(request))


@router.get("/me", response_model=MeOut, responses=problems())
async def get_me(session: Session, caller: SignedIn, request: Request, secret: SessionSecret) -> dict[str, Any]:
    """Your account or token: role, scope and rights."""
    if caller.token_id is not None or secret is None:
        return await _me_of_token(session, caller)
    opened = await _find(session, request, secret)
    return await _me_of_session(session, opened)


@router.post("/me/password", response_model=SessionOut, responses=problems(403, 429))
async def change_password(caller: SignedIn, body: PasswordIn, request: Request, response: Response) -> dict[str, Any]:
    """Change your password.

    All your sessions end; this one continues with a new cookie and CSRF token. API tokens stay valid.
    """
    if caller.token_id is not None:
        raise NotAllowed(NO_SESSION)
    opened = await signing.change_password(
        request.app.state.sessions,
        caller,
        body.current_password.get_secret_value(),
        body.new_password.get_secret_value(),
        ttl=_ttl(request),
    )
    return await _issue(request, response, opened)


async def _find(session: AsyncSession, request: Request, secret: str) -> OpenedSession:
    idle = timedelta(minutes=_settings(request).sign_in.idle_minutes)
    return OpenedSession(*await sessions.get_sign_in(session, digest(secret), idle=idle), secret)


async def _issue(request: Request, response: Response, opened: OpenedSession) -> dict[str, Any]:
    max_age_s = int(_ttl(request).total_seconds())
    response.set_cookie(COOKIE, opened.secret, max_age=max_age_s, **_cookie(request))
    response.headers["Cache-Control"] = "no-store"
    async with transaction(request.app.state.sessions) as session:
        return await _present(session, opened)


async def _present(session: AsyncSession, opened: OpenedSession) -> dict[str, Any]:
    return {
        "account": await _me_of_session(session, opened),
        "csrf_token": sessions.csrf_token(opened.secret),
        "expires_at": opened.sign_in.expires_at,
    }


async def _me_of_token(session: AsyncSession, caller: Caller) -> dict[str, Any]:
    return await _me(session, caller, await api_tokens.token_expires_at(session, caller.token_id))


async def _me_of_session(session: AsyncSession, opened: OpenedSession) -> dict[str, Any]:
    me = await _me(session, sessions.caller_of(opened.account), opened.sign_in.expires_at)
    return me | {"name": opened.account.name}


async def _me(session: AsyncSession, caller: Caller, expires_at: datetime | None) -> dict[str, Any]:
    return {
        "name": caller.name,
        "username": caller.username,
        "role": caller.role,
        "region_code": caller.region_code,
        "region": regions.names().get(caller.region_code),
        "provider": await store.provider_slug(session, caller.provider_id),
        "account_id": caller.account_id,
        "token_id": caller.token_id,
        "expires_at": expires_at,
        "rights": sorted(rights_of(caller.role)),
        "grants": role_grants.grantable_roles(caller),
        "must_change_password": caller.must_change_password,
    }


def _cookie(request: Request) -> dict[str, Any]:
    """Cookie attributes: this path only, hidden from scripts, and over TLS only where the public URL has it."""
    settings = _settings(request)
    return {
        "path": settings.root_path or "/",
        "httponly": True,
        "samesite": "lax",
        "secure": (settings.public_url or "").startswith("https://"),
    }


def _ttl(request: Request) -> timedelta:
    return timedelta(hours=_settings(request).sign_in.longest_hours)


def _settings(request: Request) -> Settings:
    return request.app.state.settings  # type: ignore[no-any-return]
