"""Sites with a history: registered days ago, with segments, contracts, maintenance and causes written as rows."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, midnight, today, utc_now
from app.incidents import outage_causes
from app.registry.models import Cause, Contract, ContractTerms
from tests.conftest import Cast
from tests.factories import register

TODAY = today()
TERMS: dict[str, Any] = {
    "sla_target_pct": 97,
    "min_outage_s": 300,
    "excluded_causes": [],
    "excuses_parent": False,
    "recorded_at": midnight(date(2020, 1, 1)),
}


def day(ago: int, hours: float = 0) -> datetime:
    """Return the moment so many hours into a WITA day so many days ago."""
    return midnight(TODAY - timedelta(days=ago)) + timedelta(hours=hours)


async def site_since(
    session: AsyncSession, cast: Cast, since: datetime, *states: tuple[datetime, str], **fields: Any
) -> int:
    """Register a site in service since then, `up` until the first of the states begins; the last state is open."""
    async with session.begin():
        count = await session.scalar(text("SELECT count(*) FROM site"))
    site_id: int = (await register(cast, host=f"198.51.100.{count + 1}", **fields))["id"]
    await execute(
        session,
        "UPDATE site SET created_at = :since, addressed_at = :since WHERE id = :id",
        "UPDATE site_configuration SET started_at = :since, addressed_at = :since WHERE site_id = :id",
        id=site_id,
        since=since,
    )
    await set_states(session, site_id, (since, "up"), *states)
    return site_id


async def set_states(session: AsyncSession, site_id: int, *states: tuple[datetime, str]) -> None:
    """Replace the site's segments; the last state is supported by evidence of now."""
    await execute(session, "DELETE FROM state_segment WHERE site_id = :id", id=site_id)
    ends: Sequence[datetime | None] = [*(began for began, _ in states[1:]), None]
    for (began, state), ended in zip(states, ends, strict=True):
        await execute(
            session,
            "INSERT INTO state_segment (site_id, started_at, ended_at, state, unknown_reason) "
            "VALUES (:id, :began, :ended, cast(:state AS text), :reason)",
            id=site_id,
            began=began,
            ended=ended,
            state=state,
            reason="silent" if state == "unknown" else None,
        )
    await execute(
        session,
        "UPDATE site_status SET evidence_at = :now, valid_s = 3600 WHERE site_id = :id",
        id=site_id,
        now=floor_second(utc_now()),
    )


async def under_contract(
    session: AsyncSession, site_id: int, *, valid_from: date, terms: Sequence[tuple[date, dict[str, Any]]]
) -> None:
    """Put the site under a contract of its own, for all of its time; `terms` by the day they start on."""
    async with session.begin():
        provider_id = await session.scalar(text("SELECT provider_id FROM site WHERE id = :id"), {"id": site_id})
        contract = Contract(number=f"K-{site_id}", provider_id=provider_id, valid_from=valid_from, version=1)
        session.add(contract)
        await session.flush()
        for started_on, changed in terms:
            session.add(ContractTerms(contract_id=contract.id, started_on=started_on, **(TERMS | changed)))
        number = contract.id
    await execute(
        session,
        "INSERT INTO site_contract (site_id, contract_id, link_role, started_on, recorded_by, version) "
        "VALUES (:id, :number, 'primary', '2000-01-01', 'sari', 1)",
        id=site_id,
        number=number,
    )


async def make_contract(session: AsyncSession, number: str, *, provider: str = "telkom-wms", **terms: Any) -> int:
    """Write a contract that is valid since long ago."""
    async with session.begin():
        provider_id = await session.scalar(text("SELECT id FROM provider WHERE slug = :slug"), {"slug": provider})
        contract = Contract(number=number, provider_id=provider_id, valid_from=date(2020, 1, 1), version=1)
        session.add(contract)
        await session.flush()
        session.add(ContractTerms(contract_id=contract.id, started_on=contract.valid_from, **(TERMS | terms)))
        return contract.id


async def assign(
    session: AsyncSession,
    site_id: int,
    contract_id: int,
    started_on: date,
    ended_on: date | None = None,
    *,
    link_role: str = "primary",
) -> None:
    """Put the site under the contract from a day up to another."""
    await execute(
        session,
        "INSERT INTO site_contract (site_id, contract_id, link_role, started_on, ended_on, recorded_by, version) "
        "VALUES (:site, :contract, :role, :start, :end, 'sari', 1)",
        site=site_id,
        contract=contract_id,
        role=link_role,
        start=started_on,
        end=ended_on,
    )


async def maintain(session: AsyncSession, start: datetime, end: datetime, **scope: Any) -> None:
    """Plan a window for a site_id, a region_code, a provider_id, or the last two together."""
    values = {"site_id": None, "region_code": None, "provider_id": None} | scope
    await execute(
        session,
        "INSERT INTO maintenance_window (started_at, ended_at, site_id, region_code, provider_id, title, "
        "created_by, version) VALUES (:a, :b, :site_id, :region_code, :provider_id, 'works', 'sari', 1)",
        a=start,
        b=end,
        **values,
    )


async def record_cause(session: AsyncSession, site_id: int, start: datetime, end: datetime | None, cause: str) -> None:
    async with session.begin():
        await outage_causes.set_cause(session, [site_id], start, end, Cause(cause), "sari")


async def execute(session: AsyncSession, *statements: str, **values: Any) -> None:
    async with session.begin():
        for statement in statements:
            bound = {name: value for name, value in values.items() if f":{name}" in statement}
            await session.execute(text(statement), bound)
