"""The conversation with the server: what to look at, what was read, and how soon again after it failed."""

import asyncio
import random
from dataclasses import dataclass, field

import structlog

from app.prober.assigned import AssignedSites
from app.prober.delivery import BlockDelivery
from app.prober.errors import ProberEnds, RefusedForGood, ServerUnreachable, TokenRefused

log = structlog.get_logger()

EVERY_S = 5.0
LONGEST_PAUSE_S = 30.0  # as long as a lease holds
REFUSED_EVERY_S, REFUSED_FOR_GOOD_S = 60.0, 86_400.0


@dataclass
class ServerLoop:
    assigned: AssignedSites
    delivery: BlockDelivery
    failures: int = 0  # in a row
    _refused_since: float | None = None  # by the even clock
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Deliver at once, unless the server is known not to answer."""
        if not self.failures:
            self._news.set()

    async def run(self) -> None:
        """Raises ProberEnds."""
        while True:
            await self._wait(await self.attempt())

    async def attempt(self) -> float:
        """Return after how many seconds to try again. Raises ProberEnds."""
        figures = self.delivery.rounds.figures
        try:
            await self._exchange()
        except TokenRefused as error:
            figures.failed_deliveries += 1
            return self._note_refusal(error)
        except ServerUnreachable as error:
            figures.failed_deliveries += 1
            return self._note_failure(error)
        except ProberEnds:
            raise
        except Exception as error:  # of ours: probing goes on whatever this is
            log.error("exchange_failed", error=repr(error), exc_info=error)
            self.failures += 1
            return LONGEST_PAUSE_S
        figures.deliveries += 1
        if self.failures:
            log.info("server_answers", failures=self.failures)
        self.failures, self._refused_since = 0, None
        return EVERY_S

    async def _exchange(self) -> None:
        """Deliver until nothing waits, and ask for the assignment where it may have changed."""
        if not self.delivery.time.clock.is_verified:
            await self.assigned.update()
        while await self.delivery.exchange():
            await self._update_assignment()
        await self._update_assignment()

    async def _update_assignment(self) -> None:
        self.assigned.newest = self.delivery.newest_assignment
        await self.assigned.update()

    def _note_refusal(self, error: TokenRefused) -> float:
        """The new token may be on its way here, or this one be refused by mistake: what is read is kept."""
        now = self.delivery.time.clock.even()
        if self._refused_since is None:
            self._refused_since = now
            log.error("token_refused", error=str(error), why="probing goes on, and what is read is kept")
        self.failures += 1
        if now - self._refused_since > REFUSED_FOR_GOOD_S:
            raise RefusedForGood(str(error)) from error
        return REFUSED_EVERY_S

    def _note_failure(self, error: ServerUnreachable) -> float:
        """Wait twice as long each time, and never all probers at the same moment."""
        if not self.failures:
            log.warning("server_unreachable", error=str(error), why="probing goes on, and what is read is kept")
        self.failures += 1
        pause_s = min(2.0 ** min(self.failures - 1, 10), LONGEST_PAUSE_S)
        return max(pause_s * random.uniform(0.7, 1.0), error.retry_after_s)

    async def _wait(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()
