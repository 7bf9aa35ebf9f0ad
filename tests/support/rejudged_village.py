"""Sites with random readings, ingested in batches, and what one fold over all of them comes to."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot, to_slot, utc_now
from app.judging import ingest, judge_context, judge_state_store, propagation, segments
from app.judging.blind_ranges import BlindRange
from app.judging.canary_evidence import CanaryLog
from app.judging.dirty_range import DirtyRange
from app.judging.fold import fold, fold_order
from app.judging.ingest import IngestResult
from app.judging.judge import JudgeState
from app.judging.mass_outage import NO_CANARIES
from app.judging.rejudge import RejudgeResult, initial_state
from app.judging.segments import Segment, SegmentRange
from app.postgres.engine import Sessions, transaction
from probes.contract import CENTRAL, Outcome, Reading

OK, TIMEOUT, FAULT = Outcome.OK, Outcome.TIMEOUT, Outcome.FAULT
HOURS = 3
OUTCOMES_BY_MOOD = {
    "well": (OK,) * 40 + (TIMEOUT, FAULT),
    "ill": (TIMEOUT,) * 9 + (OK, FAULT),
    "slow": (OK,) * 9 + (TIMEOUT,),
}


class Village:
    """A tower, two sites behind it and one without a parent, registered some hours ago."""

    def __init__(self, sessions: Sessions, ids: Sequence[int], start: datetime, random: Random) -> None:
        self.sessions, self.ids, self.start, self.random = sessions, ids, start, random

    def random_readings(self) -> list[Reading]:
        return [reading for site_id in self.ids for reading in self._random_site_readings(site_id)]

    def _random_site_readings(self, site_id: int) -> list[Reading]:
        readings, second, mood = [], self.random.randrange(60), "well"
        while second < HOURS * 3600:
            if self.random.random() < 0.07:
                mood = self.random.choice(list(OUTCOMES_BY_MOOD))
            readings.append(self.reading(site_id, second, self.random.choice(OUTCOMES_BY_MOOD[mood]), mood))
            second += self.random.choice([60] * 12 + [10] * 3 + [100, 140, 180, 900])
        return readings

    def reading(self, site_id: int, second: int, outcome: Outcome, mood: str = "well") -> Reading:
        answered = self.random.choice([3, 3, 3, 2, 1]) if mood == "slow" else 3
        rtt_us = (400_000 if mood == "slow" and self.random.random() < 0.7 else 20_000,) * answered
        sent = 0 if outcome is FAULT else 3
        return Reading(site_id, to_slot(self.start) + second, outcome, sent, rtt_us if outcome is OK else (), 60)

    def random_blind_ranges(self, count: int) -> list[BlindRange]:
        starts = [self.start + timedelta(seconds=self.random.randrange(HOURS * 3600)) for _ in range(count)]
        lengths = [timedelta(seconds=self.random.choice([5, 40, 400])) for _ in starts]
        reasons = [self.random.choice(["uplink", "stopped"]) for _ in starts]
        return [
            BlindRange(start, start + length, reason)
            for start, length, reason in zip(starts, lengths, reasons, strict=True)
        ]

    async def ingest(
        self, readings: Sequence[Reading], blind: Sequence[BlindRange] = (), *, canaries: CanaryLog = NO_CANARIES
    ) -> IngestResult:
        async with transaction(self.sessions) as session:
            items = [(reading, self.start) for reading in readings]
            return await ingest.ingest_readings(session, items, blind, canaries=canaries)

    async def rejudge(self, ranges: Iterable[DirtyRange]) -> RejudgeResult:
        async with transaction(self.sessions) as session:
            return await propagation.rejudge_with_children(session, ranges)

    async def stored(self) -> dict[int, tuple[list[Segment], list[tuple[datetime, JudgeState]], JudgeState]]:
        async with transaction(self.sessions) as session:
            return await read_stored(session, self.ids)

    async def expected(self, readings: Sequence[Reading]) -> dict[int, Any]:
        """One fold over everything, from the beginning."""
        expected = {}
        async with transaction(self.sessions) as session:
            for site_id in self.ids:  # the tower first
                context = (await judge_context.load(session, [site_id], [CENTRAL], self.start, utc_now()))[site_id]
                own = sorted((reading for reading in readings if reading.key == site_id), key=fold_order)
                folded = fold(initial_state(context.configurations[0]), own, context)
                expected[site_id] = segments.apply_changes([], folded.changes), folded.checkpoints, folded.state
        return expected


async def read_stored(session: AsyncSession, ids: Sequence[int]) -> dict[int, Any]:
    whole = SegmentRange(from_slot(0), from_slot(9_999_999_999))
    stored_segments = await segments.read_ranges(session, dict.fromkeys(ids, whole))
    rows = await judge_state_store.lock_sites(session, ids)
    query = text("SELECT at, carry::text FROM checkpoint WHERE site_id = :id ORDER BY at")
    return {
        site_id: (
            stored_segments[site_id],
            [
                (at, judge_state_store.state_from_checkpoint(carry))
                for at, carry in await session.execute(query, {"id": site_id})
            ],
            judge_state_store.state_from_row(rows[site_id]),
        )
        for site_id in ids
    }


def assert_same(stored: dict[int, Any], expected: dict[int, Any]) -> None:
    for site_id, parts in expected.items():
        for name, actual, part in zip(("segments", "checkpoints", "judge state"), stored[site_id], parts, strict=True):
            assert actual == part, f"site {site_id}: {name}"


async def backdate(session: AsyncSession, start: datetime) -> None:
    async with session.begin():
        for statement in (
            "UPDATE site SET addressed_at = :start, created_at = :start",
            "UPDATE site_status SET addressed_at = :start, since = :start",
            "UPDATE site_configuration SET started_at = :start, addressed_at = :start",
        ):
            await session.execute(text(statement), {"start": start})
