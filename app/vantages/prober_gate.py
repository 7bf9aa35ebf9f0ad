"""What a process keeps for all probers: tokens that it knows, rate limits, and how much waits to be judged."""

import asyncio
import time
from collections.abc import Callable

from cachetools import TTLCache
from sqlalchemy import select, text

from app.core.errors import NotSignedIn, Unavailable
from app.judging.shard_map import ShardMap
from app.postgres.engine import Sessions, transaction
from app.settings import LimitsSettings
from app.vantages import inbox
from app.vantages.intake import UNKNOWN_TOKEN
from app.vantages.models import RegisteredProber
from app.vantages.prober_limits import ProberLimits

KNOWN_S, MOST_KNOWN = 60.0, 1_000  # a token that ended is refused where its row is locked, whatever is known here
WAITING_S = 5.0  # what waits is counted so often at most
MOST_WAITING = 20_000_000  # readings in the inbox: beyond it they are safer in the probers' spools
MOST_OF_ONE = 10_000_000  # of one prober's: with its token nobody keeps the others from being heard
AT_ONCE = 2  # deliveries that are unpacked at the same time

HEARD = text("UPDATE prober SET seen_at = clock_timestamp() WHERE digest = :digest AND revoked_at IS NULL")


class InboxFull(Unavailable):
    type, title = "too-busy-judging", "Too many readings wait to be judged; keep them, and send them again shortly"


class ProberGate:
    def __init__(self, sessions: Callable[[], Sessions], limits: LimitsSettings) -> None:
        self._sessions = sessions
        self.limits = ProberLimits(limits)
        self.unpacking = asyncio.Semaphore(AT_ONCE)
        self.shards = ShardMap()
        self._known: TTLCache[bytes, bool] = TTLCache(MOST_KNOWN, KNOWN_S)
        self._waiting: dict[bytes | None, int] = {}  # readings, by the digest of their prober's token
        self._counted_at = float("-inf")

    async def require_known(self, digest: bytes, address: str | None) -> None:
        """Raises NotSignedIn before anything of a stranger's request is read; TooManyRequests."""
        if digest not in self._known:
            with self.limits.charging_network(address):
                await self._look_up(digest)
        self.limits.charge_request(digest)

    async def _look_up(self, digest: bytes) -> None:
        valid = RegisteredProber.digest == digest, RegisteredProber.revoked_at.is_(None)
        async with transaction(self._sessions()) as session:
            if await session.scalar(select(RegisteredProber.id).where(*valid)) is None:
                raise NotSignedIn(UNKNOWN_TOKEN)
        self._known[digest] = True

    def forget(self, digest: bytes) -> None:
        self._known.pop(digest, None)

    async def require_room(self, digest: bytes) -> None:
        """Raises InboxFull; the prober is heard all the same, and keeps its sites."""
        if time.monotonic() - self._counted_at >= WAITING_S:
            self._counted_at = time.monotonic()
            async with transaction(self._sessions()) as session:
                self._waiting = await inbox.count_waiting(session)
        if sum(self._waiting.values()) > MOST_WAITING or self._waiting.get(digest, 0) > MOST_OF_ONE:
            async with transaction(self._sessions()) as session:
                await session.execute(HEARD, {"digest": digest})
            raise InboxFull
