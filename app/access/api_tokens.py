"""API tokens: created, hashed, looked up."""

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Account, Role, Token
from app.access.scope import Caller, exceeds
from app.core.clock import utc_now
from app.core.errors import NotSignedIn

PREFIX = "sinyal_"


def digest(secret: str) -> bytes:
    """One plain hash is enough: a token holds 256 random bits."""
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
    """Create a token without an owner; return its secret, which is not stored."""
    return (
        await add_token(session, name=name, role=role, region_code=region_code, provider_id=provider_id, days=days)
    )[1]


async def add_token(
    session: AsyncSession,
    *,
    name: str,
    role: Role,
    region_code: str,
    provider_id: int | None,
    days: int | None,
    account_id: int | None = None,
    created_by: str | None = None,
) -> tuple[Token, str]:
    """Return the token and its secret, which is not stored."""
    secret, now = PREFIX + secrets.token_urlsafe(32), utc_now()
    token = Token(
        name=name,
        digest=digest(secret),
        role=role,
        region_code=region_code,
        provider_id=provider_id,
        account_id=account_id,
        created_at=now,
        created_by=created_by,
        expires_at=now + timedelta(days=days) if days else None,
    )
    session.add(token)
    await session.flush()
    return token, secret


async def token_expires_at(session: AsyncSession, token_id: int | None) -> datetime | None:
    return await session.scalar(select(Token.expires_at).where(Token.id == token_id))


async def get_caller(session: AsyncSession, secret_digest: bytes) -> Caller:
    """Return the token's caller. Raises NotSignedIn, alike for an unknown, expired or revoked token."""
    query = select(Token, Account).outerjoin(Account, Account.id == Token.account_id)
    row = (await session.execute(query.where(Token.digest == secret_digest))).one_or_none()
    now = utc_now()
    if row is None or row[0].revoked_at is not None or (row[0].expires_at is not None and row[0].expires_at <= now):
        raise NotSignedIn("The token is unknown, expired or revoked")
    token, owner = row
    if owner is not None and (owner.disabled_at is not None or exceeds(owner, token)):
        raise NotSignedIn("The token exceeds what its owner is allowed now")  # a token follows its owner's role
    if token.last_used_at is None or now - token.last_used_at > timedelta(minutes=1):
        await session.execute(update(Token).where(Token.id == token.id).values(last_used_at=now))
    return Caller(
        token.id,
        token.name,
        token.role,
        token.region_code,
        token.provider_id,
        token.account_id,
        username=owner.username if owner else None,
    )
