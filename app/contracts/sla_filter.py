"""Which rows of the month's list are asked for: several providers, contracts, regions, technologies, verdicts."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller, covers
from app.aggregates.selection import SiteGroup
from app.availability.site_verdicts import SiteVerdict
from app.availability.verdict_counts import VerdictKind
from app.core.errors import Fault, Invalid
from app.core.validation import closest
from app.profiles import Technology
from app.registry.models import Contract, Provider


@dataclass(frozen=True, slots=True)
class SlaFilter:
    """Empty: no matter which."""

    provider_ids: frozenset[int] = frozenset()
    contract_ids: frozenset[int] = frozenset()
    regions: tuple[str, ...] = ()
    technologies: frozenset[Technology] = frozenset()
    verdicts: frozenset[VerdictKind] = frozenset()

    def matches(self, row: SiteVerdict) -> bool:
        return (
            (not self.provider_ids or row.place.provider_id in self.provider_ids)
            and (not self.contract_ids or row.contract_id in self.contract_ids)
            and (not self.regions or any(covers(code, row.place.village_code) for code in self.regions))
            and (not self.technologies or row.place.technology in self.technologies)
            and (not self.verdicts or row.kind in self.verdicts)
        )

    def group(self, caller: Caller) -> SiteGroup:
        """Return the smallest group that holds all its rows within the caller's scope."""
        region = self.regions[0] if len(self.regions) == 1 else caller.region_code
        provider_id = next(iter(self.provider_ids)) if len(self.provider_ids) == 1 else caller.provider_id
        return SiteGroup(region, provider_id)


async def find_providers(session: AsyncSession, slugs: Collection[str]) -> frozenset[int]:
    """Return the ids of these providers."""
    return (
        frozenset(await session.scalars(select(Provider.id).where(Provider.slug.in_(slugs)))) if slugs else frozenset()
    )


async def find_contracts(session: AsyncSession, words: Collection[str], *, caller: Caller) -> frozenset[int]:
    """Return the ids of contracts named by number or id. Raises Invalid for an unknown one, or another provider's."""
    if not words:
        return frozenset()
    visible = select(Contract.id, Contract.number)
    if caller.provider_id is not None:
        visible = visible.where(Contract.provider_id == caller.provider_id)
    rows = (await session.execute(visible)).all()
    by_word = {str(row.id): row.id for row in rows} | {row.number: row.id for row in rows}
    unknown = [word for word in words if word not in by_word]
    if unknown:
        raise Invalid(*(_unknown_contract(word, [row.number for row in rows]) for word in unknown))
    return frozenset(by_word[word] for word in words)


def _unknown_contract(word: str, numbers: list[str]) -> Fault:
    near = closest(word, numbers)
    return Fault(
        "contract",
        "unknown_contract",
        "There is no contract {given} within your scope",
        "Did you mean {near}?" if near else "Look it up: GET /api/v1/contracts?provider=<slug>",
        values={"given": word[:60], "near": near},
    )
