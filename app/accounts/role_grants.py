"""Grants: a role for a region and a provider, resolved from a request and checked against the caller's own."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import PROVINCIAL, Role
from app.access.rights import Right, rights_of
from app.access.scope import PROVINCE, Caller, Grant, check_grant, exceeds
from app.core.errors import Fault, Invalid, NotAllowed
from app.registry import providers, regions


async def resolve(
    session: AsyncSession, *, role: Role, region_code: str, provider: str | None
) -> tuple[Grant, list[Fault]]:
    """Return the grant and its faults; with any, it must not be used. `provider` is a slug."""
    faults: list[Fault] = []
    try:
        regions.require_known(region_code, field="region_code")
    except Invalid as unknown:
        faults += unknown.faults
    row = await providers.find_by_slug(session, provider, faults) if provider is not None else None
    grant = Grant(role, region_code, row.id if row else None)
    faulty = {fault.field for fault in faults}
    return grant, faults + [fault for fault in check_grant(grant) if fault.field not in faulty]


def grantable_roles(caller: Caller) -> list[Role]:
    """Return the roles that the caller may grant somewhere within their own scope."""
    if Right.ADMINISTER not in rights_of(caller.role):
        return []
    return [role for role in Role if not _exceeds_everywhere(caller, role)]


def _exceeds_everywhere(caller: Caller, role: Role) -> bool:
    provincial = role in PROVINCIAL and caller.region_code != PROVINCE
    return provincial or not rights_of(role) <= rights_of(caller.role)


def require_within(caller: Caller, grant: Grant) -> None:
    """Raises NotAllowed for a grant that exceeds the caller's own."""
    if exceeds(caller, grant):
        raise NotAllowed(
            "You cannot grant more than your own: {role} for {region} exceeds {own_role} for {own_region}",
            values={
                "role": grant.role.value,
                "region": grant.region_code,
                "own_role": caller.role.value,
                "own_region": caller.region_code,
            },
        )
