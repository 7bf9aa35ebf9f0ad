"""`/session` and `/me`: a person's own sign-in."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import sessions
from app.access.store import digest
from app.accounts import me
from app.accounts import sign_in as signing
from app.accounts.schemas import MeOut, PasswordIn, SessionOut, SignInIn
from app.accounts.sign_in import Opened
from app.core.errors import NotAllowed, NotFound
from app.postgres.engine import transaction
from app.settings import Settings
from app.web.auth import COOKIE, cookie
from app.web.deps import Session, SignedIn, open_to_all
from app.web.problem_details import problems

router = APIRouter(tags=["access"])

Presented = Annotated[str | None, Depends(cookie)]
NO_SESSION = "This request was authenticated by a token: a session begins with POST /api/v1/session"


@router.post("/session", response_model=SessionOut, responses=problems(429), dependencies=[Depends(open_to_all)])
async def sign_in(given: SignInIn, request: Request, response: Response) -> dict[str, Any]:
    """Signs in: a cookie that scripts cannot read, and a CSRF token for everything that changes something.

    Wrong passwords make ever longer waits (429 with `Retry-After`).
    """
    opened = await signing.sign_in(
        request.app.state.sessions,
        given.username,
        given.password.get_secret_value(),
        address=request.client.host if request.client else None,
        lasts=_lasts(request),
        presented=request.cookies.get(COOKIE),
    )
    return await _hand_out(request, response, opened)


@router.get("/session", response_model=SessionOut, responses=problems(404))
async def get_session(
    session: Session, caller: SignedIn, request: Request, response: Response, presented: Presented
) -> dict[str, Any]:
    if caller.token_id is not None or presented is None:
        raise NotFound(NO_SESSION)
    response.headers["Cache-Control"] = "no-store"
    return await _present(session, await _find(session, request, presented))


@router.delete("/session", status_code=204, responses=problems(403))
async def sign_out(
    session: Session, caller: SignedIn, request: Request, response: Response, presented: Presented
) -> None:
    """Signs out. A token is not revoked by it."""
    if caller.token_id is None and presented is not None:
        await sessions.end(session, presented)
        response.delete_cookie(COOKIE, **_cookie(request))


@router.get("/me", response_model=MeOut, responses=problems())
async def get_me(session: Session, caller: SignedIn, request: Request, presented: Presented) -> dict[str, Any]:
    """Who you are here, how far you reach, and what you may do."""
    if caller.token_id is not None or presented is None:
        return await me.of_token(session, caller)
    found = await _find(session, request, presented)
    return await me.of_session(session, found.account, found.sign_in.expires_at)


@router.post("/me/password", response_model=SessionOut, responses=problems(403, 429))
async def change_password(caller: SignedIn, given: PasswordIn, request: Request, response: Response) -> dict[str, Any]:
    """All your sessions end, this one goes on under a new cookie and CSRF token. Your API tokens stay."""
    if caller.token_id is not None:
        raise NotAllowed(NO_SESSION)
    opened = await signing.change_password(
        request.app.state.sessions,
        caller,
        given.current_password.get_secret_value(),
        given.new_password.get_secret_value(),
        lasts=_lasts(request),
    )
    return await _hand_out(request, response, opened)


async def _find(session: AsyncSession, request: Request, secret: str) -> Opened:
    idle = timedelta(minutes=_settings(request).sign_in.idle_minutes)
    return Opened(*await sessions.get_sign_in(session, digest(secret), idle=idle), secret)


async def _hand_out(request: Request, response: Response, opened: Opened) -> dict[str, Any]:
    lasts_s = int(_lasts(request).total_seconds())
    response.set_cookie(COOKIE, opened.secret, max_age=lasts_s, **_cookie(request))
    response.headers["Cache-Control"] = "no-store"
    async with transaction(request.app.state.sessions) as session:
        return await _present(session, opened)


async def _present(session: AsyncSession, opened: Opened) -> dict[str, Any]:
    expires_at = opened.sign_in.expires_at
    return {
        "account": await me.of_session(session, opened.account, expires_at),
        "csrf_token": sessions.csrf_token(opened.secret),
        "expires_at": expires_at,
    }


def _cookie(request: Request) -> dict[str, Any]:
    """Sent back to this service alone, only over TLS where that is how the outside reaches it, and never to scripts."""
    given = _settings(request)
    return {
        "path": given.root_path or "/",
        "httponly": True,
        "samesite": "lax",
        "secure": (given.public_url or "").startswith("https://"),
    }


def _lasts(request: Request) -> timedelta:
    return timedelta(hours=_settings(request).sign_in.longest_hours)


def _settings(request: Request) -> Settings:
    return request.app.state.settings  # type: ignore[no-any-return]
