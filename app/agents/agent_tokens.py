"""Device tokens: what a site's agent proves itself with.

One of a site is good at a time, but for one case: what a technician fetched ends the one before it only when its agent
first came with it. An installation that failed leaves the agent that worked as it was.
"""

import secrets
from collections import defaultdict

from sqlalchemy import delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.models import Role
from app.access.scope import Caller
from app.access.store import digest
from app.agents.models import AgentKind, DeviceToken
from app.core.clock import utc_now
from app.registry.models import Site

PREFIX = "sd-"  # letters, digits, '-' and '_' only: RouterOS splits headers at commas

FRESH = text("""
    SELECT id FROM device_token
    WHERE digest = ANY(cast(:digests AS bytea[])) AND used_at IS NULL AND revoked_at IS NULL ORDER BY id FOR UPDATE
""")
USE = text("UPDATE device_token SET used_at = now() WHERE id = ANY(:ids)")
REPLACE = text("""
    UPDATE device_token older SET revoked_at = now(), revoked_by = t.created_by || ': replaced by token ' || t.id
    FROM device_token t
    WHERE t.id = ANY(:ids) AND older.site_id = t.site_id AND older.id < t.id AND older.revoked_at IS NULL
    RETURNING t.id, t.site_id, older.id
""")


async def mint(
    session: AsyncSession, site_id: int | None, *, by: str, kind: AgentKind | None = None, at_once: bool = True
) -> tuple[DeviceToken, str]:
    """The new token and its secret, which is kept nowhere. Those that the site had are over: at once, or once an agent
    comes with the new one."""
    if at_once:
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


async def come(session: AsyncSession, digests: list[bytes]) -> None:
    """Agents came with these for the first time: what their sites had before is over. Locked in one order, since every
    api process may find the same."""
    ids = list(await session.scalars(FRESH, {"digests": digests}))
    if not ids:
        return
    await session.execute(USE, {"ids": ids})
    ended: dict[tuple[int, int], list[int]] = defaultdict(list)
    for token_id, site_id, older in await session.execute(REPLACE, {"ids": ids}):
        ended[token_id, site_id].append(older)
    for (token_id, site_id), tokens in ended.items():
        await _record(session, site_id, f"device of token {token_id}", sorted(tokens))


async def end(session: AsyncSession, digest: bytes) -> bool:
    """Its agent is removed. Again: nothing more. Whether there is such a token, good or over."""
    query = select(DeviceToken).where(DeviceToken.digest == digest, DeviceToken.site_id.is_not(None))
    token = (await session.scalars(query.with_for_update())).one_or_none()
    if token is not None and token.revoked_at is None:
        token.revoked_at, token.revoked_by = utc_now(), "the agent, when it was removed"
        assert token.site_id is not None
        await _record(session, token.site_id, f"device of token {token.id}", [token.id])
    return token is not None


async def _record(session: AsyncSession, site_id: int, by: str, ended: list[int]) -> None:
    village_code = await session.scalar(select(Site.village_code).where(Site.id == site_id))
    caller = Caller(None, by, Role.DISTRICT_OPERATOR, village_code or "")
    await audit.record(
        session, caller, "revoke_agent", "site", site_id, region_code=village_code, after={"device_token_ids": ended}
    )


async def forget_own(session: AsyncSession) -> None:
    """Those of our own beat, of which each start of a worker makes one: they are nobody's history."""
    await session.execute(delete(DeviceToken).where(DeviceToken.site_id.is_(None)))


async def find_good(session: AsyncSession, site_id: int) -> DeviceToken | None:
    """Of those that are good, the one that its agent comes with."""
    query = select(DeviceToken).where(DeviceToken.site_id == site_id, DeviceToken.revoked_at.is_(None))
    order = DeviceToken.used_at.is_(None), DeviceToken.id.desc()
    return (await session.scalars(query.order_by(*order).limit(1))).one_or_none()
