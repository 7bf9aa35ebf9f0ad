"""Offices: the province's Diskominfo and those of the districts, each known by the code of its region."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, false
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import PROVINCE, Caller, in_region, require_region
from app.alerts.models import AlertRule, Channel
from app.core.errors import Fault
from app.registry import regions


def is_office(code: str) -> bool:
    return code == PROVINCE or (code.count(".") == 1 and code in regions.names())


async def find_office(session: AsyncSession, code: str | None, faults: list[Fault], *, caller: Caller) -> str | None:
    """Return the office of this region's present code, by default the caller's; add a fault for what is none."""
    office = caller.region_code if code is None else await regions.current_code(session, code)
    if is_office(office):
        return office
    faults.append(
        Fault(
            "office",
            "unknown_office",
            "There is no office {given}",
            "Give 64 for the province, or the code of a district, for example 64.02",
            values={"given": office[:60]},
        )
    )
    return None


def administered_by(caller: Caller, region_code: Any) -> ColumnElement[bool]:
    """The filter on what belongs to offices within the caller's region; a provider sees nothing of theirs."""
    return false() if caller.provider_id is not None else in_region(region_code, caller.region_code)


def of_offices(
    model: type[Channel | AlertRule], *, caller: Caller, region: str | None, after: int | None
) -> Iterator[ColumnElement[bool]]:
    """Yield the filters of a list: offices within a region, ids after one. Raises NotAllowed for one out of scope."""
    if region is not None:
        require_region(caller, region)
        yield in_region(model.region_code, region)
    if after is not None:
        yield model.id > after
