"""A block of readings as the spool keeps it, and as it is delivered. Pure."""

from dataclasses import dataclass, replace

from probes import reading_wire

COLUMNS = "boot, seq, readings, oldest, newest, is_unsure, shift_s, body"


@dataclass(frozen=True, slots=True)
class SpooledBlock:
    """`is_unsure`: read by a clock that no answer had verified; `shift_s`: by how much that was found off later."""

    boot: str
    seq: int
    readings: int
    oldest: int  # slot
    newest: int
    is_unsure: bool
    shift_s: int
    body: bytes

    def as_json(self) -> bytes:
        """Return the block as a member of a delivery. Raises ValueError: the disk changed it."""
        text = reading_wire.inflate(self.body)
        if self.shift_s:
            readings, addressed_at = reading_wire.decode(self.body)
            text = reading_wire.encode_json(replace(readings, slot=readings.slot + self.shift_s), addressed_at)
        return b'{"seq":%d,' % self.seq + text[1:]


@dataclass(frozen=True, slots=True)
class SpoolState:
    blocks: int = 0
    readings: int = 0
    oldest: int | None = None  # slot
    bytes: int = 0


def pack(boot: str, seq: int, wire: reading_wire.WireBlock, *, is_unsure: bool) -> SpooledBlock:
    readings, addressed_at = wire
    slots = readings.slot
    body = reading_wire.encode(readings, addressed_at)
    return SpooledBlock(boot, seq, len(readings), int(slots.min()), int(slots.max()), is_unsure, 0, body)
