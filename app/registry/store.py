"""The registry of sites: what is registered, by whom it may be seen, and how it was set up when."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, not_, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.access.scope import Caller, in_region, require_region, require_writer, visible_to
from app.clock import floor_second, utc_now
from app.database import Counter, lock_counter, next_version, require_version
from app.errors import Conflict, Fault, Invalid, NotFound
from app.evidence import AHEAD, HOLD, holds, lapses_at
from app.profiles import Technology, profiles
from app.registry import references, rules
from app.registry.models import (
    Lifecycle,
    LinkRole,
    Provider,
    Site,
    SiteConfiguration,
    SiteKind,
    SiteStatus,
    State,
    UnknownReason,
)
from app.registry.schemas import SiteIn, SitePatch
from probes.policy import Policy

MAX_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class SiteFilter:
    region: str | None = None
    state: State | None = None
    technology: Technology | None = None
    provider: str | None = None
    lifecycle: Lifecycle | None = None
    q: str | None = None


def _sites(caller: Caller) -> Select[Site, SiteStatus]:
    return (
        select(Site, SiteStatus)
        .join(SiteStatus, SiteStatus.site_id == Site.id)
        .options(joinedload(Site.provider))
        .where(visible_to(caller, Site))
    )


@dataclass(frozen=True, slots=True)
class Shown:
    state: State
    since: datetime


def shown_state(site: Site, status: SiteStatus, now: datetime) -> Shown:
    """The state as it may be shown now: unknown once its evidence is too old, or the site is not in service."""
    if site.lifecycle is not Lifecycle.ACTIVE:
        return Shown(State.UNKNOWN, site.updated_at)
    if status.evidence_at is not None and not holds(status.evidence_at, status.valid_s, now):
        return Shown(State.UNKNOWN, min(lapses_at(status.evidence_at, status.valid_s), now))
    return Shown(status.state, status.since)


def _state_now() -> ColumnElement[Any]:
    """`shown_state`, in SQL."""
    until = SiteStatus.evidence_at + func.make_interval(0, 0, 0, 0, 0, 0, func.floor(HOLD * SiteStatus.valid_s))
    stale = not_(func.now().between(SiteStatus.evidence_at - AHEAD, until))
    return case((stale | (Site.lifecycle != Lifecycle.ACTIVE), State.UNKNOWN.value), else_=SiteStatus.state)


async def list_sites(
    session: AsyncSession, wanted: SiteFilter, *, caller: Caller, after: int | None, limit: int
) -> list[tuple[Site, SiteStatus]]:
    query = _sites(caller).order_by(Site.id).limit(limit)
    if wanted.region is not None:
        require_region(caller, wanted.region)
        query = query.where(in_region(Site.village_code, wanted.region))
    if wanted.state is not None:
        query = query.where(_state_now() == wanted.state.value)
    if wanted.technology is not None:
        query = query.where(Site.technology == wanted.technology)
    if wanted.provider is not None:
        query = query.where(Site.provider.has(Provider.slug == wanted.provider))
    if wanted.lifecycle is not None:
        query = query.where(Site.lifecycle == wanted.lifecycle)
    if wanted.q is not None:
        query = query.where(
            Site.name.icontains(wanted.q, autoescape=True)
            | Site.host.icontains(wanted.q, autoescape=True)
            | Site.code.startswith(wanted.q, autoescape=True)
        )
    if after is not None:
        query = query.where(Site.id > after)
    return [(site, status) for site, status in await session.execute(query)]


async def get_site(
    session: AsyncSession, ident: str, *, caller: Caller, for_update: bool = False
) -> tuple[Site, SiteStatus]:
    """By id or by code; raises NotFound alike for what is unknown and what lies out of scope."""
    query = _sites(caller)
    if re.fullmatch(r"[0-9]{1,10}", ident) and int(ident) <= MAX_ID:
        query = query.where(Site.id == int(ident))
    else:
        query = query.where(Site.code == ident)
    if for_update:
        query = query.with_for_update(of=Site, key_share=True).execution_options(populate_existing=True)
    found = (await session.execute(query)).one_or_none()
    if found is None:
        raise NotFound(f"There is no site {ident[:60]} within your scope")
    return found[0], found[1]


async def create_site(
    session: AsyncSession, given: SiteIn, *, caller: Caller, policy: Policy
) -> tuple[Site, SiteStatus]:
    """Raises Invalid with every fault, NotAllowed outside the scope, Conflict for an address that is taken."""
    values = given.model_dump()
    values["kind"] = given.kind or SiteKind.ACCESS_POINT
    values["lifecycle"] = given.lifecycle or Lifecycle.ACTIVE
    values["link_role"] = given.link_role or LinkRole.PRIMARY
    values["host_static"] = given.host_static is not False
    found, faults = await references.resolve(session, values, caller=caller)
    faults += rules.check(values, policy=policy)
    if faults:
        raise Invalid(*faults)
    require_writer(caller, str(values["village_code"]))
    now = utc_now()
    site = Site(
        **{k: v for k, v in values.items() if k != "provider"},
        code=await _next_code(session, values["village_code"]),
        version=await next_version(session, Counter.REGISTRY),
        addressed_at=floor_second(now), created_at=now, updated_at=now,
    )  # fmt: skip
    site.name = values["name"] or found.village_name
    site.provider = found.provider
    session.add(site)
    await _flush(session, site)
    session.add(_configuration(site, floor_second(now)))
    status = await _open_status(session, site)
    await session.flush()
    return site, status


async def patch_site(
    session: AsyncSession, ident: str, given: SitePatch, *, caller: Caller, policy: Policy, if_match: int | None
) -> tuple[Site, SiteStatus]:
    """Changes only the fields that were given; a change of address or set-up is dated, so history keeps its own."""
    site, status = await get_site(session, ident, caller=caller, for_update=True)
    require_writer(caller, site.village_code)
    require_version(if_match, site.version)
    changes = given.model_dump(exclude_unset=True)
    if "parent_id" in changes:
        await lock_counter(session, Counter.REGISTRY)  # two changes of parents at once could close a cycle
    values = {name: getattr(site, name, None) for name in SitePatch.model_fields} | {"provider": site.provider.slug}
    values |= changes
    found, faults = await references.resolve(session, values, caller=caller, site=site, changed=set(changes))
    faults += rules.check(values, policy=policy)
    if faults:
        raise Invalid(*faults)
    require_writer(caller, str(values["village_code"]))  # across districts, a move is the province's
    before = site.configuration, site.address
    for name in changes.keys() - {"provider"}:
        setattr(site, name, changes[name])
    site.provider, site.provider_id = found.provider, found.provider.id
    if site.name is None:
        site.name = found.village_name
    await _record_change(session, site, before)
    return site, status


async def retire_site(session: AsyncSession, ident: str, *, caller: Caller) -> None:
    """Its history stays; retiring again changes nothing."""
    site, _ = await get_site(session, ident, caller=caller, for_update=True)
    require_writer(caller, site.village_code)
    if site.lifecycle is not Lifecycle.RETIRED:
        before = site.configuration, site.address
        site.lifecycle = Lifecycle.RETIRED
        await _record_change(session, site, before)


async def _record_change(session: AsyncSession, site: Site, before: tuple[Any, Any]) -> None:
    if not session.is_modified(site):
        return
    now = utc_now()
    site.updated_at = now
    if site.address != before[1]:
        site.addressed_at = floor_second(now)
    await _flush(session, site)  # before anything else is asked: it turns a taken address into a Conflict
    site.version = await next_version(session, Counter.REGISTRY)
    if site.configuration != before[0]:
        await _redate(session, site, floor_second(now))


async def _redate(session: AsyncSession, site: Site, at: datetime) -> None:
    """Ends the configuration in force and starts the new one; two changes within a second keep the last."""
    current = await session.scalar(
        select(SiteConfiguration).where(
            SiteConfiguration.site_id == site.id, SiteConfiguration.ended_at.is_(None)
        )
    )  # fmt: skip
    if current is not None and current.started_at >= at:
        current.lifecycle, current.technology = site.lifecycle, site.technology
        current.provider_id, current.parent_id = site.provider_id, site.parent_id
        current.contract_id, current.addressed_at = site.contract_id, site.addressed_at
        current.village_code = site.village_code
    else:
        if current is not None:
            current.ended_at = at
            await session.flush()
        session.add(_configuration(site, at))
    await session.flush()


def _configuration(site: Site, at: datetime) -> SiteConfiguration:
    return SiteConfiguration(
        site_id=site.id, started_at=at, ended_at=None, lifecycle=site.lifecycle, technology=site.technology,
        provider_id=site.provider_id, parent_id=site.parent_id, contract_id=site.contract_id,
        addressed_at=site.addressed_at, village_code=site.village_code,
    )  # fmt: skip


async def _open_status(session: AsyncSession, site: Site) -> SiteStatus:
    status = SiteStatus(
        site_id=site.id, version=await next_version(session, Counter.STATUS),
        state=State.UNKNOWN, unknown_reason=UnknownReason.NEVER_SEEN, since=site.addressed_at,
        valid_s=profiles()[site.technology].interval_s, timeouts=0, addressed_at=site.addressed_at,
    )  # fmt: skip
    session.add(status)
    return status


async def _next_code(session: AsyncSession, village_code: str) -> str:
    """`<village>-<nn>`, counting on, also past those that moved away; the village's row is locked so that two at once
    get two numbers."""
    await session.execute(text("SELECT 1 FROM region WHERE code = :code FOR NO KEY UPDATE"), {"code": village_code})
    codes = await session.scalars(select(Site.code).where(Site.code.startswith(f"{village_code}-", autoescape=True)))
    return f"{village_code}-{max((int(code.rpartition('-')[2]) for code in codes), default=0) + 1:02d}"


async def _flush(session: AsyncSession, site: Site) -> None:
    """Raises Conflict for an address that is taken: a unique index decides, so two at once cannot both win."""
    probe, host, port = site.probe, site.host, site.port
    try:
        async with session.begin_nested():
            await session.flush()
    except IntegrityError as error:
        if "uq_site_active_address" not in str(error.orig):
            raise
        port_text = f" port {port}" if port else ""
        raise Conflict(faults=[Fault(
            "host", "duplicate_address", "{given} is already measured by another active site (probe {probe})",
            "Look for it: GET /api/v1/sites?q={host}",
            values={"given": f"{host}{port_text}", "probe": probe.value, "host": host},
        )]) from None  # fmt: skip
