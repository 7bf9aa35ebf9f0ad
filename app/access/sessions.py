"""Console sessions: a random secret in a cookie, of which only the digest is stored."""

import hashlib
import hmac
import secrets
from datetime import timedelta

from sqlalchemy import delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.api_tokens import digest
from app.access.models import Account, SignIn
from app.access.scope import Caller
from app.core.clock import utc_now
from app.core.errors import NotSignedIn

FAMILIAR_FOR = timedelta(days=90)
SEEN_RESOLUTION = timedelta(minutes=1)


async def open_sign_in(session: AsyncSession, account: Account, *, network: str, ttl: timedelta) -> tuple[SignIn, str]:
    """Start a session; return it and its secret, which goes into the cookie and is not stored."""
    secret, now = secrets.token_urlsafe(32), utc_now()
    sign_in = SignIn(
        digest=digest(secret), account_id=account.id, address=network, created_at=now, seen_at=now, expires_at=now + ttl
    )
    session.add(sign_in)
    await session.flush()
    return sign_in, secret


async def get_caller(session: AsyncSession, secret_digest: bytes, *, idle: timedelta) -> Caller:
    """Return the session's caller. Raises NotSignedIn once it ended, was idle, or its account was disabled."""
    sign_in, account = await get_sign_in(session, secret_digest, idle=idle)
    if (now := utc_now()) - sign_in.seen_at > SEEN_RESOLUTION:
        await session.execute(update(SignIn).where(SignIn.id == sign_in.id).values(seen_at=now))
    return caller_of(account)


async def get_sign_in(session: AsyncSession, secret_digest: bytes, *, idle: timedelta) -> tuple[SignIn, Account]:
    """Raises NotSignedIn, like `get_caller`."""
    now = utc_now()
    row = (
        await session.execute(
            select(SignIn, Account)
            .join(Account, Account.id == SignIn.account_id)
            .where(
                SignIn.digest == secret_digest,
                SignIn.ended_at.is_(None),
                SignIn.expires_at > now,
                SignIn.seen_at > now - idle,
                Account.disabled_at.is_(None),
            )
        )
    ).one_or_none()
    if row is None:
        raise NotSignedIn("The session has ended: sign in again")
    return row[0], row[1]


def caller_of(account: Account) -> Caller:
    return Caller(
        None,
        account.username,
        account.role,
        account.region_code,
        account.provider_id,
        account.id,
        must_change_password=account.must_change_password,
        username=account.username,
        full_name=account.name,
    )


def csrf_token(secret: str) -> str:
    """Derived from the session's secret: another site can make a browser send the cookie, but cannot read this."""
    return hmac.new(secret.encode(), b"csrf", hashlib.sha256).hexdigest()


async def end(session: AsyncSession, secret: str) -> None:
    await session.execute(
        update(SignIn).where(SignIn.digest == digest(secret), SignIn.ended_at.is_(None)).values(ended_at=utc_now())
    )


async def end_all(session: AsyncSession, account_id: int) -> int:
    """Return how many ended."""
    open_ones = update(SignIn).where(SignIn.account_id == account_id, SignIn.ended_at.is_(None))
    ended = await session.execute(open_ones.values(ended_at=utc_now()).returning(SignIn.id))
    return len(ended.all())


async def list_open(session: AsyncSession, account_id: int, *, idle: timedelta, limit: int) -> list[SignIn]:
    """Return the account's sessions that can still be used, last seen first."""
    now = utc_now()
    query = select(SignIn).where(
        SignIn.account_id == account_id,
        SignIn.ended_at.is_(None),
        SignIn.expires_at > now,
        SignIn.seen_at > now - idle,
    )
    return list(await session.scalars(query.order_by(SignIn.seen_at.desc(), SignIn.id).limit(limit)))


async def is_familiar(session: AsyncSession, account_id: int, network: str) -> bool:
    """Whether the account signed in from the network within FAMILIAR_FOR."""
    recent = exists().where(
        SignIn.account_id == account_id, SignIn.address == network, SignIn.created_at > utc_now() - FAMILIAR_FOR
    )
    return bool(await session.scalar(select(recent)))


async def delete_old(session: AsyncSession) -> None:
    await session.execute(delete(SignIn).where(SignIn.created_at < utc_now() - FAMILIAR_FOR))
