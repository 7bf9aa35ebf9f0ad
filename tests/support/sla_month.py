"""The month of docs/sla.md as the service's own ledger, with what people recorded beside it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import midnight, utc_now
from app.incidents.reconcile import reconcile_incidents
from app.judging import claim_store
from app.judging.claims import Claim
from app.judging.dirty_range import DirtyRange
from tests.conftest import Cast
from tests.support.site_histories import site_since
from tests.support.sla_page import MONTH, LedgerLine, SlaPage

BOUNDS = text("""
    UPDATE state_segment SET last_ok_at = :last_ok_at, confirmed_at = :started_at, last_loss_at = :last_loss_at,
        first_ok_after = :ended_at WHERE site_id = :site_id AND started_at = :started_at
""")


@dataclass(frozen=True, slots=True)
class SlaMonth:
    site_id: int
    contract_id: int
    page: SlaPage


async def build_month(session: AsyncSession, cast: Cast, page: SlaPage) -> SlaMonth:
    """Register the page's site and contract, and write its ledger, causes, windows and claims."""
    site_id = await _write_ledger(session, cast, page.ledger)
    contract_id = await _sign(session, cast, site_id, page.blocks)
    for record in page.records:
        bounds = record.started_at, record.ended_at
        if record.kind == "claim":
            async with session.begin():
                await claim_store.record(session, [Claim(site_id, *bounds, utc_now())], [])
        elif record.kind == "maintenance":
            fields = {"site": str(site_id), "title": "Penggantian kabel", "reason": "Disepakati sebelumnya"}
            moments = {"started_at": bounds[0].isoformat(), "ended_at": bounds[1].isoformat()}
            answer = await cast.sari.post("/maintenance", fields | moments)
            assert answer.status_code == 201, answer.text
        else:
            await set_cause(cast, site_id, bounds[0], {"cause": "power", "ticket_no": "PLN-88213"})
    return SlaMonth(site_id, contract_id, page)


async def set_cause(cast: Cast, site_id: int, started_at: datetime, patch: dict[str, str]) -> None:
    """Set it as the district does, on the incident of the outage that began then."""
    incidents = (await cast.ana.get("/incidents", params={"site": site_id, "period": f"{MONTH:%Y-%m}"})).json()["items"]
    (incident,) = [each for each in incidents if datetime.fromisoformat(each["started_at"]) == started_at]
    answer = await cast.ana.patch(f"/incidents/{incident['id']}", patch)
    assert answer.status_code == 200, answer.text


async def _write_ledger(session: AsyncSession, cast: Cast, ledger: list[LedgerLine]) -> int:
    states = [edge for line in ledger for edge in ((line.started_at, line.state), (line.ended_at, "up"))]
    since = midnight(MONTH.replace(day=1, month=MONTH.month - 1))
    site_id = await site_since(session, cast, since, *states)
    async with session.begin():
        for line in ledger:
            if line.last_loss_at is not None:
                await session.execute(
                    BOUNDS,
                    {
                        "site_id": site_id,
                        "started_at": line.started_at,
                        "ended_at": line.ended_at,
                        "last_ok_at": line.last_ok_at,
                        "last_loss_at": line.last_loss_at,
                    },
                )
        dirty = [DirtyRange(site_id, line.started_at, line.ended_at) for line in ledger]
        await reconcile_incidents(session, dirty, now=utc_now())
    return site_id


async def _sign(session: AsyncSession, cast: Cast, site_id: int, blocks: dict[str, Any]) -> int:
    created = await cast.sari.post("/contracts", blocks["contract"])
    assert created.status_code == 201, created.text
    contract_id = int(created.json()["id"])
    changed = await cast.sari.patch(f"/contracts/{contract_id}", blocks["addendum"])
    assert changed.status_code == 200, changed.text
    assigned = await cast.sari.post(f"/contracts/{contract_id}/sites", blocks["assignment"])
    assert assigned.status_code in {200, 201}, assigned.text
    return contract_id
