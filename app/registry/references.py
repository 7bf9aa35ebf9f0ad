"""Check what a site refers to: village, provider, parent, contract. Loaded once for one draft or for thousands."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller, visible_to
from app.core.errors import Fault
from app.postgres.engine import among
from app.registry import contract_faults, regions, site_contracts, vantage_names, village_faults
from app.registry.drafts import Draft
from app.registry.models import Contract, Lifecycle, Provider, Region, Site, SiteKind
from app.registry.providers import unknown_provider
from app.registry.site_contracts import Assignment
from app.registry.vantage_lists import CENTRAL_VANTAGE
from app.registry.vantage_names import KnownVantage

VANTAGES = text("SELECT number, name, label FROM vantage ORDER BY number")


@dataclass(frozen=True, slots=True)
class References:
    """The registered rows that some drafts refer to."""

    villages: Mapping[str, Region]  # by the code sent, which may be a former one
    providers: Mapping[str, Provider]  # all, by slug
    nodes: Container[int]  # ids of the requested parents that may be one
    contracts: Mapping[int, Contract]
    assignments: Mapping[int, Sequence[Assignment]]  # by site, of sites whose contract, provider or kind is set
    vantages: Sequence[KnownVantage]  # where a draft sets any but the central one

    def check(self, draft: Draft) -> list[Fault]:
        """Check only what the draft sets: a retired parent or a dissolved village may stay if left unchanged.

        Names of vantages become their numbers.
        """
        code, slug = draft.values["village_code"], draft.values["provider"]
        faults = [] if code is None else self._village(code, is_set="village_code" in draft.set_fields)
        if slug is not None and slug not in self.providers:
            faults.append(unknown_provider(slug, tuple(sorted(self.providers))))
        if _sets_parent(draft):
            faults += _parent(draft.values["parent_id"], self.nodes)
        if _sets_vantages(draft):
            found, unknown = vantage_names.find(draft.values["vantages"], self.vantages)
            draft.values["vantages"] = found or draft.values["vantages"]
            faults += unknown
        if _refers_to_contract(draft):
            under = [] if draft.site is None else self.assignments.get(draft.site.id, [])
            faults += contract_faults.check(draft, self.providers.get(slug or ""), self.contracts, under)
        return faults

    def _village(self, code: str, *, is_set: bool) -> list[Fault]:
        village = self.villages.get(code)
        if village is None:
            return [village_faults.unknown_village(code)]
        return [village_faults.former_village(village)] if is_set and village.dissolved else []

    def complete(self, draft: Draft) -> None:
        """Fill in the village's present code, the provider, and the village's name for a site without one.

        Call it for a draft without faults.
        """
        village = self.villages[draft.values["village_code"]]
        draft.values["village_code"] = village.code
        draft.values["name"] = draft.values["name"] or village.name
        draft.provider = self.providers[draft.values["provider"]]


async def load(session: AsyncSession, drafts: Sequence[Draft], *, caller: Caller) -> References:
    villages = await regions.find_villages(session, [code for d in drafts if (code := d.values["village_code"])])
    providers = await session.scalars(select(Provider))
    parents = {draft.values["parent_id"] for draft in drafts if _sets_parent(draft)}
    in_service = (Site.kind == SiteKind.NODE) & (Site.lifecycle != Lifecycle.RETIRED)
    nodes = select(Site.id).where(among(Site.id, parents), in_service, visible_to(caller, Site))
    referring = [draft for draft in drafts if _refers_to_contract(draft)]
    contracts = await session.scalars(select(Contract)) if referring else ()
    return References(
        villages,
        {provider.slug: provider for provider in providers},
        set(await session.scalars(nodes)) if parents else set(),
        {contract.id: contract for contract in contracts},
        await site_contracts.load(session, [draft.site.id for draft in referring if draft.site is not None]),
        await read_vantages(session) if any(map(_sets_vantages, drafts)) else (),
    )


async def read_vantages(session: AsyncSession) -> list[KnownVantage]:
    return [KnownVantage(*row) for row in await session.execute(VANTAGES)]


def _sets_parent(draft: Draft) -> bool:
    return "parent_id" in draft.set_fields and draft.values["parent_id"] is not None


def _sets_vantages(draft: Draft) -> bool:
    return "vantages" in draft.set_fields and draft.values["vantages"] not in (None, [CENTRAL_VANTAGE])


def _refers_to_contract(draft: Draft) -> bool:
    return draft.contract_from is not None or bool(contract_faults.REFERRING & draft.set_fields)


def _parent(parent_id: int, nodes: Container[int]) -> list[Fault]:
    if parent_id in nodes:
        return []
    return [
        Fault(
            "parent_id",
            "unknown_parent",
            "There is no node {given} within your scope",
            "The parent must be a site of kind node",
            values={"given": parent_id},
        )
    ]
