"""Which device sends: by its token. Those who ask at the same time are looked up together, and remembered briefly."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import NamedTuple

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.agents import agent_tokens
from app.core.clock import to_slot
from app.core.errors import Conflict, NotSignedIn, Unavailable
from app.postgres.engine import Sessions, transaction
from app.profiles import profiles
from app.push.timestamps import Terms
from probes.contract import ProbeKind

log = structlog.get_logger()

TTL_S = 2.5  # so long a token that was revoked may still be taken
MOST = 50_000
BEAT_S = 15  # of our own beat
LOOK_UP = text("""
    SELECT t.digest, t.id AS token_id, t.site_id, t.used_at, s.lifecycle, s.probe, s.technology, s.addressed_at
    FROM device_token t LEFT JOIN site s ON s.id = t.site_id
    WHERE t.digest = ANY(cast(:digests AS bytea[])) AND t.revoked_at IS NULL
""")


class NotPushed(Conflict):
    type, title = "not-measured-by-agent", "This site is not measured by an agent: switch the agent off"


class Registered(NamedTuple):
    """`site_id` None: our own beat."""

    site_id: int | None
    terms: Terms
    probe: str
    token_id: int | None = None

    def require_pushed(self) -> None:
        """Raises NotPushed for a site that is over or measured in another way: its agent has nothing to do there."""
        if self.terms.lifecycle == "retired":
            raise NotPushed("The site is retired")
        if self.probe != ProbeKind.PUSH:
            raise NotPushed("The site is measured by {probe} now", values={"probe": self.probe})


OWN = Registered(None, Terms("active", 0, BEAT_S, BEAT_S), ProbeKind.PUSH)


class Devices:
    def __init__(self, sessions: Callable[[], Sessions]) -> None:
        self._sessions = sessions
        self._known: dict[bytes, tuple[float, Registered]] = {}
        self._asked: dict[bytes, asyncio.Future[Registered | None]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def get(self, digest: bytes) -> Registered:
        """Raises NotSignedIn, and Unavailable while nobody can be looked up."""
        until, known = self._known.get(digest, (0.0, None))
        if known is None or until < time.monotonic():
            known = await self._ask(digest)
        if known is None:
            raise NotSignedIn("This device's token is unknown or revoked: set its agent up anew")
        return known

    async def _ask(self, digest: bytes) -> Registered | None:
        future = self._asked.get(digest)
        if future is None:
            future = self._asked[digest] = asyncio.get_running_loop().create_future()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(future)

    async def _look(self) -> None:
        """All who ask while one look-up is under way share the next one."""
        while self._asked:
            asked, self._asked = self._asked, {}
            try:
                async with transaction(self._sessions()) as session:
                    found = await _look_up(session, list(asked))
            except Exception as error:
                log.warning("devices_not_looked_up", error=type(error).__name__)
                for future in asked.values():
                    future.set_exception(Unavailable())
                    future.exception()  # seen, whether or not anybody still waits for it
            else:
                self._remember(found)
                for digest, future in asked.items():
                    future.set_result(found.get(digest))
            finally:
                for future in asked.values():
                    future.cancel()  # those of a look-up that was cancelled

    def _remember(self, found: dict[bytes, Registered]) -> None:
        if len(self._known) > MOST:
            self._known.clear()
        until = time.monotonic() + TTL_S
        self._known.update({digest: (until, one) for digest, one in found.items()})

    def forget(self, digest: bytes) -> None:
        self._known.pop(digest, None)

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking


async def _look_up(session: AsyncSession, digests: list[bytes]) -> dict[bytes, Registered]:
    rows = (await session.execute(LOOK_UP, {"digests": digests})).all()
    if fresh := [row.digest for row in rows if row.used_at is None and row.site_id is not None]:
        await agent_tokens.come(session, fresh)
    rates = {name.value: (profile.beat_s, profile.send_every_s) for name, profile in profiles().items()}
    return {
        row.digest: OWN
        if row.site_id is None
        else Registered(
            row.site_id,
            Terms(row.lifecycle, to_slot(row.addressed_at), *rates[row.technology]),
            row.probe,
            row.token_id,
        )
        for row in rows
    }
