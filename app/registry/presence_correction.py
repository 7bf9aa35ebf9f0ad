"""Says since when a site's device has been present as it is: the one field whose past may be corrected (ADR 52)."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.scope import Caller
from app.core.clock import floor_second, utc_now
from app.core.errors import Fault, Invalid
from app.postgres.engine import Counter, next_version
from app.registry import store
from app.registry.models import DATED_FIELDS, Presence, Site, SiteConfiguration
from app.registry.schemas import SitePatch
from probes.policy import AddressPolicy

CORRECTED = ("presence", "public_hours")
UNDER_CONTRACT = text("""
    SELECT min(k.number) FROM site_contract a JOIN contract k ON k.id = a.contract_id
    WHERE a.site_id = :id AND a.withdrawn_at IS NULL
        AND tstzrange(:since, NULL) && tstzrange(
            greatest(a.started_on, k.valid_from)::timestamp AT TIME ZONE 'Asia/Makassar',
            least(a.ended_on, k.valid_to)::timestamp AT TIME ZONE 'Asia/Makassar')
        AND coalesce(least(a.ended_on, k.valid_to), 'infinity') > greatest(a.started_on, k.valid_from)
""")
END_EARLIER = text("UPDATE site_configuration SET ended_at = :since WHERE site_id = :id AND ended_at = :began")
BEGIN_EARLIER = text("""
    UPDATE site_configuration SET started_at = :since, version = :version WHERE site_id = :id AND started_at = :began
""")


async def correct(
    session: AsyncSession,
    ident: str,
    presence: Presence,
    since: datetime,
    *,
    reason: str,
    caller: Caller,
    policy: AddressPolicy,
) -> Site:
    """Date the site's presence back: as if it had been declared at `since`.

    1. Set it from now on, as any change.
    2. Move the moment at which that configuration began back to `since`. The one before differs in nothing else.
    3. Mark the configuration as new: the worker judges again what was judged by the former one.

    Raises what a change of the site would, and Invalid where the past cannot be corrected.
    """
    since = floor_second(since)
    site, _ = await store.patch_site(
        session, ident, SitePatch(presence=presence), caller=caller, policy=policy, if_match=None
    )
    await session.flush()
    began = await _began(session, site, since)
    await _move_boundary(session, site, began, since)
    await audit.record(
        session,
        caller,
        "change",
        "site",
        site.code,
        region_code=site.village_code,
        before={"presence_from": began.isoformat()},
        after={"presence": presence.value, "presence_from": since.isoformat(), "reason": reason},
    )
    return site


async def _began(session: AsyncSession, site: Site, since: datetime) -> datetime:
    """Return when the site's present configuration began. Raises Invalid if it cannot have begun at `since`."""
    newest = select(SiteConfiguration).where(SiteConfiguration.site_id == site.id)
    rows = (await session.scalars(newest.order_by(SiteConfiguration.started_at.desc()).limit(2))).all()
    contract = await session.scalar(UNDER_CONTRACT, {"id": site.id, "since": since})
    if faults := list(_faults(rows[0], rows[1] if len(rows) > 1 else None, since, contract)):
        raise Invalid(*faults)
    return rows[0].started_at


async def _move_boundary(session: AsyncSession, site: Site, began: datetime, since: datetime) -> None:
    version = await next_version(session, Counter.REGISTRY)
    site.version, site.updated_at = version, utc_now()
    values = {"id": site.id, "since": since, "began": began}
    await session.execute(END_EARLIER, values)
    await session.execute(BEGIN_EARLIER, values | {"version": version})


def _faults(
    present: SiteConfiguration, before: SiteConfiguration | None, since: datetime, contract: str | None
) -> Iterator[Fault]:
    if contract is not None:
        yield Fault(
            "from",
            "under_contract",
            "Under contract {number} since then: what it counts is not changed by a declaration",
            "Give the incidents their cause instead, with whoever confirmed it",
            values={"number": contract},
        )
    if since >= present.started_at:
        since_then = {"since": present.started_at.isoformat()}
        yield Fault(
            "from", "not_past", "It is so since then already", "Give a moment before {since}", values=since_then
        )
        return
    limit = _reaches_back_to(present, before)
    if since <= limit:
        yield Fault(
            "from",
            "changed_otherwise",
            "A correction reaches back to the last other change of the site at most",
            "Give a moment after {since}",
            values={"since": limit.isoformat()},
        )


def _reaches_back_to(present: SiteConfiguration, before: SiteConfiguration | None) -> datetime:
    """Return when the site was last changed in anything else."""
    others = [name for name in DATED_FIELDS if name not in CORRECTED]
    if before is None or any(getattr(before, name) != getattr(present, name) for name in others):
        return present.started_at
    return before.started_at
