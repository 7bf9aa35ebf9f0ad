"""A line of Telkom under contract that was measured for 24 hours, written once a file; tests work in savepoints."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from starlette.routing import BaseRoute

from app.core.clock import to_slot
from app.measurements import store as measurements
from probes.contract import CENTRAL, Outcome, Reading
from tests.conftest import Cast
from tests.support.compliance_rows import add_tests
from tests.support.shared_start import SharedStart, savepoint, shared_start
from tests.support.site_histories import assign, day, make_contract, site_since

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
BEGAN, START = day(6), day(3, 6)
END = START + 24 * HOUR
DOWN, BLIND = START + 5 * HOUR, START + 10 * HOUR
STATES = (
    *((DOWN, "down"), (DOWN + 20 * MINUTE, "up")),
    *((BLIND, "unknown"), (BLIND + HOUR, "up")),
    (day(1), "up"),
)


@dataclass
class MeasuredLine:
    """`site` was down for 20 min and unknown for 1 h; 30 of its looks took 150 ms, all others 23."""

    session: AsyncSession
    cast: Cast
    site: int

    async def request(
        self, person: str = "ana", *, site: int | None = None, start: datetime = START, **body: Any
    ) -> Any:
        """Ask for a certificate, by default of the measured 24 hours; return the answer."""
        path = f"/sites/{site or self.site}/certificates"
        return await getattr(self.cast, person).post(path, {"from": start.isoformat()} | body)

    async def certified(self, **body: Any) -> Any:
        answer = await self.request(**body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def data(self, **body: Any) -> Any:
        """Ask for a certificate; return its data set."""
        certificate = await self.certified(**body)
        assert certificate["status"] == "done"
        return (await self.cast.ana.get(f"/certificates/{certificate['id']}")).json()["data"]


@pytest.fixture(scope="module")
async def start(engine: AsyncEngine, routes: list[BaseRoute]) -> AsyncIterator[tuple[SharedStart, MeasuredLine]]:
    async with shared_start(engine, routes) as start:
        session, cast = start.session, start.cast
        site = await site_since(session, cast, BEGAN, *STATES, name="Kantor Desa")
        speeds: dict[str, Any] = {"bandwidth_down_mbps": 20.0, "bandwidth_up_mbps": 10.0}
        contract = await make_contract(session, "K-7", sla_target_pct=99, **speeds)
        await assign(session, site, contract, BEGAN.date())
        async with session.begin():
            await measurements.record(session, list(_readings(site)))
        await add_tests(session, site, START + 12 * MINUTE, 20)
        await add_tests(session, site, START + 20 * HOUR + 12 * MINUTE, 2, down=15.9, up=8)
        await add_tests(session, site, START + 22 * HOUR + 12 * MINUTE, 1, status="failed", reason="cut_off")
        await add_tests(session, site, START + 23 * HOUR + 12 * MINUTE, 1, status="skipped", reason="over_budget")
        yield start, MeasuredLine(session, cast, site)


def _readings(site: int) -> Any:
    for minute in range(24 * 60):
        at = START + minute * MINUTE + timedelta(seconds=7)
        is_down, is_blind = DOWN <= at < DOWN + 20 * MINUTE, BLIND <= at < BLIND + HOUR
        rtt = 150_000 if minute % 48 == 1 else 23_000
        if not is_blind:
            outcome = Outcome.TIMEOUT if is_down else Outcome.OK
            yield Reading(site, to_slot(at), outcome, 3, () if is_down else (rtt,) * 3, 60, None, CENTRAL)


@pytest.fixture
async def connection(start: tuple[SharedStart, MeasuredLine]) -> AsyncIterator[AsyncConnection]:
    async with savepoint(start[0].connection) as connection:
        yield connection


@pytest.fixture
async def line(start: tuple[SharedStart, MeasuredLine], connection: AsyncConnection) -> MeasuredLine:
    return start[1]


@pytest.fixture
async def cast(line: MeasuredLine) -> Cast:
    return line.cast


@pytest.fixture
async def session(line: MeasuredLine) -> AsyncSession:
    return line.session
