"""Grants: a role for a region and a provider, resolved from a request and checked against the caller's own."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Role
from app.access.scope import Caller, Grant, check_grant, exceeds
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
