"""What a site points at: village, provider, parent, contract. Each wrong one is a fault that says what to do."""

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller, visible_to
from app.errors import Fault
from app.registry import regions
from app.registry.models import Contract, Level, Lifecycle, Provider, Site, SiteKind


@dataclass(frozen=True, slots=True)
class References:
    village_name: str
    provider: Provider


async def resolve(
    session: AsyncSession,
    values: dict[str, Any],
    *,
    caller: Caller,
    site: Site | None = None,
    changed: Collection[str] = ("village_code", "parent_id", "contract_id", "provider"),
) -> tuple[References, list[Fault]]:
    """What a patch leaves alone may be over by now: a parent retired or out of the caller's scope, a village split."""
    faults: list[Fault] = []
    code, slug = values["village_code"], values["provider"]
    village = await regions.find_region(session, code) if code else None
    over = village is not None and village.over and "village_code" in changed
    if code and (village is None or village.level is not Level.DESA_KELURAHAN or over):
        faults.append(await regions.explain_unknown_village(session, code))
    provider = await find_provider(session, slug, faults) if slug else None
    if values["parent_id"] is not None and "parent_id" in changed:
        faults += await _parent(session, values["parent_id"], caller=caller, site=site)
    if values["contract_id"] is not None and {"contract_id", "provider"} & set(changed):
        faults += await _contract(session, values["contract_id"], provider)
    return References(village.name if village else "", provider or Provider()), faults


async def find_provider(session: AsyncSession, slug: str, faults: list[Fault]) -> Provider | None:
    """By slug; one that does not exist adds the fault that says which do."""
    provider = await session.scalar(select(Provider).where(Provider.slug == slug))
    if provider is None:
        faults.append(await _unknown_provider(session, slug))
    return provider


async def _unknown_provider(session: AsyncSession, slug: str) -> Fault:
    slugs = list(await session.scalars(select(Provider.slug).order_by(Provider.slug)))
    near = difflib.get_close_matches(slug.lower(), slugs, 1)
    return Fault(
        "provider", "unknown_provider", "There is no provider {given}",
        "Did you mean {near}?" if near else "Known providers: {known}",
        values={"given": slug, "near": near[0] if near else None, "known": ", ".join(slugs)},
    )  # fmt: skip


async def _contract(session: AsyncSession, contract_id: int, provider: Provider | None) -> list[Fault]:
    """A site's contract is one of its provider's: whoever changes the one, changes the other along with it."""
    contract = await session.get(Contract, contract_id)
    if contract is None:
        return [Fault("contract_id", "unknown_contract", "There is no contract {given}",
                      "Look it up: GET /api/v1/contracts?provider=<slug>", values={"given": contract_id})]  # fmt: skip
    if provider is None or contract.provider_id == provider.id:
        return []
    of_provider = select(Contract).where(Contract.provider_id == provider.id).order_by(Contract.id.desc()).limit(5)
    known = [f"{other.id} ({other.number})" for other in await session.scalars(of_provider)]
    return [Fault(
        "contract_id", "other_provider", "Contract {number} is not with {provider}",
        "Give a contract of {provider}: {known}" if known
        else "{provider} has no contract yet: set contract_id to null, or register one first",
        values={"number": contract.number, "provider": provider.slug, "known": ", ".join(known)},
    )]  # fmt: skip


async def _parent(session: AsyncSession, parent_id: int, *, caller: Caller, site: Site | None) -> list[Fault]:
    parent = await session.scalar(select(Site).where(Site.id == parent_id, visible_to(caller, Site)))
    values = {"given": parent_id}
    if parent is None or parent.kind is not SiteKind.NODE or parent.lifecycle is Lifecycle.RETIRED:
        return [Fault("parent_id", "unknown_parent", "There is no node {given} within your scope",
                      "A parent is a site of kind node", values=values)]  # fmt: skip
    if site is not None and site.id in await _with_ancestors(session, parent_id):
        return [Fault("parent_id", "cycle", "Node {given} hangs on this site itself", values=values)]
    return []


async def _with_ancestors(session: AsyncSession, node_id: int) -> set[int]:
    seen: set[int] = set()
    ancestor: int | None = node_id
    while ancestor is not None and ancestor not in seen:
        seen.add(ancestor)
        ancestor = await session.scalar(select(Site.parent_id).where(Site.id == ancestor))
    return seen
