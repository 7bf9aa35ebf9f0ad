"""API tokens: made, hashed, looked up."""

import hashlib
import secrets
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Role, Token
from app.access.scope import Caller
from app.clock import utc_now
from app.errors import NotSignedIn

PREFIX = "sinyal_"


def digest(secret: str) -> bytes:
    """A token carries 256 random bits, so one plain hash is enough: there is nothing to guess."""
    return hashlib.sha256(secret.encode()).digest()


async def create_token(
    session: AsyncSession,
    *,
    name: str,
    role: Role,
    region_code: str = "64",
    provider_id: int | None = None,
    days: int | None = None,
) -> str:
    """The secret: shown once, kept nowhere."""
    secret = PREFIX + secrets.token_urlsafe(32)
    session.add(
        Token(
            name=name,
            digest=digest(secret),
            role=role,
            region_code=region_code,
            provider_id=provider_id,
            created_at=utc_now(),
            expires_at=utc_now() + timedelta(days=days) if days else None,
        )
    )
    await session.flush()
    return secret


async def get_caller(session: AsyncSession, secret: str) -> Caller:
    """Raises NotSignedIn; the answer never tells which of unknown, expired and revoked it was."""
    token = await session.scalar(select(Token).where(Token.digest == digest(secret)))
    now = utc_now()
    if token is None or token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= now):
        raise NotSignedIn("The token is unknown, expired or revoked")
    if token.last_used_at is None or now - token.last_used_at > timedelta(minutes=1):
        await session.execute(update(Token).where(Token.id == token.id).values(last_used_at=now))
    return Caller(token.id, token.name, token.role, token.region_code, token.provider_id)
