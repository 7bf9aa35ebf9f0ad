"""Parses deliveries of readings: whole, or with every block that cannot be used named. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from re import fullmatch
from typing import Any, Self

import numpy as np
import orjson

from app.core.errors import Fault, Invalid, TooLarge
from app.core.validation import MESSAGES, PATTERNS, PROCESS, FaultError, as_text, read_moment
from app.judging.addressed_block import AddressedBlock
from app.profiles import profiles
from app.vantages.beat import BeatIn, read_beat, require_protocol
from probes.reading_block import ReadingBlock
from probes.reading_wire import deflate, encode_json, read_columns

MAX_BYTES, MAX_SENT_BYTES = 16_000_000, 4_000_000  # of the JSON, and as it was sent
MAX_BLOCKS, MAX_READINGS = 50, 60_000
MAX_CONTAINERS = 2_000  # a block has a dozen columns; a body of nothing but brackets is refused before it is parsed
MAX_SEQ = 2**53
AHEAD_S = 5  # of our clock: its prober keeps its own to ours
OLDEST_S = 7 * 86_400

REJECTED = {  # what a code says; whoever gets it drops the block
    "malformed": "The block cannot be read: {why}",
    "empty": "The block holds no readings",
    "clock": "A reading lies {ahead_s} s in the future: the prober's clock is wrong",
    "too_old": "A reading is older than 7 days",
}


@dataclass(frozen=True, slots=True)
class DeliveredBlock:
    seq: int
    block: AddressedBlock
    checksum: int  # tells it from another one of the same seq
    packed: bytes  # as `probes.reading_wire.encode` does

    @classmethod
    def of(cls, seq: int, block: AddressedBlock) -> Self:
        document = encode_json(block.readings, block.addressed_at)
        checksum = int.from_bytes(blake2b(document, digest_size=8).digest(), signed=True)
        return cls(seq, block, checksum, deflate(document))


@dataclass(frozen=True, slots=True)
class RejectedBlock:
    seq: int
    code: str
    values: Mapping[str, Any]
    readings: int


@dataclass(frozen=True, slots=True)
class ProberDelivery:
    instance: str
    boot: str
    beat: BeatIn | None
    blocks: list[DeliveredBlock] = field(default_factory=list)
    rejected: list[RejectedBlock] = field(default_factory=list)

    @property
    def readings(self) -> int:
        """Readings of the blocks that can be used."""
        return sum(len(block.block) for block in self.blocks)


def load(body: bytes) -> dict[str, Any]:
    """Return the object that a body holds. Raises Invalid."""
    if body.count(b"[") + body.count(b"{") > MAX_CONTAINERS:
        raise Invalid(Fault("body", "too_many_values", MESSAGES["too_many_values"]))
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid(Fault("body", "json_invalid", MESSAGES["json_invalid"], values={"error": error.msg})) from None
    if not isinstance(document, dict):
        raise Invalid(Fault("body", "model_type", MESSAGES["model_type"]))
    return document


def parse(document: dict[str, Any], now_s: float) -> ProberDelivery:
    """Return what a body delivers at `now_s`.

    Raises Invalid for what concerns the whole of it, TooLarge, ProtocolTooOld. A block at fault is listed as rejected.
    """
    require_protocol(document.get("protocol"))
    blocks = document.get("blocks")
    if not isinstance(blocks, list):
        raise Invalid(Fault("blocks", "list_type", MESSAGES["list_type"], values={"given": as_text(blocks)}))
    if len(blocks) > MAX_BLOCKS or sum(map(_count, blocks)) > MAX_READINGS:
        raise TooLarge(
            "At most {blocks} blocks with {readings} readings in all: split the delivery",
            values={"blocks": MAX_BLOCKS, "readings": MAX_READINGS},
        )
    _require_moment(document.get("sent_at"), "sent_at")
    beat = document.get("beat")
    delivery = ProberDelivery(
        _identity(document, "instance"),
        _identity(document, "boot"),
        None if beat is None else read_beat(beat, field="beat"),
    )
    _require_distinct(sequence := [_seq(block, row) for row, block in enumerate(blocks)])
    for seq, block in zip(sequence, blocks, strict=True):
        _take(delivery, seq, block, now_s)
    return delivery


def _take(delivery: ProberDelivery, seq: int, document: Mapping[str, Any], now_s: float) -> None:
    try:
        readings, addressed_at = read_columns(document)
    except ValueError as error:
        rejected = RejectedBlock(seq, "malformed", {"why": str(error)[:200]}, _count(document))
    else:
        slots = readings.slot
        if not len(slots):
            rejected = RejectedBlock(seq, "empty", {}, 0)
        elif (ahead_s := int(slots.max() - now_s)) > AHEAD_S:
            rejected = RejectedBlock(seq, "clock", {"ahead_s": ahead_s}, len(slots))
        elif slots.min() < now_s - OLDEST_S:
            rejected = RejectedBlock(seq, "too_old", {}, len(slots))
        else:
            delivery.blocks.append(DeliveredBlock.of(seq, AddressedBlock(_bounded(readings), addressed_at)))
            return
    delivery.rejected.append(rejected)


def _bounded(readings: ReadingBlock) -> ReadingBlock:
    """No look is valid for longer than the longest interval in use, whatever its prober says: nothing is up by that."""
    longest_s = max(profile.interval_s for profile in profiles().values())
    return replace(readings, valid_s=np.minimum(readings.valid_s, longest_s))


def _count(block: Any) -> int:
    """Return how many readings a block says it has, 0 for one that cannot be read."""
    keys = block.get("key") if isinstance(block, dict) else None
    return len(keys) if isinstance(keys, list) else 0


def _seq(block: Any, row: int) -> int:
    seq = block.get("seq") if isinstance(block, dict) else None
    if type(seq) is not int or not 0 <= seq <= MAX_SEQ:
        given = as_text(seq)
        raise Invalid(Fault("blocks.seq", "int_type", MESSAGES["int_type"], row=row, values={"given": given}))
    return seq


def _require_distinct(sequence: list[int]) -> None:
    if len(set(sequence)) != len(sequence):
        raise Invalid(Fault("blocks.seq", "seq_twice", "A sequence number stands twice in one delivery"))


def _require_moment(given: Any, name: str) -> None:
    """Raises Invalid for what is neither null nor a moment."""
    if given is None:
        return
    try:
        read_moment(name, given)
    except FaultError as error:
        raise Invalid(error.fault) from None


def _identity(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not fullmatch(PROCESS, value):
        values = {"given": as_text(value)}
        raise Invalid(Fault(name, "string_pattern_mismatch", PATTERNS[PROCESS], values=values))
    return value
