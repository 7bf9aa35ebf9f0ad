"""A month of speed tests in fast-forward: the clock is simulated, planning, admission and accounting are real."""

import asyncio
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import text

from app.core.clock import WITA, midnight
from app.postgres.engine import Sessions, transaction
from app.profiles import profiles
from app.throughput.budget import MB, UP_SLACK_BYTES, plan_month
from app.throughput.planner import list_speedtest_sites
from app.throughput.store import PullTest
from app.worker.speedtest_runner import OnBytes, SpeedtestRunner
from probes.throughput import SLACK_BYTES, DownloadResult

MONTH, NEXT = date(2027, 1, 1), date(2027, 2, 1)
TECHNOLOGIES = ("fiber", "radio", "cellular", "leo", "geo")
PUSH_BYTES = 5_500
DAY, EVERY = timedelta(days=1), timedelta(seconds=75)
DONE = {"done", "invalid", "failed"}

REGISTER = text("""
    INSERT INTO site (code, kind, village_code, name, host_static, technology, provider_id, link_role, probe, speed_url,
        speed_budget_mb, parent_id, lifecycle, addressed_at, version, created_at, updated_at)
    VALUES (:code, 'access_point', '64.02.05.2003', :code, false, :technology, :provider, 'primary', :probe, :url,
        :budget, :parent, 'active', :since, 1, :since, :since)
    RETURNING id
""")
SET_UP = text("""
    INSERT INTO site_configuration (site_id, started_at, lifecycle, technology, provider_id, parent_id, addressed_at,
        village_code)
    SELECT id, created_at, lifecycle, technology, provider_id, parent_id, addressed_at, village_code FROM site
    WHERE id = :id
""")
STATUS = text("""
    INSERT INTO site_status (site_id, version, state, since, evidence_at, valid_s, timeouts, addressed_at)
    VALUES (:id, 1, 'up', :since, :since, 40 * 86400, 0, :since)
""")
PUSHED = text("""
    WITH pushing AS (
        SELECT id, CASE technology WHEN 'fiber' THEN 60 WHEN 'radio' THEN 60 ELSE 300 END AS every_s FROM site
        WHERE probe = 'push' AND id = ANY(:ids)
    ), traffic AS (
        INSERT INTO push_traffic AS p (site_id, month, requests, bytes)
        SELECT id, :month, :passed / every_s, :passed / every_s * CASE WHEN id % 4 = 0 THEN 4 * :each ELSE :each END
        FROM pushing
        ON CONFLICT (site_id, month) DO UPDATE
            SET requests = p.requests + excluded.requests, bytes = p.bytes + excluded.bytes
    )
    INSERT INTO device (site_id, heard_at, told_s, boot, seq, accepted, duplicates, rejected)
    SELECT id, cast(:now AS timestamptz) - interval '50 seconds', 60, 'a', 1, 1, 0, 0 FROM pushing
    ON CONFLICT (site_id) DO UPDATE SET heard_at = excluded.heard_at
""")
SPENT = text("""
    SELECT t.site_id, sum(down_bytes + up_bytes + reserved_bytes) + coalesce(max(p.bytes), 0) AS spent
    FROM throughput_test t LEFT JOIN push_traffic p ON p.site_id = t.site_id AND p.month = t.month
    WHERE t.month = :month AND t.site_id = ANY(:ids) GROUP BY t.site_id
""")
TAKEN = text("""
    UPDATE throughput_test SET status = 'done', down_bytes = allowed_down_bytes + :slack, ended_at = :now,
        up_bytes = allowed_up_bytes + :up_slack, reserved_bytes = 0, down_began_at = :now, up_began_at = :now,
        expires_at = NULL
    WHERE status = 'running' AND mode = 'push' AND site_id = ANY(:ids) AND started_at < :before AND site_id % 7 <> 0
""")

OPEN = text("SELECT count(*) FROM throughput_test WHERE status IN ('waiting', 'running')")


@dataclass
class Month:
    sessions: Sessions
    providers: Sequence[int]
    seed: int = 1
    sites: dict[int, int] = field(default_factory=dict)  # monthly budgets in MB, by site id
    running: list[asyncio.Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.now, self.pushed_at = midnight(MONTH) - timedelta(seconds=1), midnight(MONTH)

    async def register(self, number_of: int, budgets_mb: Sequence[int | None]) -> None:
        since = midnight(MONTH) - timedelta(days=3)
        async with transaction(self.sessions) as session:
            parents: list[int] = []
            for number in range(number_of):
                technology, budget = TECHNOLOGIES[number % 5], budgets_mb[number // 2 % len(budgets_mb)]
                push = number % 3 == 0
                site_id = await session.scalar(
                    REGISTER,
                    {
                        "code": f"uji-{number}",
                        "technology": technology,
                        "probe": "push" if push else "icmp",
                        "provider": self.providers[number % len(self.providers)],
                        "budget": budget,
                        "since": since,
                        "url": None if push else "http://198.51.100.9/",
                        "parent": parents[0] if number % 4 == 3 else None,
                    },
                )
                parents.append(int(site_id or 0))
                for statement in (SET_UP, STATUS):
                    await session.execute(statement, {"id": site_id, "since": since})
                usual = profiles()[technology].speed_monthly_mb  # type: ignore[index]
                self.sites[parents[-1]] = usual if budget is None else budget
            await session.execute(text("UPDATE change_counter SET version = version + 1 WHERE name = 'registry'"))

    async def take_down(self, site_id: int) -> None:
        async with transaction(self.sessions) as session:
            await session.execute(text("UPDATE site_status SET state = 'down' WHERE site_id = :id"), {"id": site_id})

    async def run(self, order: PullTest, on_bytes: OnBytes) -> DownloadResult:
        """Run until the next step; cost the maximum or less, at random."""
        ended = asyncio.Event()
        self.running.append(ended)
        await ended.wait()
        size = order.max_bytes + SLACK_BYTES if self.chance.random() < 0.5 else self.chance.randrange(order.max_bytes)
        return (
            DownloadResult(mbps=20.0, bytes=size)
            if self.chance.random() < 0.9
            else DownloadResult(bytes=size, reason="stalled")
        )

    async def simulate(self, speed: SpeedtestRunner, *, restart_each: int = 0, every: timedelta = EVERY) -> None:
        """Simulate the month and a bit more, skipping time in which nothing is planned or waits.

        Every `restart_each` ticks the worker is killed and another one takes over.
        """
        await speed.start_due(self.now)
        moments = await self._moments()
        for ticks in count(1):
            open_tests = await self._agents(every)
            next_moment = next(
                (moment for moment in moments[bisect_right(moments, self.now) :]), midnight(NEXT) + 3 * DAY
            )
            if not open_tests and next_moment >= midnight(NEXT) + DAY:
                return
            self.now = self.now + every if open_tests else max(next_moment, self.now + every)
            await speed.start_due(self.now)
            if restart_each and ticks % restart_each == 0:
                speed = await self._replace_killed(speed)
            await self._end_runs(speed)

    async def _replace_killed(self, speed: SpeedtestRunner) -> SpeedtestRunner:
        """Kill the worker and return its successor."""
        for task in speed.running.values():
            task.cancel()
        await asyncio.gather(*speed.running.values(), return_exceptions=True)
        self.running.clear()
        return SpeedtestRunner(self.sessions, self.run)

    async def _moments(self) -> list[datetime]:
        async with transaction(self.sessions) as session:
            sites = await list_speedtest_sites(session, profiles())
        plans = [plan_month(site.allowance, month, site.id) for site in sites for month in (MONTH, NEXT)]
        return sorted(moment for plan in plans for moment in plan.moments)

    async def _agents(self, every: timedelta) -> int:
        """Push for all agents and complete granted tests, except for some agents. Return how many tests are open."""
        async with transaction(self.sessions) as session:
            month = (self.now - timedelta(seconds=1)).astimezone(WITA).date().replace(day=1)
            passed_s = int((self.now - self.pushed_at).total_seconds())
            if passed_s >= 300:
                self.pushed_at = self.now
                await session.execute(
                    PUSHED,
                    {
                        "ids": list(self.sites),
                        "now": self.now,
                        "month": month,
                        "passed": passed_s,
                        "each": PUSH_BYTES,
                    },
                )
            await session.execute(
                TAKEN,
                {
                    "ids": list(self.sites),
                    "now": self.now,
                    "slack": SLACK_BYTES,
                    "up_slack": UP_SLACK_BYTES,
                    "before": self.now - every / 2,
                },
            )
            return int(await session.scalar(OPEN) or 0)

    async def _end_runs(self, speed: SpeedtestRunner) -> None:
        """End all running downloads before the next step."""
        while tasks := list(speed.running.values()):
            await asyncio.sleep(0)
            for ended in self.running:
                ended.set()
            self.running.clear()
            await asyncio.wait(tasks)

    async def rows(self) -> list[Any]:
        async with transaction(self.sessions) as session:
            result = await session.execute(
                text("SELECT * FROM throughput_test WHERE site_id = ANY(:ids) AND month = :month"),
                {"ids": list(self.sites), "month": MONTH},
            )
            return list(result)

    async def spent_bytes(self) -> dict[int, int]:
        async with transaction(self.sessions) as session:
            result = await session.execute(SPENT, {"month": MONTH, "ids": list(self.sites)})
            return {row.site_id: int(row.spent) for row in result}

    async def planned(self) -> Counter[int]:
        async with transaction(self.sessions) as session:
            sites = await list_speedtest_sites(session, profiles())
        return Counter(
            {site.id: plan_month(site.allowance, MONTH, site.id).count for site in sites if site.id in self.sites}
        )

    def over_budget(self, spent: dict[int, int]) -> list[int]:
        return [site_id for site_id, size in spent.items() if size > self.sites[site_id] * MB]
