"""The leading worker probes for all shards: who judges its looks, and how its schedule follows."""

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.judging.addressed_block import AddressedBlock
from app.judging.shards import ShardSeat, shard_of_trees
from app.postgres.engine import Sessions
from app.postgres.work_signals import WorkSignals
from app.probing.canaries import Canaries
from app.worker.judged_elsewhere import JudgedElsewhere
from app.worker.process import Worker
from app.worker.shard_worker import ShardWorker
from probes.contract import Outcome, Reading
from tests.conftest import Cast
from tests.factories import register

OK, TIMEOUT = Outcome.OK, Outcome.TIMEOUT
SHARDS = 3
SITES = 12
SUSPECTED = text("""
    SELECT evidence ->> 'verdict' AS verdict, excused, count(DISTINCT st.shard) AS shards, count(*) AS sites
    FROM suspicion s JOIN suspect x ON x.suspicion_id = s.id JOIN site_status st USING (site_id) GROUP BY 1, 2
""")


@pytest.fixture
async def holders(worker: Worker, cast: Cast, sessions: Sessions) -> list[ShardWorker]:
    """Of all shards but the leader's, after its start."""
    for number in range(SITES):
        await register(cast, host=f"127.7.8.{number}", provider="iconplus" if number % 2 else "telkom-wms")
    changes = {"judging_shards": SHARDS, "database_url": "postgresql+asyncpg://nobody@127.0.0.1:9/none"}
    worker.context.settings = worker.context.settings.model_copy(update=changes)  # nobody holds a lock yet
    await worker.start()
    settings = worker.context.settings
    return [ShardWorker(sessions, settings, ShardSeat(n, SHARDS), WorkSignals()) for n in range(1, SHARDS)]


def put(worker: Worker, second: int, outcome: Outcome) -> None:
    """Every site was looked at in this second before or after now."""
    slot, rtt_us = worker.context.slot + second, (900, 900, 900) if outcome is OK else ()
    items = [
        (Reading(site_id, slot, outcome, 3, rtt_us, 60), plan.addressed_at)
        for site_id, plan in worker.context.schedule.plans.items()
    ]
    worker.context.buffer.put(AddressedBlock.of(items), ended=slot + 5.0)


async def test_looks_for_other_shards_wait_with_the_canaries_beats_and_the_schedule_follows(
    worker: Worker, holders: list[ShardWorker], session: AsyncSession
) -> None:
    context, follower = worker.context, JudgedElsewhere(worker.context)
    context.canaries, now = Canaries(["127.255.0.1", "127.255.0.2"]), context.slot
    for second in range(-100, 0, 2):
        context.canaries.record(
            [Reading(-number, now + second, OK, 1, (500,), 60) for number in (1, 2)], float(now + second)
        )
    for second, outcome in ((-90, OK), (-30, TIMEOUT), (-20, TIMEOUT)):
        put(worker, second, outcome)
        assert await worker.writer.write()
        for holder in holders:
            await holder.probers.consume()
        await follower.follow_signalled()
        if second == -30:
            slots = context.schedule.take(context.slot + 2)
            assert len(slots) == SITES, "a first loss is looked at again soon, whoever judged it"
        context.signals.signal("judged")
        context.signals.forget_judged()
    spread = set(shard_of_trees(np.array(list(context.schedule.plans)), SHARDS).tolist())
    assert len(spread) > 1
    async with session.begin():
        assert [tuple(row) for row in await session.execute(SUSPECTED)] == [("answering", False, len(spread), SITES)]
        sites = await session.scalar(text("SELECT count(DISTINCT site_id) FROM incident_site"))
        assert (sites, await session.scalar(text("SELECT count(*) FROM prober_inbox"))) == (SITES, 0)


async def test_another_worker_that_leads_finds_every_site_where_it_belongs(
    worker: Worker, holders: list[ShardWorker], cast: Cast, session: AsyncSession
) -> None:
    """A site that is registered belongs to the leader first, who gives it away; one that begins to push comes back."""
    site = await register(cast, host="127.7.9.1")
    while True:
        await worker.registry_refresh.refresh()
        async with session.begin():
            shard = await session.scalar(text("SELECT shard FROM site_status WHERE site_id = :id"), {"id": site["id"]})
        if shard:
            break
        site = await register(cast, host=f"127.7.9.{site['id'] % 200 + 2}")
    holder = holders[shard - 1]
    await holder.start()
    await holder.tasks.consume()
    assert bool(holder.seat.owns(np.array([site["id"]], np.int32))[0])
    answer = await cast.sari.patch(f"/sites/{site['id']}", {"probe": "push"})
    assert answer.status_code == 200, answer.text
    await holder.registry.refresh()
    assert not holder.seat.owns(np.array([site["id"]], np.int32))[0]
    (tasks, *_) = [job for job in worker.shard_jobs() if job.name == "shard_tasks"]
    await tasks.run()
    seat = worker.context.judging.seat
    assert seat is not None
    assert seat.owns(np.array([site["id"]], np.int32))[0]
