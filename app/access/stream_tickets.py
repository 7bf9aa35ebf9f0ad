"""Tickets for streams: a browser's EventSource sends no headers, and an address is no place for a secret that lasts.

A ticket lasts a minute and opens one stream. It holds no rights: it says with what its owner came to ask for it.
"""

import secrets
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Kind, StreamTicket
from app.access.store import digest
from app.core.clock import utc_now
from app.core.errors import NotSignedIn

LASTS = timedelta(seconds=60)


class Credential(NamedTuple):
    """What a caller came with, by the digest of its secret."""

    kind: Kind
    digest: bytes


async def issue(session: AsyncSession, credential: Credential) -> tuple[str, datetime]:
    """The secret, which is kept nowhere, and until when it is good."""
    secret, expires_at = secrets.token_urlsafe(32), utc_now() + LASTS
    session.add(
        StreamTicket(
            digest=digest(secret),
            kind=credential.kind,
            credential=credential.digest,
            expires_at=expires_at,
        )
    )
    await session.flush()
    return secret, expires_at


async def redeem(session: AsyncSession, secret: str) -> Credential:
    """Raises NotSignedIn; of two who come with the same, one."""
    taken = delete(StreamTicket).where(StreamTicket.digest == digest(secret), StreamTicket.expires_at > utc_now())
    returned = taken.returning(StreamTicket.kind, StreamTicket.credential)
    row = (await session.execute(returned)).one_or_none()
    if row is None:
        raise NotSignedIn("The ticket is unknown, used or expired: ask for a new one")
    return Credential(row.kind, row.credential)


async def forget_old(session: AsyncSession) -> None:
    await session.execute(delete(StreamTicket).where(StreamTicket.expires_at < utc_now()))
