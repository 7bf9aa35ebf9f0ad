"""What sites point at: village, provider, parent, contract. Each wrong one is a fault that says what to do.

Read once for one site or for thousands.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller, visible_to
from app.core.errors import Fault
from app.postgres.engine import among
from app.registry import regions
from app.registry.drafts import Draft
from app.registry.models import Contract, Lifecycle, Provider, Region, Site, SiteKind
from app.registry.providers import unknown_provider


@dataclass(frozen=True, slots=True)
class Known:
    """Whatever some drafts point at, as far as it is there."""

    villages: Mapping[str, Region]  # by the code that was given, which may be a former one
    providers: Mapping[str, Provider]  # every one, by slug
    nodes: Container[int]  # those of the named parents that can be one
    contracts: Mapping[int, Contract]

    def check(self, draft: Draft) -> list[Fault]:
        """What a change leaves alone may be over by now: a parent retired or out of scope, a village split."""
        code, slug = draft.values["village_code"], draft.values["provider"]
        faults = [] if code is None else self._village(code, is_new="village_code" in draft.given)
        if slug is not None and slug not in self.providers:
            faults.append(unknown_provider(slug, tuple(sorted(self.providers))))
        if _names_parent(draft):
            faults += _parent(draft.values["parent_id"], self.nodes)
        if _names_contract(draft):
            faults += _contract(draft.values["contract_id"], self.providers.get(slug or ""), self.contracts)
        return faults

    def _village(self, code: str, *, is_new: bool) -> list[Fault]:
        village = self.villages.get(code)
        if village is None:
            return [regions.explain_unknown_village(code)]
        return [regions.explain_former_village(village)] if is_new and village.over else []

    def complete(self, draft: Draft) -> None:
        """For a sound draft: the village's present code, the provider itself, a name."""
        village = self.villages[draft.values["village_code"]]
        draft.values["village_code"] = village.code
        draft.values["name"] = draft.values["name"] or village.name
        draft.provider = self.providers[draft.values["provider"]]


async def look_up(session: AsyncSession, drafts: Sequence[Draft], *, caller: Caller) -> Known:
    villages = await regions.find_villages(session, [code for d in drafts if (code := d.values["village_code"])])
    providers = await session.scalars(select(Provider))
    parents = {draft.values["parent_id"] for draft in drafts if _names_parent(draft)}
    in_service = (Site.kind == SiteKind.NODE) & (Site.lifecycle != Lifecycle.RETIRED)
    nodes = select(Site.id).where(among(Site.id, parents), in_service, visible_to(caller, Site))
    contracts = await session.scalars(select(Contract)) if any(map(_names_contract, drafts)) else ()
    return Known(
        villages,
        {provider.slug: provider for provider in providers},
        set(await session.scalars(nodes)) if parents else set(),
        {contract.id: contract for contract in contracts},
    )


def _names_parent(draft: Draft) -> bool:
    return "parent_id" in draft.given and draft.values["parent_id"] is not None


def _names_contract(draft: Draft) -> bool:
    return draft.values["contract_id"] is not None and bool({"contract_id", "provider"} & draft.given)


async def find_provider(session: AsyncSession, slug: str, faults: list[Fault]) -> Provider | None:
    """By slug; one that does not exist adds the fault that says which do."""
    provider = await session.scalar(select(Provider).where(Provider.slug == slug))
    if provider is None:
        slugs = await session.scalars(select(Provider.slug).order_by(Provider.slug))
        faults.append(unknown_provider(slug, tuple(slugs)))
    return provider


def _contract(contract_id: int, provider: Provider | None, contracts: Mapping[int, Contract]) -> list[Fault]:
    """A site's contract is one of its provider's: whoever changes the one, changes the other along with it."""
    contract = contracts.get(contract_id)
    if contract is None:
        return [
            Fault(
                "contract_id",
                "unknown_contract",
                "There is no contract {given}",
                "Look it up: GET /api/v1/contracts?provider=<slug>",
                values={"given": contract_id},
            )
        ]
    if provider is None or contract.provider_id == provider.id:
        return []
    of_provider = sorted((one for one in contracts.values() if one.provider_id == provider.id), key=lambda one: -one.id)
    known = [f"{other.id} ({other.number})" for other in of_provider[:5]]
    return [
        Fault(
            "contract_id",
            "other_provider",
            "Contract {number} is not with {provider}",
            "Give a contract of {provider}: {known}"
            if known
            else "{provider} has no contract yet: set contract_id to null, or register one first",
            values={"number": contract.number, "provider": provider.slug, "known": ", ".join(known)},
        )
    ]


def _parent(parent_id: int, nodes: Container[int]) -> list[Fault]:
    if parent_id in nodes:
        return []
    return [
        Fault(
            "parent_id",
            "unknown_parent",
            "There is no node {given} within your scope",
            "A parent is a site of kind node",
            values={"given": parent_id},
        )
    ]
