"""What waits for delivery: in the spool, or in memory while the disk takes nothing. A thread does what blocks."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import structlog

from app.prober.figures import ProberFigures
from app.prober.spool import MOST_BYTES, Settled, Spool
from app.prober.spool_thread import SpoolThread
from app.prober.spooled_block import SpooledBlock, SpoolState, pack
from probes.reading_block import ReadingBlock
from probes.reading_wire import WireBlock

log = structlog.get_logger()

MOST_BLOCKS, MOST_READINGS = 20, 20_000  # a delivery
MANY_BLOCKS, GROWN_READINGS = 40, 2_000  # so many wait: the newest one grows up to so many readings
MOST_UNWRITTEN = 500_000  # readings in memory, about 20 bytes each


@dataclass
class BlockOutbox:
    spool: SpoolThread
    boot: str
    most_bytes: int = MOST_BYTES
    lost: int = 0  # readings that were dropped before they could be delivered
    resent: int = 0  # blocks
    state: SpoolState = field(default_factory=SpoolState)
    _seq: int = 0
    _offered: int = 0  # the newest block of ours that may have been sent: it does not change any more
    _newest: WireBlock | None = None
    _newest_is_unsure: bool = False
    _order: asyncio.Lock = field(default_factory=asyncio.Lock)  # a block that grows is not offered meanwhile
    _settled: Settled = field(default_factory=dict)  # on the disk they still wait
    _unwritten: deque[SpooledBlock] = field(default_factory=deque)

    async def open(self) -> None:
        """Open the spool; without any, blocks wait in memory."""
        await self.spool.write(lambda spool: None)

    async def close(self) -> None:
        async with self._order:  # after what is being added
            await self.spool.close()

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
        seq = self._seq
        block = await self.spool.call(lambda: pack(self.boot, seq, wire, is_unsure=is_unsure))
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
            self._note_dropped(
                await self.spool.write(lambda spool: spool.drop_oldest(), shrinks=True) or 0, "the disk is full"
            )
        blocks = list(self._unwritten)
        if blocks and await self.spool.write(lambda spool: spool.append(blocks)) is not None:
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
            settled = set(self._settled)  # what the disk does not know of yet
            question = partial(Spool.waiting, now=now, blocks=most_blocks, readings=MOST_READINGS, passed=settled)
            grown = {(self.boot, block.seq): block for block in self._unwritten}  # on the disk one may be smaller yet
            waiting = [grown.get((block.boot, block.seq), block) for block in await self.spool.read(question) or ()]
            batch = waiting or list(self._unwritten)[:most_blocks]
            self._offered = max([self._offered, *(block.seq for block in batch if block.boot == self.boot)])
        return batch

    async def settle(self, boot: str, *, acked: Sequence[int], refused: Sequence[int], now: float) -> None:
        """Mark blocks as delivered, and drop what the server will never take: neither is offered again."""
        settled: Settled = {**{(boot, seq): now for seq in acked}, **{(boot, seq): None for seq in refused}}
        self._settled |= settled
        if boot == self.boot:
            self._unwritten = deque(block for block in self._unwritten if (boot, block.seq) not in settled)
        await self._write_settled()

    async def _write_settled(self) -> None:
        settled = dict(self._settled)
        if settled and await self.spool.write(lambda spool: spool.settle(settled), shrinks=True) is not None:
            self._settled = {block: at for block, at in self._settled.items() if block not in settled}

    async def hold(self, block: SpooledBlock, until: float) -> None:
        """Keep it back for a while; one that is only in memory is dropped."""
        await self.spool.write(lambda spool: spool.hold(block.boot, block.seq, until))
        kept = deque(other for other in self._unwritten if other.seq != block.seq or block.boot != self.boot)
        self.lost += block.readings if len(kept) < len(self._unwritten) else 0
        self._unwritten = kept

    async def send_again(self, since: float) -> int:
        """Deliver once more what was acknowledged since then; return how many blocks that are."""
        blocks = await self.spool.write(lambda spool: spool.send_again(since)) or 0
        self._settled = {block: at for block, at in self._settled.items() if at is None or at < since}
        self.resent += blocks
        return blocks

    async def place(self, shift_s: int) -> int:
        """Move what was read by an unverified clock to where the server's has it; return how many blocks."""
        placed = await self.spool.write(lambda spool: spool.place(self.boot, shift_s)) or 0
        unsure = sum(block.is_unsure for block in self._unwritten)
        self._unwritten = deque(
            replace(block, is_unsure=False, shift_s=shift_s) if block.is_unsure else block for block in self._unwritten
        )
        return placed + unsure

    async def prune(self, now: float, *, acked_s: float) -> None:
        """Drop what is kept no longer, and count what of it was never delivered."""
        await self._write_settled()
        await self.write_unwritten()
        pruning = partial(Spool.prune, now=now, acked_s=acked_s, most_bytes=self.most_bytes)
        lost = await self.spool.write(pruning, shrinks=True)
        self._note_dropped(lost or 0, "older than a week, or beyond the limit of the spool")

    async def refresh_state(self) -> None:
        spooled = await self.spool.read(lambda spool: spool.state()) or SpoolState()
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
        figures.spool_durable, figures.spools_damaged = int(self.spool.is_durable), self.spool.damaged
