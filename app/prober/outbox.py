"""What waits for delivery: in the spool, or in memory while the disk takes nothing. A thread does what blocks."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import structlog

from app.core.clock import utc_now
from app.prober import spool as spools
from app.prober import spool_damage
from app.prober.figures import ProberFigures
from app.prober.spool import Spool, SpooledBlock, SpoolState
from probes.reading_block import ReadingBlock
from probes.reading_wire import WireBlock

log = structlog.get_logger()

MOST_BLOCKS, MOST_READINGS = 20, 20_000  # a delivery
MANY_BLOCKS, GROWN_READINGS = 40, 2_000  # so many wait: the newest one grows up to so many readings
MOST_UNWRITTEN = 500_000  # readings in memory, about 20 bytes each

T = TypeVar("T")


@dataclass
class BlockOutbox:
    path: Path
    boot: str
    most_bytes: int = spools.MOST_BYTES
    lost: int = 0  # readings that were dropped before they could be delivered
    resent: int = 0  # blocks
    damaged: int = 0  # spools that were set aside
    state: SpoolState = field(default_factory=SpoolState)
    is_durable: bool = True  # what is read now is on the disk before it is delivered
    _seq: int = 0
    _offered: int = 0  # the newest block of ours that may have been sent: it does not change any more
    _newest: WireBlock | None = None
    _newest_is_unsure: bool = False
    _order: asyncio.Lock = field(default_factory=asyncio.Lock)  # a block that grows is not offered meanwhile
    _spool: Spool | None = None
    _unwritten: deque[SpooledBlock] = field(default_factory=deque)
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "spool"))

    async def open(self) -> None:
        """Open the spool; without any, blocks wait in memory."""
        await self._run(lambda spool: None)

    async def close(self) -> None:
        async with self._order:  # after what is being added
            await self._close_spool()

    async def _close_spool(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=True)

    async def add(self, wire: WireBlock, *, is_unsure: bool) -> None:
        """Return once it is on the disk; if the disk does not take it, it is kept in memory.

        While many blocks wait, the newest one grows: what was kept for a week is delivered in a few requests.
        """
        async with self._order:
            await self._add(wire, is_unsure=is_unsure)

    async def _add(self, wire: WireBlock, *, is_unsure: bool) -> None:
        grown = self._grown(wire, is_unsure=is_unsure)
        if grown is None:
            self._seq += 1
        wire = self._newest = grown or wire
        self._newest_is_unsure = is_unsure
        loop, seq = asyncio.get_running_loop(), self._seq
        packing = loop.run_in_executor(self._thread, lambda: spools.pack(self.boot, seq, wire, is_unsure=is_unsure))
        block = await packing
        self._unwritten = deque(other for other in self._unwritten if other.seq != seq)
        self._unwritten.append(block)
        await self.write_unwritten()

    def _grown(self, wire: WireBlock, *, is_unsure: bool) -> WireBlock | None:
        """Return the newest block with this one added; None where it stands as it is."""
        newest = self._newest
        if newest is None or self._seq <= self._offered or self.state.blocks <= MANY_BLOCKS:
            return None
        if len(newest[0]) + len(wire[0]) > GROWN_READINGS or is_unsure != self._newest_is_unsure:
            return None
        return ReadingBlock.concat([newest[0], wire[0]]), np.concatenate([newest[1], wire[1]])

    async def write_unwritten(self) -> None:
        """Write what the disk did not take so far."""
        if sum(block.readings for block in self._unwritten) > MOST_UNWRITTEN:
            self._note_dropped(await self._run(lambda spool: spool.drop_oldest()) or 0, "the disk is full")
        blocks = list(self._unwritten)
        if blocks and await self._run(lambda spool: _append(spool, blocks)) is not None:
            written = {block.seq for block in blocks}
            self._unwritten = deque(block for block in self._unwritten if block.seq not in written)
        self.state = replace(self.state, blocks=self.state.blocks + len(blocks))
        while sum(block.readings for block in self._unwritten) > MOST_UNWRITTEN:
            self._note_dropped(self._unwritten.popleft().readings, "the disk takes nothing, and memory is full")

    def _note_dropped(self, readings: int, why: str) -> None:
        if readings:
            self.lost += readings
            log.error("spool_dropped", readings=readings, why=why)

    async def next(self, now: float, *, most_blocks: int = MOST_BLOCKS) -> Sequence[SpooledBlock]:
        """Return the oldest blocks that wait, all of one boot."""
        async with self._order:
            waiting = await self._run(lambda spool: spool.waiting(blocks=most_blocks, readings=MOST_READINGS, now=now))
            batch = waiting or list(self._unwritten)[:most_blocks]
            self._offered = max([self._offered, *(block.seq for block in batch if block.boot == self.boot)])
        return batch

    async def settle(self, boot: str, *, acked: Sequence[int], refused: Sequence[int], now: float) -> None:
        """Mark blocks as delivered, and drop what the server will never take."""
        gone = {*acked, *refused}
        await self._run(lambda spool: spool.settle(boot, acked=acked, refused=refused, now=now))
        if boot == self.boot:
            self._unwritten = deque(block for block in self._unwritten if block.seq not in gone)

    async def hold(self, block: SpooledBlock, until: float) -> None:
        """Keep it back for a while; one that is only in memory is dropped."""
        await self._run(lambda spool: spool.hold(block.boot, block.seq, until))
        kept = deque(other for other in self._unwritten if other.seq != block.seq or block.boot != self.boot)
        self.lost += block.readings if len(kept) < len(self._unwritten) else 0
        self._unwritten = kept

    async def send_again(self, since: float) -> int:
        """Deliver once more what was acknowledged since then; return how many blocks that are."""
        blocks = await self._run(lambda spool: spool.send_again(since)) or 0
        self.resent += blocks
        return blocks

    async def place(self, shift_s: int) -> int:
        """Move what was read by an unverified clock to where the server's has it; return how many blocks."""
        placed = await self._run(lambda spool: spool.place(self.boot, shift_s)) or 0
        unsure = sum(block.is_unsure for block in self._unwritten)
        self._unwritten = deque(
            replace(block, is_unsure=False, shift_s=shift_s) if block.is_unsure else block for block in self._unwritten
        )
        return placed + unsure

    async def prune(self, now: float, *, acked_s: float) -> None:
        """Drop what is kept no longer, and count what of it was never delivered."""
        await self.write_unwritten()
        lost = await self._run(lambda spool: spool.prune(now, acked_s=acked_s, most_bytes=self.most_bytes))
        self._note_dropped(lost or 0, "older than a week, or beyond the limit of the spool")

    async def read(self, question: Callable[[Spool], T]) -> T | None:
        """Return what the spool answers; None if there is none, or it fails."""
        return await self._run(question)

    async def refresh_state(self) -> None:
        spooled = await self._run(lambda spool: spool.state()) or SpoolState()
        unwritten = self._unwritten
        oldest = min((block.oldest for block in unwritten), default=spooled.oldest)
        self.state = SpoolState(
            spooled.blocks + len(unwritten),
            spooled.readings + sum(block.readings for block in unwritten),
            oldest if spooled.oldest is None or oldest is None else min(oldest, spooled.oldest),
            spooled.bytes + sum(len(block.body) for block in unwritten),
        )

    def count(self, figures: ProberFigures) -> None:
        figures.spool_readings, figures.spool_bytes = self.state.readings, self.state.bytes
        figures.spool_lost, figures.resent_blocks = self.lost, self.resent
        figures.spool_durable, figures.spools_damaged = int(self.is_durable), self.damaged

    async def _run(self, work: Callable[[Spool], T]) -> T | None:
        """Return what `work` does in the spool's thread; None if it could not be done, which is told once."""
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._thread, self._attempt, work)
        except (sqlite3.Error, OSError) as error:
            if self.is_durable:
                log.error("spool_failed", path=str(self.path), error=str(error), why="readings wait in memory")
            self.is_durable = False
            return None
        if not self.is_durable:
            log.info("spool_works_again", path=str(self.path))
        self.is_durable = True
        return result

    def _attempt(self, work: Callable[[Spool], T]) -> T:
        """In the thread. Raises sqlite3.Error or OSError, of a spool that may work again later."""
        try:
            return work(self._opened())
        except (sqlite3.Error, OSError) as error:
            if spool_damage.is_full(error) and self._opened().drop_acknowledged():
                return work(self._opened())
            self._close()
            if not spool_damage.is_damage(error):
                raise
            self._replace(error)
            return work(self._opened())

    def _replace(self, error: Exception) -> None:
        """Set a damaged spool aside, and begin another one with what can still be read of it."""
        self.damaged += 1
        aside = spool_damage.set_aside(self.path, utc_now().strftime("%Y%m%dT%H%M%S%f"))
        saved = spool_damage.salvage(aside, self._opened())
        log.error("spool_damaged", set_aside=str(aside), error=str(error), blocks_saved=saved)

    def _close(self) -> None:
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def _opened(self) -> Spool:
        if self._spool is None:
            self._spool = Spool.open(self.path)
        return self._spool


def _append(spool: Spool, blocks: Sequence[SpooledBlock]) -> bool:
    spool.append(blocks)
    return True
