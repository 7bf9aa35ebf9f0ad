"""Read and write registered sites within the caller's scope."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, literal_column, not_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, undefer

from app.access.scope import Caller, in_regions, require_writer, visible_to
from app.core.errors import Conflict, Fault, Invalid, NotFound
from app.core.freshness import CLOCK_TOLERANCE, hold_sql, holds, lapses_at
from app.postgres.engine import Counter, lock_counter, require_version
from app.profiles import Technology
from app.registry import conflicts, drafts, site_warnings, writer
from app.registry.drafts import Draft
from app.registry.models import Lifecycle, Provider, Site, SiteKind, SiteStatus, State
from app.registry.schemas import SiteIn, SitePatch
from probes.policy import AddressPolicy

MAX_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class SiteFilter:
    """Of several values any may match; () filters nothing."""

    regions: tuple[str, ...] = ()
    states: tuple[State, ...] = ()
    technologies: tuple[Technology, ...] = ()
    providers: tuple[str, ...] = ()
    lifecycles: tuple[Lifecycle, ...] = ()
    kinds: tuple[SiteKind, ...] = ()
    q: str | None = None


def _sites(caller: Caller) -> Select[Site, SiteStatus]:
    return (
        select(Site, SiteStatus)
        .join(SiteStatus, SiteStatus.site_id == Site.id)
        .options(joinedload(Site.provider), undefer(Site.contract_id))
        .where(visible_to(caller, Site))
    )


@dataclass(frozen=True, slots=True)
class CurrentState:
    state: State
    since: datetime


def current_state(site: Site, status: SiteStatus, now: datetime) -> CurrentState:
    """Return the state at `now`: unknown once its evidence has lapsed, or while the site is not in service."""
    if site.lifecycle is not Lifecycle.ACTIVE:
        return CurrentState(State.UNKNOWN, site.updated_at)
    if status.evidence_at is not None and not holds(status.evidence_at, status.valid_s, now):
        return CurrentState(State.UNKNOWN, min(lapses_at(status.evidence_at, status.valid_s), now))
    return CurrentState(status.state, status.since)


def _current_state() -> ColumnElement[Any]:
    """`current_state` in SQL."""
    until = SiteStatus.evidence_at + literal_column(hold_sql("site_status.valid_s"))
    stale = not_(func.now().between(SiteStatus.evidence_at - CLOCK_TOLERANCE, until))
    return case((stale | (Site.lifecycle != Lifecycle.ACTIVE), State.UNKNOWN.value), else_=SiteStatus.state)


class SiteOrder(StrEnum):
    """`oldest`: in the order in which they were registered; `newest`: the last registered first."""

    OLDEST = "oldest"
    NEWEST = "newest"


async def list_sites(
    session: AsyncSession,
    filters: SiteFilter,
    *,
    caller: Caller,
    after: int | None,
    limit: int,
    order: SiteOrder = SiteOrder.OLDEST,
) -> list[tuple[Site, SiteStatus]]:
    newest_first = order is SiteOrder.NEWEST
    query = _matching(_sites(caller), filters, caller).limit(limit)
    query = query.order_by(Site.id.desc() if newest_first else Site.id)
    if after is not None:
        query = query.where(Site.id < after if newest_first else Site.id > after)
    return [(site, status) for site, status in await session.execute(query)]


async def count_sites(session: AsyncSession, filters: SiteFilter, *, caller: Caller) -> int:
    matching = _matching(_sites(caller), filters, caller).with_only_columns(Site.id)
    return await session.scalar(select(func.count()).select_from(matching.subquery())) or 0


def _matching(query: Select[Site, SiteStatus], filters: SiteFilter, caller: Caller) -> Select[Site, SiteStatus]:
    """Add the conditions of the filter. Raises NotAllowed for a region outside the caller's."""
    if filters.regions:
        query = query.where(in_regions(caller, Site.village_code, filters.regions))
    if filters.states:
        query = query.where(_current_state().in_([state.value for state in filters.states]))
    if filters.technologies:
        query = query.where(Site.technology.in_(filters.technologies))
    if filters.providers:
        query = query.where(Site.provider.has(Provider.slug.in_(filters.providers)))
    if filters.lifecycles:
        query = query.where(Site.lifecycle.in_(filters.lifecycles))
    if filters.kinds:
        query = query.where(Site.kind.in_(filters.kinds))
    if filters.q is not None:
        query = query.where(
            Site.name.icontains(filters.q, autoescape=True)
            | Site.host.icontains(filters.q, autoescape=True)
            | Site.code.startswith(filters.q, autoescape=True)
        )
    return query


async def get_site(
    session: AsyncSession, ident: str, *, caller: Caller, for_update: bool = False
) -> tuple[Site, SiteStatus]:
    """Find by id or code. Raises NotFound, alike for unknown sites and those out of scope."""
    query = _sites(caller)
    if re.fullmatch(r"[0-9]{1,10}", ident) and int(ident) <= MAX_ID:
        query = query.where(Site.id == int(ident))
    else:
        query = query.where(Site.code == ident)
    if for_update:
        query = query.with_for_update(of=Site, key_share=True).execution_options(populate_existing=True)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise NotFound("There is no site {given} within your scope", values={"given": ident[:60]})
    return row[0], row[1]


async def both_idents(session: AsyncSession, ident: str) -> tuple[str, ...]:
    """Return id and code of the site that either names; `ident` alone where there is none."""
    is_id = re.fullmatch(r"[0-9]{1,10}", ident) and int(ident) <= MAX_ID
    query = select(Site.id, Site.code).where(Site.id == int(ident) if is_id else Site.code == ident)
    row = (await session.execute(query)).one_or_none()
    return (ident,) if row is None else (str(row.id), row.code)


async def create_site(
    session: AsyncSession, body: SiteIn, *, caller: Caller, policy: AddressPolicy
) -> tuple[Site, SiteStatus]:
    """Raises Invalid with all faults, NotAllowed out of scope, Conflict for an address in use."""
    draft = drafts.new(body)
    await _require_valid(session, draft, caller=caller, policy=policy)
    await lock_counter(session, Counter.REGISTRY)
    await _write(session, draft, caller=caller)
    assert draft.created is not None
    return await get_site(session, draft.created.code, caller=caller)


async def patch_site(
    session: AsyncSession, ident: str, body: SitePatch, *, caller: Caller, policy: AddressPolicy, if_match: int | None
) -> tuple[Site, SiteStatus]:
    """Change the fields that `body` sets. A change of address or configuration is dated: past seconds keep theirs."""
    site, status = await _get_for_update(session, ident, caller=caller)
    require_version(if_match, site.version)
    draft = drafts.change(site, body)
    await _require_valid(session, draft, caller=caller, policy=policy)
    await _write(session, draft, caller=caller)
    await session.refresh(site, ["contract_id"])
    return site, status


async def check_new_site(session: AsyncSession, body: SiteIn, *, caller: Caller, policy: AddressPolicy) -> list[Fault]:
    """Return the warnings of a site that could be registered. Raises what `create_site` would, and writes nothing."""
    draft = drafts.new(body)
    await _require_valid(session, draft, caller=caller, policy=policy)
    await _require_writable(session, draft, caller=caller)
    return site_warnings.find(draft.values)


async def check_change(
    session: AsyncSession, ident: str, body: SitePatch, *, caller: Caller, policy: AddressPolicy, if_match: int | None
) -> list[Fault]:
    """Return the warnings of a change that could be made. Raises what `patch_site` would, and writes nothing."""
    site, _ = await get_site(session, ident, caller=caller)
    require_writer(caller, site.village_code)
    require_version(if_match, site.version)
    draft = drafts.change(site, body)
    await _require_valid(session, draft, caller=caller, policy=policy)
    await _require_writable(session, draft, caller=caller)
    return site_warnings.find(draft.values)


async def retire_site(session: AsyncSession, ident: str, *, caller: Caller) -> None:
    """Idempotent. The site's history stays."""
    site, _ = await _get_for_update(session, ident, caller=caller)
    await writer.write(session, [drafts.change(site, SitePatch(lifecycle=Lifecycle.RETIRED))], caller=caller)


async def _get_for_update(session: AsyncSession, ident: str, *, caller: Caller) -> tuple[Site, SiteStatus]:
    await lock_counter(session, Counter.REGISTRY)  # before the row's own lock: all writers take it first
    site, status = await get_site(session, ident, caller=caller, for_update=True)
    require_writer(caller, site.village_code)
    return site, status


async def _require_valid(session: AsyncSession, draft: Draft, *, caller: Caller, policy: AddressPolicy) -> None:
    references = await writer.load_references(session, [draft], caller=caller)
    if faults := writer.check(draft, references, policy=policy):
        raise Invalid(*faults)


async def _write(session: AsyncSession, draft: Draft, *, caller: Caller) -> None:
    await _require_writable(session, draft, caller=caller)
    await writer.write(session, [draft], caller=caller)


async def _require_writable(session: AsyncSession, draft: Draft, *, caller: Caller) -> None:
    """Raises NotAllowed, Invalid for a cycle of parents, Conflict for an address in use."""
    require_writer(caller, str(draft.values["village_code"]))  # only the province may move a site to another district
    for conflict in (await conflicts.find(session, [draft], caller=caller)).values():
        raise Invalid(conflict.fault) if conflict.fault.code == "cycle" else Conflict(faults=[conflict.fault])
