"""What is in memory alone is written once a transaction, however often something in it needs `site_status`."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, from_slot, utc_now
from app.judging.addressed_block import AddressedBlock
from app.judging.blind_ranges import BlindRange
from app.postgres.engine import Sessions
from app.worker.judging_session import JudgingSessions
from app.worker.write_buffer import BufferBatch
from app.worker.writer import write_round
from probes.contract import Outcome, Reading
from tests.conftest import Cast
from tests.factories import register
from tests.support.rejudged_village import Village, assert_same, backdate

OK, TIMEOUT = Outcome.OK, Outcome.TIMEOUT


async def test_blindness_and_a_lost_site_behind_a_tower_are_written_together(
    sessions: Sessions, cast: Cast, session: AsyncSession
) -> None:
    """All sites are written for the blind range, the tower again for the loss behind it."""
    tower = (await register(cast, host="127.9.9.1", kind="node"))["id"]
    child = (await register(cast, host="127.9.9.2", parent_id=tower))["id"]
    start = floor_second(utc_now()) - timedelta(hours=1)
    await backdate(session, start)
    village, judging = Village(sessions, [tower, child], start, Random(0)), JudgingSessions(sessions)

    async def write(readings: Sequence[Reading], blind: Sequence[BlindRange] = ()) -> None:
        async with judging.transaction() as (writing, changes):
            block = AddressedBlock.of((reading, start) for reading in readings)
            await write_round(writing, changes, BufferBatch(blind, block))

    readings = [village.reading(site, second, OK) for second in range(0, 600, 60) for site in village.ids]
    for n in range(0, len(readings), 2):
        await write(readings[n : n + 2])
    assert len(judging.table.moved_rows()) == 2
    last = [village.reading(child, 600, TIMEOUT), village.reading(tower, 600, OK)]
    at = from_slot(last[0].slot)
    await write(last, [BlindRange(at - timedelta(seconds=40), at - timedelta(seconds=20), "uplink")])
    assert judging.is_loaded
    assert_same(await village.stored(), await village.expected([*readings, *last]))
