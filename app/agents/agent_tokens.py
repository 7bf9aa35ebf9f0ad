"""Device tokens, with which the agents of sites authenticate.

A site has one valid token at a time, with one exception: a token that a technician fetched revokes the one before only
when an agent first uses it. So an installation that fails leaves the working agent untouched.
"""

import secrets
from collections import defaultdict

from sqlalchemy import delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.api_tokens import digest
from app.access.models import Role
from app.access.scope import Caller
from app.agents.models import AgentKind, DeviceToken
from app.core.clock import utc_now
from app.registry.models import Site

PREFIX = "sd-"  # secrets hold letters, digits, '-' and '_' only: RouterOS splits headers at commas

LOCK_UNUSED = text("""
    SELECT id FROM device_token
    WHERE digest = ANY(cast(:digests AS bytea[])) AND used_at IS NULL AND revoked_at IS NULL ORDER BY id FOR UPDATE
""")
MARK_USED = text("UPDATE device_token SET used_at = now() WHERE id = ANY(:ids)")
REVOKE_OLDER = text("""
    UPDATE device_token older SET revoked_at = now(), revoked_by = t.created_by || ': replaced by token ' || t.id
    FROM device_token t
    WHERE t.id = ANY(:ids) AND older.site_id = t.site_id AND older.id < t.id AND older.revoked_at IS NULL
    RETURNING t.id, t.site_id, older.id
""")


async def mint(
    session: AsyncSession,
    site_id: int | None,
    *,
    by: str,
    kind: AgentKind | None = None,
    revoke_previous: bool = True,
) -> tuple[DeviceToken, str]:
    """Return a new token and its secret, which is not stored.

    The site's earlier tokens are revoked now, or without `revoke_previous` when an agent first uses the new one.
    """
    if revoke_previous:
        await revoke(session, site_id, by=by)
    secret = PREFIX + secrets.token_urlsafe(32)
    token = DeviceToken(site_id=site_id, digest=digest(secret), kind=kind, created_by=by)
    session.add(token)
    await session.flush()
    return token, secret


async def revoke(session: AsyncSession, site_id: int | None, *, by: str) -> int:
    """Revoke all valid tokens of a site; return how many."""
    valid = DeviceToken.site_id.is_not_distinct_from(site_id), DeviceToken.revoked_at.is_(None)
    result = await session.execute(update(DeviceToken).where(*valid).values(revoked_at=utc_now(), revoked_by=by))
    return result.rowcount  # type: ignore[attr-defined, no-any-return]


async def activate_tokens(session: AsyncSession, digests: list[bytes]) -> None:
    """Mark tokens as used and revoke the earlier tokens of their sites. Tokens used before are skipped.

    Rows are locked in the order of ids, since several API processes may activate the same tokens at once.
    """
    ids = list(await session.scalars(LOCK_UNUSED, {"digests": digests}))
    if not ids:
        return
    await session.execute(MARK_USED, {"ids": ids})
    revoked: dict[tuple[int, int], list[int]] = defaultdict(list)
    for token_id, site_id, older_id in await session.execute(REVOKE_OLDER, {"ids": ids}):
        revoked[token_id, site_id].append(older_id)
    for (token_id, site_id), older_ids in revoked.items():
        await _audit_revocation(session, site_id, f"device of token {token_id}", sorted(older_ids))


async def end(session: AsyncSession, digest: bytes) -> bool:
    """Revoke a token at its agent's own request. Idempotent; return whether the token exists, valid or revoked."""
    query = select(DeviceToken).where(DeviceToken.digest == digest, DeviceToken.site_id.is_not(None))
    token = (await session.scalars(query.with_for_update())).one_or_none()
    if token is not None and token.revoked_at is None:
        token.revoked_at, token.revoked_by = utc_now(), "the agent, when it was removed"
        assert token.site_id is not None
        await _audit_revocation(session, token.site_id, f"device of token {token.id}", [token.id])
    return token is not None


async def _audit_revocation(session: AsyncSession, site_id: int, by: str, token_ids: list[int]) -> None:
    village_code = await session.scalar(select(Site.village_code).where(Site.id == site_id))
    caller = Caller(None, by, Role.DISTRICT_OPERATOR, village_code or "")
    await audit.record(
        session,
        caller,
        "revoke_agent",
        "site",
        site_id,
        region_code=village_code,
        after={"device_token_ids": token_ids},
    )


async def delete_heartbeat_tokens(session: AsyncSession) -> None:
    """Delete the tokens of the worker's ingest heartbeat, of which each start of a worker makes one: no history."""
    await session.execute(delete(DeviceToken).where(DeviceToken.site_id.is_(None)))


async def find_valid(session: AsyncSession, site_id: int) -> DeviceToken | None:
    """Return the valid token that the site's agent uses; if none is in use, the newest."""
    query = select(DeviceToken).where(DeviceToken.site_id == site_id, DeviceToken.revoked_at.is_(None))
    order = DeviceToken.used_at.is_(None), DeviceToken.id.desc()
    return (await session.scalars(query.order_by(*order).limit(1))).one_or_none()
