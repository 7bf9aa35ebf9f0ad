"""A leader that another one replaced hands over what it read and had not written."""

from datetime import timedelta

from app.core.clock import from_slot
from app.postgres.engine import Sessions, transaction
from app.vantages import inbox
from app.worker.handover import hand_over
from app.worker.process import Worker
from probes.contract import CENTRAL, Outcome, Reading
from tests.worker.conftest import put


async def test_what_a_replaced_leader_read_waits_for_the_new_one(worker: Worker, sessions: Sessions) -> None:
    slot = worker.context.slot
    addressed_at = from_slot(slot) - timedelta(days=1)
    answered = [Reading(site, slot, Outcome.OK, 3, (20_000, 21_000, 22_000), 60) for site in (7, 8)]
    lost = Reading(9, slot, Outcome.TIMEOUT, 3, (), 60)
    put(worker, [(reading, addressed_at) for reading in (*answered, lost)])
    await hand_over(worker.context, sessions, worker.writer.routing)
    assert not len(worker.context.buffer)
    async with transaction(sessions) as session:
        (waiting,) = await inbox.dequeue(session, limit=10, most_readings=100)
    readings = list(waiting.block().readings.readings())
    assert readings[:2] == answered
    assert {reading.source for reading in readings} == {CENTRAL}
    # no canary has told whether the leader was blind itself
    assert (readings[2].key, readings[2].outcome, readings[2].reason) == (9, Outcome.FAULT, "stopped")


async def test_a_leader_that_had_written_everything_hands_nothing_over(worker: Worker, sessions: Sessions) -> None:
    await hand_over(worker.context, sessions, worker.writer.routing)
    async with transaction(sessions) as session:
        assert not await inbox.count_waiting(session)
