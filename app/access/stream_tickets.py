"""Stream tickets: a browser's EventSource sends no headers, and a lasting secret does not belong into a URL.

A ticket is valid for a minute and opens one stream, with the rights of the token or session that requested it.
"""

import secrets
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.api_tokens import digest
from app.access.models import CredentialKind, StreamTicket
from app.core.clock import utc_now
from app.core.errors import NotSignedIn

TTL = timedelta(seconds=60)


class Credential(NamedTuple):
    """What a caller authenticates with, by the digest of its secret."""

    kind: CredentialKind
    digest: bytes


async def issue(session: AsyncSession, credential: Credential) -> tuple[str, datetime]:
    """Return the ticket's secret, which is not stored, and when it expires."""
    secret, expires_at = secrets.token_urlsafe(32), utc_now() + TTL
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
    """Return the credential behind a ticket, once. Raises NotSignedIn."""
    redeemed = delete(StreamTicket).where(StreamTicket.digest == digest(secret), StreamTicket.expires_at > utc_now())
    returned = redeemed.returning(StreamTicket.kind, StreamTicket.credential)
    row = (await session.execute(returned)).one_or_none()
    if row is None:
        raise NotSignedIn("The ticket is unknown, used or expired: ask for a new one")
    return Credential(row.kind, row.credential)


async def delete_old(session: AsyncSession) -> None:
    await session.execute(delete(StreamTicket).where(StreamTicket.expires_at < utc_now()))
