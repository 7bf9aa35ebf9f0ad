"""Device tokens: what a site's agent proves itself with. One of a site is good at a time."""

import secrets

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.store import digest
from app.clock import utc_now
from app.field.models import AgentKind, DeviceToken

PREFIX = "sd-"  # letters, digits, '-' and '_' only: RouterOS splits headers at commas


async def mint(
    session: AsyncSession, site_id: int | None, *, by: str, kind: AgentKind | None = None
) -> tuple[DeviceToken, str]:
    """The new token and its secret, which is kept nowhere. Those that the site had are over."""
    await revoke(session, site_id, by=by)
    secret = PREFIX + secrets.token_urlsafe(32)
    token = DeviceToken(site_id=site_id, digest=digest(secret), kind=kind, created_by=by)
    session.add(token)
    await session.flush()
    return token, secret


async def revoke(session: AsyncSession, site_id: int | None, *, by: str) -> int:
    """How many there were."""
    good = DeviceToken.site_id.is_not_distinct_from(site_id), DeviceToken.revoked_at.is_(None)
    found = await session.execute(update(DeviceToken).where(*good).values(revoked_at=utc_now(), revoked_by=by))
    return found.rowcount  # type: ignore[attr-defined, no-any-return]


async def forget_own(session: AsyncSession) -> None:
    """Those of our own beat, of which each start of a worker makes one: they are nobody's history."""
    await session.execute(delete(DeviceToken).where(DeviceToken.site_id.is_(None)))


async def find_good(session: AsyncSession, site_id: int) -> DeviceToken | None:
    query = select(DeviceToken).where(DeviceToken.site_id == site_id, DeviceToken.revoked_at.is_(None))
    return (await session.scalars(query.order_by(DeviceToken.id.desc()).limit(1))).one_or_none()
