"""Speed tests in their turn: what was planned begins, waits or is left out; what began is settled."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.postgres.engine import Sessions, transaction
from app.profiles import profiles
from app.throughput import planner, settlement, store
from app.throughput.planner import Plans
from app.throughput.store import PullTest
from probes import http
from probes.policy import Forbidden
from probes.resolve import Unresolvable
from probes.sweep import Prober
from probes.throughput import DownloadLimits, DownloadResult, download

log = structlog.get_logger()

EVERY_S = 5.0
DRAINED_S = 2.0  # after a test: what still stands in queues
REGISTRY = text("SELECT version FROM change_counter WHERE name = 'registry'")

Run = Callable[[PullTest], Awaitable[DownloadResult]]


class Speed:
    """All that lasts is in the database: another worker goes on from there."""

    def __init__(self, sessions: Sessions, run: Run) -> None:
        self._sessions, self._run = sessions, run
        self._plans = Plans({})
        self._registry_seen: int | None = None
        self.running: dict[int, asyncio.Task[None]] = {}  # by test
        self._loaded: dict[int, float] = {}  # by site, until when, on the monotonic clock

    async def tick(self, now: datetime | None = None) -> None:
        now = now or utc_now()
        async with transaction(self._sessions) as session:
            await store.lock(session)
            await self._read_registry(session)
            await store.plan_due(session, self._plans, now)
            await settlement.end_overdue(session, now)
            orders = await store.start_waiting(session, self._plans.sites, now)
        for order in orders:
            self.running[order.test_id] = asyncio.create_task(self._measure(order))

    def loaded(self, since: float) -> set[int]:
        """Sites, and what they hang on, whose links a download of ours filled at some time since."""
        return {site_id for site_id, until in self._loaded.items() if until > since}

    def _load(self, order: PullTest, until: float) -> None:
        self._loaded[order.site_id] = until
        if order.parent_id is not None:
            self._loaded[order.parent_id] = until

    async def finish(self) -> None:
        """What runs is ended: nobody waits ten seconds for an orderly end."""
        running = dict(self.running)
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)
        if running:
            with suppress(Exception):  # who leads next gives them up once they are overdue
                async with transaction(self._sessions) as session:
                    await settlement.give_up(session, list(running), utc_now())

    async def _read_registry(self, session: AsyncSession) -> None:
        version = await session.scalar(REGISTRY)
        if version != self._registry_seen:
            self._plans = planner.plans_of(await planner.list_speedtest_sites(session, profiles()))
            self._registry_seen = version

    async def _measure(self, order: PullTest) -> None:
        try:
            self._load(order, math.inf)
            try:
                found = await self._run(order)
            finally:
                self._load(order, time.monotonic() + DRAINED_S)
            async with transaction(self._sessions) as session:
                await settlement.settle_download(
                    session,
                    order.test_id,
                    mbps=found.mbps,
                    reason=found.reason,
                    size=found.bytes,
                    seconds=found.seconds,
                    rtt_idle_ms=found.rtt_idle_ms,
                    rtt_loaded_ms=found.rtt_loaded_ms,
                    now=utc_now(),
                )
        except Exception as error:  # it stays reserved, and is given up in time
            log.error("test_not_settled", site=order.site_id, error=type(error).__name__)
        finally:
            self.running.pop(order.test_id, None)


def pulling(prober: Prober) -> Run:
    """Downloads from where the policy lets probes go."""

    async def run(order: PullTest) -> DownloadResult:
        host = http.host_of_url(order.url)
        if host is None:
            return DownloadResult(reason="bad_url")
        try:
            address = await prober.resolve_address(host)
            ping = await prober.resolve_address(order.host) if order.host else address
            limits = DownloadLimits(order.max_bytes, order.max_s)
            return await download(order.url, address, prober.client, limits, echo=prober.echo, ping=ping)
        except Forbidden:
            return DownloadResult(reason="forbidden")
        except Unresolvable:
            return DownloadResult(reason="unresolvable")
        except Exception as error:
            return DownloadResult(reason=f"unexpected: {type(error).__name__}")

    return run
