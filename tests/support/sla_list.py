"""The month's list read over the API, and a month with a site of each kind of verdict."""

from datetime import date, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE
from tests.support.monthly_close import AFTERWARDS, MONTH, START
from tests.support.site_histories import site_since, under_contract
from tests.support.uptime import get

BEGAN = START - timedelta(days=3)
TERMS: list[tuple[date, dict[str, Any]]] = [(MONTH - timedelta(days=40), {"sla_target_pct": 99})]
KINDS = ("met", "missed", "undetermined", "no_contract", "no_service")


async def sla(cast: Cast, person: str = "sari", **params: Any) -> Any:
    return await get(getattr(cast, person), "/sla", **{"period": f"{MONTH:%Y-%m}", **params})


async def site_down(session: AsyncSession, cast: Cast, hours: float, state: str = "down", **fields: Any) -> int:
    """Register a site that was out for so many hours of the month, and up for the rest of it."""
    since = START + timedelta(days=9)
    states = [(since, state), (since + timedelta(hours=hours), "up")] if hours else []
    return await site_since(session, cast, BEGAN, *states, AFTERWARDS, **fields)


async def write_month(session: AsyncSession, cast: Cast) -> dict[str, int]:
    """Return a site of each kind. The one that missed is of another provider, the one without a contract in Berau."""
    sites = {
        "met": await site_down(session, cast, 1),
        "missed": await site_down(session, cast, 20, provider="iconplus", technology="leo", service_no="SID-7"),
        "undetermined": await site_down(session, cast, 20, "unknown"),
        "no_contract": await site_down(session, cast, 2, village_code=BERAU_VILLAGE),
        "no_service": await site_since(session, cast, BEGAN, AFTERWARDS, lifecycle="planned"),
    }
    for kind in ("met", "missed", "undetermined", "no_service"):
        await under_contract(session, sites[kind], valid_from=MONTH - timedelta(days=40), terms=TERMS)
    return sites


def kinds(answer: Any) -> dict[int, str]:
    """Return what each row of the list counts as, by site."""
    return {
        row["site_id"]: row["verdict"] or ("no_service" if row["contract"] else "no_contract")
        for row in answer["items"]
    }
