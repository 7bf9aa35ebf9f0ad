"""The holders of all shards in one process: each judges its own sites' readings, and does what others left to it."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
from sqlalchemy import text

from app.judging import judge_state_store, shard_trees
from app.judging.addressed_block import AddressedBlock
from app.judging.blind_ranges import BlindRange
from app.judging.canary_evidence import CanaryLog
from app.judging.mass_outage import NO_CANARIES
from app.judging.shards import ShardSeat
from app.postgres.engine import transaction
from app.postgres.work_signals import WorkSignals
from app.probing.write_buffer import BufferBatch
from app.worker.judging_session import JudgingSessions
from app.worker.shard_registry import ShardRegistry
from app.worker.shard_tasks_job import ShardTaskConsumer
from app.worker.writer import write_round
from probes.contract import Reading
from tests.support.rejudged_village import Village

OUTAGES = text("""
    SELECT s.site_id, s.started_at, s.ended_at, s.last_ok_at, s.confirmed_at, s.first_ok_after, i.kind, i.status,
        i.cause_hint, i.shared_parent_id, i.shared_provider_id, i.shared_district,
        array(SELECT o.site_id FROM incident_site o WHERE o.incident_id = i.id AND o.withdrawn_at IS NULL ORDER BY 1)
            AS together
    FROM incident_site s JOIN incident i ON i.id = s.incident_id WHERE s.withdrawn_at IS NULL ORDER BY 1, 2
""")
SUSPECTS = text("SELECT site_id, started_at, lost_at, excused, decided_at FROM suspect ORDER BY 1, 2")


class ShardHolders:
    """`shards`: 1 is today's single worker."""

    def __init__(self, village: Village, shards: int, random: Random) -> None:
        self.village, self.random, self.shards = village, random, shards
        self.holders = [self._holder(shard) for shard in range(shards)]

    @classmethod
    async def start(cls, village: Village, shards: int, random: Random) -> "ShardHolders":
        async with transaction(village.sessions) as session:
            await shard_trees.place_all(session, shards)
        return cls(village, shards, random)

    def _holder(self, shard: int) -> JudgingSessions:
        seat = ShardSeat(shard, self.shards) if self.shards > 1 else None
        return JudgingSessions(self.village.sessions, seat=seat)

    def replace(self, shard: int) -> None:
        """Its holder is killed, and another one goes on."""
        self.holders[shard] = self._holder(shard)

    async def owned(self) -> dict[int, int]:
        async with transaction(self.village.sessions) as session:
            rows = await session.execute(text("SELECT site_id, shard FROM site_status"))
            return {row.site_id: row.shard for row in rows}

    async def write(
        self, readings: Sequence[Reading], blind: Sequence[BlindRange] = (), *, canaries: CanaryLog = NO_CANARIES
    ) -> None:
        """The leading holder comes first, as it was the one that looked; the others in any order."""
        owner = await self.owned() if self.shards > 1 else dict.fromkeys(self.village.ids, 0)
        for shard in [0, *self.random.sample(range(1, self.shards), self.shards - 1)]:
            own = [reading for reading in readings if owner[reading.key] == shard]
            if own or (blind and shard == 0):
                block = AddressedBlock.of((reading, self.village.start) for reading in own)
                seat = self.holders[shard].seat
                if seat is not None and not seat.owns(block.readings.key).all():
                    await self.do_tasks([shard])  # it has not taken over all that is its own
                async with self.holders[shard].transaction() as (session, changes):
                    part = BufferBatch(blind if shard == 0 else (), block)
                    await write_round(session, changes, part, canaries=canaries)

    async def do_tasks(self, shards: Sequence[int] | None = None) -> None:
        for shard in range(self.shards) if shards is None else shards:
            judging = self.holders[shard]
            if judging.seat is not None:
                await ShardTaskConsumer(judging, judging.seat, self.registry(judging)).consume()

    def registry(self, judging: JudgingSessions) -> ShardRegistry:
        return ShardRegistry(judging, WorkSignals(), asyncio.Lock())

    async def follow_registry(self, site_ids: Sequence[int]) -> None:
        """Every holder gives away what is not its own any more."""
        for judging in self.holders:
            if judging.seat is not None:
                async with judging.transaction() as (session, _):
                    await shard_trees.give_away(session, judging.seat, site_ids)

    async def finish(self) -> None:
        """Until nobody has left anything to anyone."""
        for _ in range(5):
            await self.do_tasks()
        async with transaction(self.village.sessions) as session:
            assert await session.scalar(text("SELECT count(*) FROM shard_task")) == 0

    async def stored(self) -> dict[int, Any]:
        """Segments, checkpoints and judge states, with what is in memory alone."""
        stored, states = await self.village.stored(), dict[int, Any]()
        for shard, judging in enumerate(self.holders):
            async with judging.transaction() as (session, _):
                ids = [i for i in self.village.ids if self._owns(judging, i)]
                rows = await judge_state_store.lock_sites(session, ids)
                states |= {i: judge_state_store.state_from_row(rows[i]) for i in ids}
            assert shard in range(self.shards)
        return {site_id: (*parts[:2], states[site_id]) for site_id, parts in stored.items()}

    def _owns(self, judging: JudgingSessions, site_id: int) -> bool:
        return judging.seat is None or bool(judging.seat.owns(np.array([site_id], np.int32))[0])

    async def outcome(self) -> dict[str, Any]:
        """All that is known of the sites, as rows: what must not depend on the number of shards."""
        async with transaction(self.village.sessions) as session:
            outages = [tuple(map(str, row)) for row in await session.execute(OUTAGES)]
            suspects = [tuple(map(str, row)) for row in await session.execute(SUSPECTS)]
        return {"stored": await self.stored(), "outages": outages, "suspects": suspects}
