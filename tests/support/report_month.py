"""A closed month of a contract of Icon+ with a site in each of two districts, ready to be drafted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from starlette.routing import BaseRoute

from app.availability import monthly_close
from app.core.clock import utc_now
from app.judging import invalidation
from app.judging.dirty_range import DirtyRange
from tests.conftest import Cast, Person
from tests.factories import BERAU_VILLAGE
from tests.support.monthly_close import AFTERWARDS, END, MONTH, START
from tests.support.shared_start import SharedStart, shared_start
from tests.support.site_histories import assign, make_contract, set_states, site_since
from tests.support.uptime import get

BEGAN = START - timedelta(days=3)
PERIOD = f"{MONTH:%Y-%m}"
MONTH_S = round((END - START).total_seconds())
HOUR = 3600
FEE_IDR = 3_000_000
PARTIES: dict[str, Any] = {"place": "Samarinda", "ppk": {"name": "Rina"}, "provider_signatory": {"name": "Budi"}}
OUTAGE = START + timedelta(days=9)
PROPORTIONAL = {"kind": "proportional", "cap_pct": 100, "unknown": "unproven"}


@dataclass
class ReportMonth:
    """`here` was down for 4 h and is Ana's, `there` unknown for 10 h and is Ben's."""

    session: AsyncSession
    cast: Cast
    contract: int
    here: int
    there: int
    codes: dict[int, str]

    async def draft(self, **body: Any) -> dict[str, Any]:
        answer = await self.cast.sari.post(f"/contracts/{self.contract}/reports", {"period": PERIOD} | body)
        assert answer.status_code == 201, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def read(self, report: int, person: Person | None = None) -> Any:
        return await get(person or self.cast.sari, f"/reports/{report}")

    async def issue(self, report: int, person: Person | None = None) -> Any:
        """Issue it as it is now; return the answer."""
        version = (await self.read(report))["version"]
        headers = {"If-Match": f'"{version}"'}
        return await (person or self.cast.sari).post(f"/reports/{report}/issue", headers=headers)

    async def issued(self, **body: Any) -> dict[str, Any]:
        """Draft it, let the provider agree, and issue it."""
        draft = await self.draft(parties=PARTIES, **body)
        return await self.agreed(draft["id"])

    async def agreed(self, report: int) -> dict[str, Any]:
        assert (await self.cast.icon.post(f"/reports/{report}/no-objections")).status_code == 200
        answer = await self.issue(report)
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def close(self) -> None:
        async with self.session.begin():
            while await monthly_close.close_months(self.session, utc_now()):
                pass

    async def correct_ledger(self, hours: float) -> None:
        """Let `here` turn out to have been down for so long, and the month be corrected."""
        await set_states(
            self.session,
            self.here,
            (BEGAN, "up"),
            (OUTAGE, "down"),
            (OUTAGE + timedelta(hours=hours), "up"),
            AFTERWARDS,
        )
        await self.invalidate()
        await self.close()

    async def invalidate(self) -> None:
        async with self.session.begin():
            await invalidation.invalidate(self.session, [DirtyRange(self.here, START, END)], reason="surat 17")


async def build(session: AsyncSession, cast: Cast, **terms: Any) -> ReportMonth:
    fields = {"provider": "iconplus", "service_no": "SID-7"}
    states = (OUTAGE, "down"), (OUTAGE + timedelta(hours=4), "up"), AFTERWARDS
    here = await site_since(session, cast, BEGAN, *states, **fields)
    states = (OUTAGE, "unknown"), (OUTAGE + timedelta(hours=10), "up"), AFTERWARDS
    there = await site_since(session, cast, BEGAN, *states, **fields, village_code=BERAU_VILLAGE)
    rule = {"monthly_fee_idr": FEE_IDR, "fee_per": "site", "restitution": PROPORTIONAL}
    contract = await make_contract(session, "K-Icon", provider="iconplus", sla_target_pct=99, **(rule | terms))
    for site in (here, there):
        await assign(session, site, contract, MONTH - timedelta(days=40))
    rows = await get(cast.sari, "/sites", provider="iconplus")
    codes = {row["id"]: row["code"] for row in rows["items"]}
    month = ReportMonth(session, cast, contract, here, there, codes)
    await month.close()
    return month


@asynccontextmanager
async def shared_month(engine: AsyncEngine, routes: list[BaseRoute]) -> AsyncIterator[tuple[SharedStart, ReportMonth]]:
    """For a fixture of scope "module"."""
    async with shared_start(engine, routes) as start:
        yield start, await build(start.session, start.cast)
