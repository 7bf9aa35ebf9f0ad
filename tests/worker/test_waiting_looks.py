"""Looks of several vantages wait for each other, for so long, and across workers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, to_slot, utc_now
from app.judging.addressed_block import AddressedBlock
from app.judging.vantage_waits import WAIT_S
from app.postgres.engine import Sessions, transaction
from app.vantages import inbox
from app.vantages.inbox import PackedBlock
from app.worker.counters import WorkerCounters
from app.worker.judging_session import JudgingSessions
from app.worker.prober_consumer import ProberConsumer
from probes.contract import VANTAGES, Outcome, Reading
from probes.reading_wire import encode
from tests.conftest import Cast
from tests.factories import register
from tests.support.delivering_probers import make_vantage
from tests.support.rejudged_village import backdate

OK, TIMEOUT = Outcome.OK, Outcome.TIMEOUT


@dataclass
class Worker:
    sessions: Sessions
    site: int
    start: datetime
    consumer: ProberConsumer = field(init=False)

    def __post_init__(self) -> None:
        self.consumer = ProberConsumer(JudgingSessions(self.sessions), WorkerCounters())

    async def deliver(self, vantage: int, moments: Sequence[datetime], outcome: Outcome = OK) -> None:
        rtts = (20_000,) * 3 if outcome is OK else ()
        source = VANTAGES[vantage]
        looks = [Reading(self.site, to_slot(at), outcome, 3, rtts, 60, None, source) for at in moments]
        block = AddressedBlock.of((look, self.start) for look in looks)
        async with transaction(self.sessions) as session:
            packed = PackedBlock(len(block), encode(block.readings, block.addressed_at))
            await inbox.enqueue(session, [packed], prober_id=None, vantage=vantage, received_at=utc_now())
        await self.consumer.consume()
        await self.consumer.judge_waiting()

    async def status(self) -> Any:
        async with transaction(self.sessions) as session:
            row = await session.execute(text("SELECT * FROM site_status WHERE site_id = :id"), {"id": self.site})
            return row.one()


@pytest.fixture
async def worker(sessions: Sessions, cast: Cast, session: AsyncSession) -> Worker:
    await make_vantage(cast)
    site = await register(cast, vantages=[0, 1])
    start = floor_second(utc_now()) - timedelta(minutes=20)
    await backdate(session, start)
    return Worker(sessions, site["id"], start)


async def test_a_look_waits_for_those_of_the_other_vantages_also_when_the_worker_dies(worker: Worker) -> None:
    now = floor_second(utc_now()) - timedelta(seconds=2)
    await worker.deliver(1, [now])
    assert (await worker.status()).state == "unknown", "the other one may have seen it as well"
    worker.__post_init__()
    await worker.deliver(0, [now])
    status = await worker.status()
    assert (status.state, status.seen_at, status.rtt_us) == ("up", now, 20_000)


async def test_no_look_waits_for_a_vantage_that_is_away(worker: Worker) -> None:
    now = floor_second(utc_now())
    minutes = [now - timedelta(seconds=WAIT_S + 60 * n) for n in (2, 1, 0)]
    await worker.deliver(1, minutes)
    assert (await worker.status()).seen_at == minutes[-1]
    await worker.deliver(0, minutes, TIMEOUT)
    status = await worker.status()
    assert (status.state, status.lost_from, status.seen_at) == ("degraded", [0], minutes[-1])


async def test_a_site_that_is_looked_at_from_fewer_places_from_now_on_loses_no_look(worker: Worker, cast: Cast) -> None:
    now = floor_second(utc_now()) - timedelta(seconds=3)
    await worker.deliver(1, [now])
    assert (await cast.sari.patch(f"/sites/{worker.site}", {"vantages": [1]})).status_code == 200
    await worker.deliver(1, [now + timedelta(seconds=2)])
    status = await worker.status()
    assert (status.state, status.since) == ("up", now)
