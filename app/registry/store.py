"""The registry of sites: what is registered, by whom it may be seen, and how it was set up when."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, literal_column, not_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.access.scope import Caller, in_region, require_region, require_writer, visible_to
from app.core.errors import Conflict, Invalid, NotFound
from app.core.freshness import CLOCK_TOLERANCE, hold_sql, holds, lapses_at
from app.postgres.engine import Counter, lock_counter, require_version
from app.profiles import Technology
from app.registry import conflicts, drafts, writer
from app.registry.drafts import Draft
from app.registry.models import Lifecycle, Provider, Site, SiteStatus, State
from app.registry.schemas import SiteIn, SitePatch
from probes.policy import AddressPolicy

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
    until = SiteStatus.evidence_at + literal_column(hold_sql("site_status.valid_s"))
    stale = not_(func.now().between(SiteStatus.evidence_at - CLOCK_TOLERANCE, until))
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
        raise NotFound("There is no site {given} within your scope", values={"given": ident[:60]})
    return found[0], found[1]


async def create_site(
    session: AsyncSession, given: SiteIn, *, caller: Caller, policy: AddressPolicy
) -> tuple[Site, SiteStatus]:
    """Raises Invalid with every fault, NotAllowed outside the scope, Conflict for an address that is taken."""
    draft = drafts.new(given)
    await _require_sound(session, draft, caller=caller, policy=policy)
    await lock_counter(session, Counter.REGISTRY)
    await _enter(session, draft, caller=caller)
    assert draft.site is not None
    return draft.site, await session.get_one(SiteStatus, draft.site.id)


async def patch_site(
    session: AsyncSession, ident: str, given: SitePatch, *, caller: Caller, policy: AddressPolicy, if_match: int | None
) -> tuple[Site, SiteStatus]:
    """Changes only the fields that were given; a change of address or set-up is dated, so history keeps its own."""
    site, status = await _get_to_change(session, ident, caller=caller)
    require_version(if_match, site.version)
    draft = drafts.change(site, given)
    await _require_sound(session, draft, caller=caller, policy=policy)
    await _enter(session, draft, caller=caller)
    return site, status


async def retire_site(session: AsyncSession, ident: str, *, caller: Caller) -> None:
    """Its history stays; retiring again changes nothing."""
    site, _ = await _get_to_change(session, ident, caller=caller)
    await writer.write(session, [drafts.change(site, SitePatch(lifecycle=Lifecycle.RETIRED))], caller=caller)


async def _get_to_change(session: AsyncSession, ident: str, *, caller: Caller) -> tuple[Site, SiteStatus]:
    await lock_counter(session, Counter.REGISTRY)  # before the site's own row: every writer takes it first
    site, status = await get_site(session, ident, caller=caller, for_update=True)
    require_writer(caller, site.village_code)
    return site, status


async def _require_sound(session: AsyncSession, draft: Draft, *, caller: Caller, policy: AddressPolicy) -> None:
    known = await writer.look_up(session, [draft], caller=caller)
    if faults := writer.check(draft, known, policy=policy):
        raise Invalid(*faults)


async def _enter(session: AsyncSession, draft: Draft, *, caller: Caller) -> None:
    """Raises NotAllowed, Invalid for a circle of parents, Conflict for an address that is taken."""
    require_writer(caller, str(draft.values["village_code"]))  # across districts, a move is the province's
    for clash in (await conflicts.find(session, [draft])).values():
        raise Invalid(clash.fault) if clash.fault.code == "cycle" else Conflict(faults=[clash.fault])
    await writer.write(session, [draft], caller=caller)
