"""The agents' device tokens, as the product knows them."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.store import digest
from app.agents.models import DeviceToken
from app.core.clock import utc_now
from app.postgres.engine import among
from app.registry.models import Site
from probes.contract import ProbeKind
from simulator.agent_secret import token

DEMO = "demo"


async def ensure(session: AsyncSession, secret: str, codes: Sequence[str]) -> None:
    """Makes them good for those of these sites that report themselves, unless a user gave or took such a token."""
    rows = await session.execute(
        select(Site.id, Site.code).where(Site.probe == ProbeKind.PUSH, among(Site.code, codes))
    )
    ids = {row.id: digest(token(secret, row.code)) for row in rows}
    known: dict[int, list[DeviceToken]] = {}
    for one in await session.scalars(select(DeviceToken).where(among(DeviceToken.site_id, ids))):
        known.setdefault(one.site_id or 0, []).append(one)
    for site_id, ours in ids.items():
        there = known.get(site_id, [])
        users = [one for one in there if one.created_by != DEMO or (one.revoked_by or DEMO) != DEMO]
        if users or any(one.digest == ours for one in there):
            continue
        for one in there:  # of a secret that is gone
            one.revoked_at, one.revoked_by = one.revoked_at or utc_now(), DEMO
        session.add(DeviceToken(site_id=site_id, digest=ours, created_by=DEMO))
    await session.flush()
