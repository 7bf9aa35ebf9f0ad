"""Follows the server's time by its answers, and moves what was read by a clock that was off."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

import structlog

from app.core.clock import parse_moment
from app.prober.errors import ServerUnreachable
from app.prober.outbox import BlockOutbox
from app.prober.rounds import ProbeRounds
from app.prober.server_client import ServerAnswer
from app.prober.server_clock import ServerClock

log = structlog.get_logger()

TOLD_S = 1.0  # this machine's clock is off by more


@dataclass
class Timekeeper:
    clock: ServerClock
    outbox: BlockOutbox
    rounds: ProbeRounds
    started_even_s: float  # when this process began, by the even clock
    started_at: float | None = None  # the same by the server's clock, once it is known
    _noted_s: float | None = None
    _is_told: bool = False

    async def load(self) -> bool:
        """Start from this machine's clock, as far off as it was last. Return whether that is known.

        A clock that shows less than was read by it before was set back, or lost: it is not believed.
        """
        noted = await self.outbox.spool.read(lambda spool: (spool.note("clock_offset_s"), spool.newest_slot()))
        if self.clock.is_set or noted is None or noted[0] is None:
            return self.clock.is_set
        offset_s, newest_slot = float(noted[0]), noted[1]
        if self.clock.wall() - offset_s < newest_slot:
            log.error(
                "clock_set_back", seconds=round(newest_slot - self.clock.wall() + offset_s), why="nothing is probed"
            )
            return False
        self.clock.assume(offset_s)
        log.warning("clock_unverified", why="the server does not answer; what is read is placed in time once it does")
        return True

    async def observe(self, answer: ServerAnswer) -> None:
        """Raises ServerUnreachable: an answer without a time is none of this server's."""
        server_time = (answer.document or {}).get("server_time")
        try:
            moment = parse_moment(server_time) if isinstance(server_time, str) else None
        except ValueError:
            moment = None
        if moment is None:
            raise ServerUnreachable("an answer without server_time: is this the server's address?")
        await self._observe(moment, answer)

    async def _observe(self, moment: datetime, answer: ServerAnswer) -> None:
        was_verified, was_set = self.clock.is_verified, self.clock.is_set
        step_s = self.clock.observe(moment.timestamp(), sent_s=answer.sent_s, received_s=answer.received_s)
        if not was_verified:
            self.started_at = self.clock.at(self.started_even_s)
            if was_set:
                await asyncio.shield(self.rounds.verified(step_s or 0.0))
        elif step_s is not None:
            self.rounds.stepped(step_s)
        await self._note_offset()

    async def _note_offset(self) -> None:
        offset_s = self.clock.offset_s
        if self._noted_s is None or abs(offset_s - self._noted_s) > 0.1:
            self._noted_s = offset_s
            await self.outbox.spool.write(lambda spool: spool.put_note("clock_offset_s", str(offset_s).encode()))
        if (is_off := abs(offset_s) > TOLD_S) != self._is_told:
            self._is_told = is_off
            if is_off:
                log.warning("clock_off", seconds=round(offset_s, 1), why="readings follow the server's clock")
