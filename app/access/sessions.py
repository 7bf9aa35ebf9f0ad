"""Sessions of the console: a random secret in a cookie, of which only the digest is kept."""

import hashlib
import hmac
import secrets
from datetime import timedelta

from sqlalchemy import delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Account, SignIn
from app.access.scope import Caller
from app.access.store import digest
from app.core.clock import utc_now
from app.core.errors import NotSignedIn

FAMILIAR = timedelta(days=90)
SEEN_EVERY = timedelta(minutes=1)


async def open_sign_in(session: AsyncSession, account: Account, *, place: str, lasts: timedelta) -> tuple[SignIn, str]:
    """With its secret, which goes into the cookie and is kept nowhere."""
    secret, now = secrets.token_urlsafe(32), utc_now()
    found = SignIn(
        digest=digest(secret), account_id=account.id, address=place, created_at=now, seen_at=now, expires_at=now + lasts
    )
    session.add(found)
    await session.flush()
    return found, secret


async def get_caller(session: AsyncSession, secret_digest: bytes, *, idle: timedelta) -> Caller:
    """Raises NotSignedIn once it ended, was idle for too long, or its account was disabled."""
    found, account = await get_sign_in(session, secret_digest, idle=idle)
    if (now := utc_now()) - found.seen_at > SEEN_EVERY:
        await session.execute(update(SignIn).where(SignIn.id == found.id).values(seen_at=now))
    return caller_of(account)


async def get_sign_in(session: AsyncSession, secret_digest: bytes, *, idle: timedelta) -> tuple[SignIn, Account]:
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
    )


def csrf_token(secret: str) -> str:
    """What only the session's own pages know: another site can make a browser send the cookie, not read this."""
    return hmac.new(secret.encode(), b"csrf", hashlib.sha256).hexdigest()


async def end(session: AsyncSession, secret: str) -> None:
    await session.execute(
        update(SignIn).where(SignIn.digest == digest(secret), SignIn.ended_at.is_(None)).values(ended_at=utc_now())
    )


async def end_all(session: AsyncSession, account_id: int) -> None:
    await session.execute(
        update(SignIn).where(SignIn.account_id == account_id, SignIn.ended_at.is_(None)).values(ended_at=utc_now())
    )


async def is_familiar(session: AsyncSession, account_id: int, place: str) -> bool:
    """Whether the account signed in from there of late."""
    recent = exists().where(
        SignIn.account_id == account_id, SignIn.address == place, SignIn.created_at > utc_now() - FAMILIAR
    )
    return bool(await session.scalar(select(recent)))


async def forget_old(session: AsyncSession) -> None:
    await session.execute(delete(SignIn).where(SignIn.created_at < utc_now() - FAMILIAR))
