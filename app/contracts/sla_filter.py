"""Which rows of the month's list are asked for: several providers, contracts, regions, technologies, verdicts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller, covers
from app.availability.site_verdicts import SiteVerdict
from app.availability.verdict_counts import VerdictKind
from app.core.errors import Fault, Invalid
from app.core.validation import closest
from app.profiles import Technology
from app.registry.models import Contract, Provider


@dataclass(frozen=True, slots=True)
class SlaFilter:
    """Empty: no matter which."""

    providers: Mapping[int, str] = field(default_factory=dict)  # slugs by id
    contract_ids: frozenset[int] = frozenset()
    regions: tuple[str, ...] = ()
    technologies: frozenset[Technology] = frozenset()
    verdicts: frozenset[VerdictKind] = frozenset()

    def matches(self, row: SiteVerdict) -> bool:
        return (
            (not self.providers or row.place.provider_id in self.providers)
            and (not self.contract_ids or row.contract_id in self.contract_ids)
            and (not self.regions or any(covers(code, row.place.village_code) for code in self.regions))
            and (not self.technologies or row.place.technology in self.technologies)
            and (not self.verdicts or not self.verdicts.isdisjoint(row.kinds))
        )


async def find_providers(session: AsyncSession, slugs: Collection[str]) -> dict[int, str]:
    """Return the slugs of these providers by their ids."""
    if not slugs:
        return {}  # without a query the session takes no connection
    rows = await session.execute(select(Provider.id, Provider.slug).where(Provider.slug.in_(slugs)))
    return {row.id: row.slug for row in rows}


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
