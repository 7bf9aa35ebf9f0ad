"""Write the contracts of a simulated past, and put its access points under them, through the service's own stores."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.contracts import store as contracts
from app.contracts.schemas import ContractIn, ContractPatch
from app.postgres.engine import Counter, lock_counter, next_version
from app.registry import site_contracts
from app.registry.models import Site, SiteKind
from app.registry.site_contracts import ContractChange
from simulator.history.contracts import PlannedContract, PlannedContracts
from simulator.history.offices import PROVINCIAL


async def write_contracts(session: AsyncSession, planned: PlannedContracts) -> None:
    """Create the contracts, and put every access point under those that it has been under since the past began."""
    await lock_counter(session, Counter.REGISTRY)
    ids = {contract.key: await _create(session, contract) for contract in planned.by_key.values()}
    sites = await session.scalars(
        select(Site).where(Site.kind == SiteKind.ACCESS_POINT).options(joinedload(Site.provider)).order_by(Site.id)
    )
    changes: list[list[ContractChange]] = [[], []]  # the first of each site, and the second
    for site in sites:
        assigned = list(planned.assignments(site.village_code, site.provider.slug, site.technology))
        for of_order, each in zip(changes, assigned, strict=False):
            of_order.append(ContractChange(site, ids[each.contract.key], each.started_on, each.reason))
    version = await next_version(session, Counter.REGISTRY)
    for of_order in changes:
        await site_contracts.change(session, of_order, caller=PROVINCIAL, version=version)


async def _create(session: AsyncSession, planned: PlannedContract) -> int:
    body = ContractIn.model_validate(
        {
            "number": planned.number,
            "provider": planned.provider,
            "valid_from": planned.valid_from.isoformat(),
            "valid_to": planned.valid_to and planned.valid_to.isoformat(),
            **planned.terms,
        }
    )
    contract = await contracts.create_contract(session, body, caller=PROVINCIAL)
    if planned.addendum is not None:
        day, changes = planned.addendum
        patch = ContractPatch.model_validate({**changes, "effective_from": day.isoformat(), "reason": "Adendum 1"})
        await contracts.patch_contract(session, contract.id, patch, caller=PROVINCIAL, if_match=None)
    return contract.id
