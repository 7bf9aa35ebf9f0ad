"""From the canaries' beats to the verdict on many sites that are lost at once."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.judging.addressed_block import AddressedBlock
from app.probing.canaries import Canaries
from app.worker.process import Worker
from probes.contract import Outcome, Reading
from tests.conftest import Cast
from tests.factories import register

OK, TIMEOUT = Outcome.OK, Outcome.TIMEOUT


@pytest.mark.parametrize(
    ("beat", "verdict", "excused"),
    [((OK, OK), "answering", False), ((OK, TIMEOUT, TIMEOUT), "silent", None)],
)
async def test_sites_lost_together_are_out_at_once_if_the_canaries_answered(
    worker: Worker,
    cast: Cast,
    session: AsyncSession,
    beat: tuple[Outcome, ...],
    verdict: str,
    excused: bool | None,
) -> None:
    for number in range(12):
        await register(cast, host=f"127.7.8.{number}", provider="iconplus" if number % 2 else "telkom-wms")
    context = worker.context
    context.canaries = Canaries([f"127.255.0.{number}" for number, _ in enumerate(beat)])
    await worker.start()
    now = context.slot
    for second in range(-100, 0, 2):
        readings = [Reading(-number, now + second, outcome, 1, (500,), 60) for number, outcome in enumerate(beat, 1)]
        context.canaries.record(readings, float(now + second))
    for second, outcome in ((-90, OK), (-30, TIMEOUT), (-20, TIMEOUT)):
        rtt_us = (900, 900, 900) if outcome is OK else ()
        items = [
            (Reading(site_id, now + second, outcome, 3, rtt_us, 60), plan.addressed_at)
            for site_id, plan in context.schedule.plans.items()
        ]
        context.buffer.put(AddressedBlock.of(items), ended=now + second + 5.0)
        assert await worker.writer.write()
    async with session.begin():
        stored = text(
            "SELECT evidence ->> 'verdict', excused, count(*) FROM suspicion s "
            "JOIN suspect x ON x.suspicion_id = s.id GROUP BY 1, 2"
        )
        assert [tuple(row) for row in await session.execute(stored)] == [(verdict, excused, 12)]
        assert bool(await session.scalar(text("SELECT count(*) FROM incident"))) == (excused is False)
