"""The job that runs speed tests: planned ones start, wait or are skipped; what has ended is settled."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from functools import partial

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.postgres.engine import Sessions, transaction
from app.postgres.work_signals import Work, WorkSignals
from app.profiles import profiles
from app.throughput import planner, settlement, store
from app.throughput.planned_tests import Plans
from app.throughput.store import PullTest
from app.worker.jobs import Job
from probes.policy import Forbidden
from probes.resolve import Unresolvable
from probes.sweep import Prober
from probes.throughput import DownloadLimits, DownloadResult, download
from probes.urls import host_of_url

log = structlog.get_logger()

EVERY_S = 5.0
LOOK_S = 30.0  # for what falls due, and what waits for its site; sooner once a test has ended
DRAIN_S = 2.0  # after the last byte that arrived a link still has full queues
REGISTRY = text("SELECT version FROM change_counter WHERE name = 'registry'")

OnBytes = Callable[[], None]
RunTest = Callable[[PullTest, OnBytes], Awaitable[DownloadResult]]


class SpeedtestRunner:
    """Plans, reservations and results are in the database: another worker goes on from there."""

    def __init__(self, sessions: Sessions, run: RunTest, *, signals: WorkSignals | None = None) -> None:
        self._sessions, self._run = sessions, run
        self._signals, self._look_at = signals or WorkSignals(), float("-inf")
        self._plans = Plans()
        self._registry_version = -1
        self.running: dict[int, asyncio.Task[None]] = {}  # by test
        self._loaded: dict[int, float] = {}  # by site, until when, on the monotonic clock

    def jobs(self) -> list[Job]:
        return [Job("speedtests", EVERY_S, self.start_signalled, delayed=True)]

    async def start_signalled(self) -> None:
        if self._signals.take(Work.SPEEDTESTS) or time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_S
            await self.start_due()

    async def start_due(self, now: datetime | None = None) -> None:
        now = now or utc_now()
        async with transaction(self._sessions) as session:
            await store.lock(session)
            await self._read_registry(session)
            await store.plan_due(session, self._plans, now)
            await settlement.end_overdue(session, now)
            orders = await store.start_waiting(session, self._plans.sites, now)
        for order in orders:
            self.running[order.test_id] = asyncio.create_task(self._measure(order))

    def sites_loaded_since(self, since: float) -> set[int]:
        """Return the sites whose links, or whose children's, a test of ours has filled at some time since.

        Only what arrives fills a link: a test that gets no answer excuses no loss. `since` is by the monotonic clock.
        """
        return {site_id for site_id, until in self._loaded.items() if until > since}

    def _load(self, order: PullTest) -> None:
        until = time.monotonic() + DRAIN_S
        self._loaded[order.site_id] = until
        if order.parent_id is not None:
            self._loaded[order.parent_id] = until

    async def stop(self) -> None:
        """End the tests that run: an orderly end has no time to wait for them."""
        running = dict(self.running)
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)
        if running:
            with suppress(Exception):  # the next worker gives them up once they are overdue
                async with transaction(self._sessions) as session:
                    await settlement.give_up(session, list(running), utc_now())

    async def _read_registry(self, session: AsyncSession) -> None:
        version = await session.scalar(REGISTRY)
        if version != self._registry_version:
            changed = await planner.list_changed_sites(session, profiles(), seen=self._registry_version)
            for site_id, site in changed.items():
                if site is None:
                    self._plans.remove(site_id)
                else:
                    self._plans.put(site)
            self._registry_version = version

    async def _measure(self, order: PullTest) -> None:
        try:
            result = await self._run(order, partial(self._load, order))
            async with transaction(self._sessions) as session:
                await settlement.settle_download(
                    session,
                    order.test_id,
                    mbps=result.mbps,
                    reason=result.reason,
                    size=result.bytes,
                    seconds=result.seconds,
                    rtt_idle_ms=result.rtt_idle_ms,
                    rtt_loaded_ms=result.rtt_loaded_ms,
                    now=utc_now(),
                )
        except Exception as error:  # its reservation stays, and is given up once it is overdue
            log.error("test_not_settled", site=order.site_id, error=repr(error), exc_info=error)
        finally:
            self.running.pop(order.test_id, None)
            self._signals.signal(Work.SPEEDTESTS)  # another may wait for its parent or provider


def download_by(prober: Prober) -> RunTest:
    """Return a function that downloads an order's URL, if the prober's policy allows its address."""

    async def run(order: PullTest, on_bytes: OnBytes) -> DownloadResult:
        host = host_of_url(order.url)
        if host is None:
            return DownloadResult(reason="bad_url")
        try:
            address = await prober.resolve_address(host)
            ping = await prober.resolve_address(order.host) if order.host else address
            limits = DownloadLimits(order.max_bytes, order.max_s)
            return await download(
                order.url, address, prober.client, limits, echo=prober.echo, ping=ping, on_bytes=on_bytes
            )
        except Forbidden:
            return DownloadResult(reason="forbidden")
        except Unresolvable:
            return DownloadResult(reason="unresolvable")
        except Exception as error:
            return DownloadResult(reason=f"unexpected: {type(error).__name__}")

    return run
