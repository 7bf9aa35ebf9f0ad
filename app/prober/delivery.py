"""Delivers what was read, each block until the server acknowledges or refuses it, and a beat with it or alone."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from app.core.clock import from_slot
from app.prober.errors import BodyRefused, BodyTooLarge, ServerUnreachable
from app.prober.outbox import MOST_BLOCKS, BlockOutbox
from app.prober.rounds import ProbeRounds
from app.prober.server_client import ServerAnswer, ServerClient, compress
from app.prober.spooled_block import SpooledBlock
from app.prober.timekeeping import Timekeeper

log = structlog.get_logger()

PROTOCOL = 1
FUTURE_S = 60.0
HELD_S = 3600.0  # a block that the server takes offence at although it is alone
ACK_KEEP_S, LONGEST_ACK_KEEP_S = 900.0, 86_400.0
MOST_OFFSET_S = 2_000_000  # of a clock that is told; beyond it all are the same nonsense


@dataclass
class BlockDelivery:
    """`boot` names this process; what an earlier one spooled is delivered under its own."""

    client: ServerClient
    time: Timekeeper
    outbox: BlockOutbox
    rounds: ProbeRounds
    boot: str
    version: str
    newest_assignment: int | None = None  # as the server told last
    _database: str | None = None
    _ack_keep_s: float = ACK_KEEP_S
    _most_blocks: int = MOST_BLOCKS

    async def load(self) -> None:
        if database := await self.outbox.spool.read(lambda spool: spool.note("database")):
            self._database = database.decode()

    async def exchange(self) -> bool:
        """Deliver the oldest that waits, or say that we are here. Return whether more waits."""
        now = self.time.clock.now()
        batch = await self.outbox.next(now, most_blocks=self._most_blocks)
        if batch:
            await self._deliver(batch)
        else:
            await self._take(await self.client.post("/beat", orjson.dumps(await self._beat())))
        await self.outbox.prune(now, acked_s=self._ack_keep_s)
        return bool(batch) and bool(await self.outbox.next(now, most_blocks=1))

    async def _deliver(self, batch: Sequence[SpooledBlock]) -> None:
        head = {
            "protocol": PROTOCOL,
            "instance": self.boot,
            "boot": batch[0].boot,
            "sent_at": _moment(self.time.clock.now()),
            "beat": await self._beat(),
        }
        body, damaged = await asyncio.to_thread(_body_of, head, batch)
        if damaged:
            await self._drop(damaged, "damaged on the disk")
        try:
            answer = await self.client.post("/readings", body, is_compressed=True)
        except (BodyTooLarge, BodyRefused) as error:
            await self._send_less(batch, error)
            return
        self._most_blocks = min(self._most_blocks * 2, MOST_BLOCKS)
        await self._take(answer)
        await self._settle(batch, answer.document or {})

    async def _take(self, answer: ServerAnswer) -> None:
        """Follow the server's time, the version of our assignment, and which database it writes to."""
        document = answer.document or {}
        await self.time.observe(answer)
        if isinstance(newest := document.get("assignment"), int):
            self.newest_assignment = newest
        if isinstance(keep_s := document.get("ack_keep_s"), int | float):
            self._ack_keep_s = min(max(float(keep_s), 0.0), LONGEST_ACK_KEEP_S)
        if isinstance(database := document.get("database"), str) and database != self._database:
            await self._follow_database(database)

    async def _follow_database(self, database: str) -> None:
        """After a failover send again what was acknowledged of late: the database before may have kept it to itself."""
        if self._database is not None:
            blocks = await self.outbox.send_again(self.time.clock.now() - self._ack_keep_s)
            log.warning("database_replaced", blocks_sent_again=blocks)
        self._database = database
        await self.outbox.spool.write(lambda spool: spool.put_note("database", database.encode()))

    async def _settle(self, batch: Sequence[SpooledBlock], document: dict[str, Any]) -> None:
        """Raises ServerUnreachable: the answer is about none of these blocks, and would be so forever."""
        sent, refused = {block.seq: block for block in batch}, list[int]()
        for rejected in _objects(document.get("rejected")):
            if (block := sent.pop(rejected.get("seq", -1), None)) is not None:
                refused += await self._refuse(block, rejected)
        told = {*_numbers(document.get("accepted")), *_numbers(document.get("duplicates"))}
        acked = [seq for seq in sent if seq in told]
        if not acked and len(sent) == len(batch):
            raise ServerUnreachable("an answer that names none of the blocks that were sent")
        self.rounds.figures.delivered_readings += sum(sent[seq].readings for seq in acked)
        await self.outbox.settle(batch[0].boot, acked=acked, refused=refused, now=self.time.clock.now())

    async def _refuse(self, block: SpooledBlock, rejected: dict[str, Any]) -> list[int]:
        """Return what is dropped. What one server finds to be of the future, by its own clock, soon is of the past."""
        why = {name: rejected.get(name) for name in ("code", "message")}
        log.error("block_rejected", boot=block.boot, seq=block.seq, readings=block.readings, **why)
        if why["code"] == "clock" and not block.is_unsure:
            await self.outbox.hold(block, self.time.clock.now() + FUTURE_S)
            return []
        self.outbox.lost += block.readings
        self.rounds.figures.rejected_readings += block.readings
        return [block.seq]

    async def _send_less(self, batch: Sequence[SpooledBlock], error: Exception) -> None:
        """Send half as many next time; hold back a block that is refused although it is alone. None is dropped here."""
        if len(batch) > 1:
            self._most_blocks = max(1, len(batch) // 2)
            return
        block = batch[0]
        log.error("block_held_back", boot=block.boot, seq=block.seq, readings=block.readings, error=str(error))
        await self.outbox.hold(block, self.time.clock.now() + HELD_S)

    async def _drop(self, blocks: Sequence[SpooledBlock], why: str) -> None:
        for block in blocks:
            log.error("block_lost", boot=block.boot, seq=block.seq, readings=block.readings, why=why)
            self.outbox.lost += block.readings
        seqs = [block.seq for block in blocks]
        await self.outbox.settle(blocks[0].boot, acked=(), refused=seqs, now=self.time.clock.now())

    async def _beat(self) -> dict[str, Any]:
        await self.outbox.refresh_state()
        clock, outbox, state = self.time.clock, self.outbox, self.outbox.state
        self.rounds.count()
        self.outbox.count(self.rounds.figures)
        return {
            "protocol": PROTOCOL,
            "version": self.version,
            "instance": self.boot,
            "started_at": _moment(self.time.started_at or clock.now()),
            "sent_at": _moment(clock.now()),
            "clock_offset_ms": round(max(min(-clock.offset_s, MOST_OFFSET_S), -MOST_OFFSET_S) * 1000),
            "blind_since": self.rounds.blind_since,
            "spool": {
                "readings": state.readings,
                "oldest_at": None if state.oldest is None else from_slot(state.oldest).isoformat(),
                "bytes": state.bytes,
                "lost": outbox.lost,
            },
            "figures": self.rounds.figures.as_dict(),
        }


def _body_of(head: dict[str, Any], batch: Sequence[SpooledBlock]) -> tuple[bytes, list[SpooledBlock]]:
    """Return a compressed delivery, and the blocks that the disk has changed, which are not in it."""
    members, damaged = list[bytes](), list[SpooledBlock]()
    for block in batch:
        try:
            members.append(block.as_json())
        except ValueError:
            damaged.append(block)
    return compress(orjson.dumps(head)[:-1] + b',"blocks":[' + b",".join(members) + b"]}"), damaged


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _numbers(values: object) -> list[int]:
    return [value for value in values if isinstance(value, int)] if isinstance(values, list) else []


def _objects(values: object) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
