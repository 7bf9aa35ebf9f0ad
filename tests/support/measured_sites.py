"""Sites measured for days over all technologies, and the rollup of their readings."""

import math
import random
from collections.abc import Iterable, Sequence
from copy import copy, deepcopy
from datetime import datetime, timedelta
from typing import Any, Self

import pytest
from sqlalchemy import CursorResult, text

from app.core.clock import WITA, midnight, to_slot, utc_now
from app.latency.looks import count_looks
from app.latency.rollup import roll_up
from app.measurements import store as measurements
from app.postgres.engine import Sessions, transaction
from probes.contract import CENTRAL, Outcome, Reading
from tests.conftest import Cast
from tests.factories import register

TABLES = ("rollup_hour", "rollup_day", "region_day", "region_month")
# ms: from, to, and the share of long tails
TECHNOLOGIES = {"fiber": (10, 40), "radio": (12, 50), "cellular": (30, 100), "leo": (25, 60), "geo": (550, 700)}


def rtt_us(technology: str, rng: random.Random) -> int:
    low, high = TECHNOLOGIES[technology]
    tail = rng.paretovariate(1.5) if rng.random() < 0.05 else 1.0
    return min(3_000_000, round(1000 * rng.uniform(low, high) * tail))


def percentile(rtts: Sequence[float], q: float) -> float:
    """Return the exact percentile, interpolated between its two neighbours."""
    ordered, rank = sorted(rtts), q * (len(rtts) - 1)
    low, high = ordered[math.floor(rank)], ordered[math.ceil(rank)]
    return low + (high - low) * (rank % 1)


class MeasuredSites:
    """`now` is a minute past noon; rollups begin at `since`, the midnight of so many days ago."""

    def __init__(self, sessions: Sessions, cast: Cast, *, days: int = 3) -> None:
        self.sessions, self.cast = sessions, cast
        today = utc_now().astimezone(WITA).date()
        self.now = midnight(today) + timedelta(hours=12, minutes=1)
        self.since = midnight(today - timedelta(days=days))
        self.random, self.sites = random.Random(7), 0

    def copy(self) -> Self:
        """Return the same sites for a test of its own; it draws the same random numbers as any other."""
        own = copy(self)
        own.random = deepcopy(self.random)
        return own

    async def reset_watermarks(self) -> None:
        await self.execute("UPDATE rollup_watermark SET upto = :since, site_id = 0", since=self.since)

    async def add_site(self, technology: str = "fiber", **changes: Any) -> int:
        self.sites += 1
        site = await register(self.cast, technology=technology, host=f"198.51.100.{self.sites}", **changes)
        for statement in (
            "UPDATE site SET addressed_at = :start, created_at = :start WHERE id = :id",
            "UPDATE site_configuration SET started_at = :start, addressed_at = :start WHERE site_id = :id",
        ):
            await self.execute(statement, start=self.since - timedelta(days=40), id=site["id"])
        return int(site["id"])

    def reading(
        self, site: int, at: datetime, rtts: Sequence[int] | None, *, outcome: Outcome | None = None
    ) -> Reading:
        """A reading of three packets with these round-trip times of the answered ones; None is a timeout."""
        outcome = outcome or (Outcome.TIMEOUT if rtts is None else Outcome.OK)
        return Reading(
            site, to_slot(at), outcome, 0 if outcome is Outcome.FAULT else 3, tuple(rtts or ()), 60, None, CENTRAL
        )

    def readings(self, site: int, technology: str, start: datetime, count: int, *, every_s: int) -> list[Reading]:
        readings = []
        for number in range(count):
            answered = self.random.choice((3, 3, 3, 3, 2, 1, 0))
            rtts = [rtt_us(technology, self.random) for _ in range(answered)] or None
            readings.append(self.reading(site, start + timedelta(seconds=number * every_s), rtts))
        return readings

    async def record(self, readings: Iterable[Reading]) -> list[tuple[int, datetime]]:
        async with transaction(self.sessions) as session:
            return await measurements.record(session, list(readings))

    async def roll_up(self, *, now: datetime | None = None, sites_a_step: int = 100, steps: int = 10_000) -> int:
        """Run steps until nothing is left to do; return how many there were."""
        for step in range(steps):
            async with transaction(self.sessions) as session:
                if not await roll_up(session, now or self.now, sites_a_step=sites_a_step):
                    return step
        return steps

    async def count_looks(self, *, sites_a_step: int = 100, steps: int = 10_000) -> None:
        """Count the looks of all days that are rolled up, or run so many steps of it."""
        for _ in range(steps):
            async with transaction(self.sessions) as session:
                if not await count_looks(session, self.now, sites_a_step=sites_a_step):
                    return

    async def skip_hours(self, until: datetime) -> None:
        """Move the watermark of hours past those without readings, instead of counting them one by one."""
        await self.execute(
            "UPDATE rollup_watermark SET upto = :until WHERE stage IN ('closed', 'hours', 'looks')", until=until
        )

    async def execute(self, statement: str, **values: Any) -> Sequence[Any]:
        async with transaction(self.sessions) as session:
            result = await session.execute(text(statement), values)
            return result.all() if isinstance(result, CursorResult) and result.returns_rows else []

    async def rows(self) -> dict[str, set[str]]:
        """Return all rollup rows as text, by table."""
        return {table: {row[0] for row in await self.execute(f"SELECT t::text FROM {table} t")} for table in TABLES}

    async def row_locations(self) -> dict[tuple[str, str], str]:
        """Return the ctid of each row by table and key: it changes when the row is written again."""
        keys = {
            "rollup_hour": "site_id, hour",
            "rollup_day": "site_id, day",
            "region_day": "region_code, day, provider_id, technology",
            "region_month": "region_code, month, provider_id, technology",
        }
        return {
            (table, row.key): row.location
            for table, key in keys.items()
            for row in await self.execute(f"SELECT concat_ws('|', {key}) AS key, ctid::text AS location FROM {table}")
        }


async def measured_since(sessions: Sessions, cast: Cast, *, days: int) -> MeasuredSites:
    measured = MeasuredSites(sessions, cast, days=days)
    await measured.reset_watermarks()
    return measured


@pytest.fixture
async def measured(sessions: Sessions, cast: Cast) -> MeasuredSites:
    return await measured_since(sessions, cast, days=3)


@pytest.fixture
async def measured_since_yesterday(sessions: Sessions, cast: Cast) -> MeasuredSites:
    """Of which fewer hours are rolled up: for what happens within one."""
    return await measured_since(sessions, cast, days=1)
