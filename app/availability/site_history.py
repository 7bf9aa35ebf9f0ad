"""All that counting needs of many sites at once, in a few statements: timelines, set-ups, windows, causes, terms."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Integer, Select, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import maintenance_overlay
from app.availability.counting import History
from app.availability.intervals import ALWAYS, Track, clip
from app.availability.policy import Agreement, Policy
from app.availability.timeline import timelines
from app.core.clock import floor_second, from_slot, to_slot
from app.incidents.outage_causes import causes_of
from app.registry.configuration import ConfigurationInForce
from app.registry.models import Contract, ContractTerms, Lifecycle, Site, SiteConfiguration, State


@dataclass(frozen=True, slots=True)
class Place:
    """A site, as far as counting knows it."""

    id: int
    village_code: str
    registered_at: datetime


@dataclass(slots=True)
class Dated:
    """A site's set-ups, and under which contracts it was. The first set-up is told of the time before it, too."""

    setups: Track[ConfigurationInForce] = field(default_factory=list)
    contracts: Track[int] = field(default_factory=list)


async def places(session: AsyncSession, wanted: Select[Any]) -> list[Place]:
    """`wanted` selects sites' ids."""
    rows = await session.execute(select(Site.id, Site.village_code, Site.created_at).where(Site.id.in_(wanted)))
    return [Place(*row) for row in rows]


def place(site: Site) -> Place:
    return Place(site.id, site.village_code, site.created_at)


async def histories(
    session: AsyncSession, sites: Sequence[Place], start: datetime, end: datetime, *, now: datetime
) -> dict[int, History]:
    """What each site came to from start to end; outages in their whole length, and all that bears on it."""
    registered = {site.id: site.registered_at for site in sites}
    if not registered:
        return {}
    pieces = await timelines(session, registered, start, end, now=floor_second(now))
    states = {
        site_id: [(to_slot(p.started_at), to_slot(p.ended_at), p.state) for p in found]
        for site_id, found in pieces.items()
    }
    since, until = _extent(states.values(), start, end)
    dated = await dated_setups(session, registered)
    terms = await agreements(session, {number for site in dated.values() for _, _, number in site.contracts})
    windows = await maintenance_overlay.windows_of(session, list(registered), since, until)
    causes = await causes_of(session, list(registered), since, until)
    return {
        site.id: History(
            site_id=site.id,
            states=states[site.id],
            setups=dated[site.id].setups,
            maintenance=[(to_slot(a), to_slot(b), True) for a, b in windows.get(site.id, ())],
            causes=[(to_slot(c.started_at), to_slot(c.ended_at), c.cause.value) for c in causes.get(site.id, ())],
            policies=[part for a, b, number in dated[site.id].contracts for part in clip(terms[number].track, a, b)],
        )
        for site in sites
    }


def _extent(states: Iterable[Track[State]], start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """From start to end, and as far beyond as the outages there reach."""
    bad = [(a, b) for track in states for a, b, state in track if state in {State.DOWN, State.UNREACHABLE}]
    low, high = min((a for a, _ in bad), default=ALWAYS), max((b for _, b in bad), default=0)
    return from_slot(min(low, to_slot(start))), from_slot(max(high, to_slot(end)))


async def dated_setups(session: AsyncSession, ids: Collection[int]) -> dict[int, Dated]:
    configured = SiteConfiguration
    rows = await session.execute(
        select(
            configured.site_id,
            configured.started_at,
            configured.ended_at,
            configured.lifecycle,
            configured.provider_id,
            configured.technology,
            configured.village_code,
            configured.contract_id,
        )
        .where(configured.site_id == func.any(cast(list(ids), ARRAY(Integer))))
        .order_by(configured.site_id, configured.started_at)
    )
    found: dict[int, Dated] = {site_id: Dated() for site_id in ids}
    for row in rows:
        _date(found[row.site_id], row)
    return found


def _date(site: Dated, row: Any) -> None:
    low, high = to_slot(row.started_at), _slot(row.ended_at)
    if not site.setups:
        site.setups.append((0, low, _setup(row, active=False)))
    site.setups.append((low, high, _setup(row, active=row.lifecycle is Lifecycle.ACTIVE)))
    if row.contract_id is not None:
        site.contracts.append((low, high, row.contract_id))


def _setup(row: Any, *, active: bool) -> ConfigurationInForce:
    return ConfigurationInForce(active, row.provider_id, row.technology, row.village_code)


async def agreements(session: AsyncSession, ids: Collection[int]) -> dict[int, Agreement]:
    if not ids:
        return {}
    found: dict[int, Agreement] = {}
    for contract, terms in await session.execute(
        select(Contract, ContractTerms)
        .outerjoin(ContractTerms, ContractTerms.contract_id == Contract.id)
        .where(Contract.id.in_(ids))
        .order_by(ContractTerms.started_on)
    ):
        agreement = found.setdefault(contract.id, Agreement(contract.valid_from, contract.valid_to, []))
        if terms is not None:
            agreement.terms.append((terms.started_on, _policy(terms)))
    return found


def _policy(row: ContractTerms) -> Policy:
    return Policy(
        row.sla_target_pct,
        row.min_outage_s,
        frozenset(row.excluded_causes),
        row.excuses_parent,
        row.service_from,
        row.service_to,
    )


def _slot(moment: datetime | None) -> int:
    return ALWAYS if moment is None else to_slot(moment)
