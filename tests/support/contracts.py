"""Contracts created over the API, and sites put under them."""

from datetime import date, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import WITA, midnight, utc_now
from tests.conftest import Cast

TODAY = utc_now().astimezone(WITA).date()


LONG_AGO = TODAY - timedelta(days=200)


def contract(**changes: Any) -> dict[str, Any]:
    return {
        "number": "027/1123/2026",
        "provider": "telkom-wms",
        "valid_from": LONG_AGO.isoformat(),
        "sla_target_pct": 99,
        **changes,
    }


async def create_contract(cast: Cast, **changes: Any) -> dict[str, Any]:
    """Return it as a GET does: without what only the answer to its creation says."""
    answer = await cast.sari.post("/contracts", contract(**changes))
    assert answer.status_code == 201, answer.text
    return {name: value for name, value in answer.json().items() if name != "defaulted"}


async def assign_contract(session: AsyncSession, site_id: int, contract_id: int, since: date) -> None:
    """As if the site had been registered under the contract on that day."""
    async with session.begin():
        await session.execute(
            text("UPDATE site_configuration SET started_at = :since WHERE site_id = :id"),
            {"since": midnight(since), "id": site_id},
        )
    await assign_days(session, site_id, contract_id, since)


async def assign_days(
    session: AsyncSession,
    site_id: int,
    contract_id: int,
    start: date,
    end: date | None = None,
    *,
    role: str = "primary",
    withdrawn: bool = False,
) -> None:
    """Write a row of site_contract."""
    async with session.begin():
        await session.execute(
            text(
                "INSERT INTO site_contract (site_id, contract_id, link_role, started_on, ended_on, recorded_by, "
                "withdrawn_at, version) VALUES (:site, :contract, cast(:role AS varchar), :start, :end, 'sari', "
                "CASE WHEN :withdrawn THEN now() END, 1)"
            ),
            {
                "site": site_id,
                "contract": contract_id,
                "role": role,
                "start": start,
                "end": end,
                "withdrawn": withdrawn,
            },
        )
