"""Packs the readings of one site and source into bytes, and back: exactly, or not at all. Pure.

A pack is a codec byte, a CRC32, and a deflated body: a header, the columns, and the reasons as a JSON list. Of each
column the offsets from its minimum are stored, the lowest byte of all first, then the next, as many bytes as the widest
needs: none where all are the same. The CRC covers whose readings they are, so that a pack is nobody else's.
"""

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from probes.reading_block import ReadingBlock, rtt_matrix

CODEC = 1  # of what is written; whatever was ever written is read
LEVEL, RAW_DEFLATE = 6, -15  # tried: 1 and 9 differ by less than a hundredth in size and time
PREFIX_BYTES = 5
MOST_BYTES = 64 * 2**20  # of a body; a day of readings every second takes a fortieth

# `step`: seconds since the slot before; `rtt_us`: the answered packets of all readings, one after the other.
PACKED = ("step", "outcome", "sent", "received", "valid_s", "reason", "rtt_us")
WIDEST = 4  # bytes of an offset
HEADER = np.dtype(
    [
        ("readings", "<u4"),
        ("rtts", "<u4"),
        ("slot", "<i8"),  # the first
        ("low", "<i4", len(PACKED)),
        ("bytes", "u1", len(PACKED)),
    ]
)

Ints = NDArray[Any]


class CorruptPack(Exception):
    """These bytes are not what was packed, or not of this site and source."""


class Pack(NamedTuple):
    """`source`: index into SOURCES."""

    key: int
    source: int
    data: bytes


def pack(block: ReadingBlock) -> bytes:
    """Return the readings of one site and source, at least one, as bytes; their order is kept."""
    return pack_groups(block, np.zeros(1, np.int64))[0].data


def unpack(key: int, source: int, data: bytes) -> ReadingBlock:
    """Raises CorruptPack."""
    block, corrupt = unpack_many([Pack(key, source, data)])
    if corrupt:
        raise CorruptPack
    return block


def pack_groups(block: ReadingBlock, firsts: Ints) -> list[Pack]:
    """Return a pack of each group of neighbouring rows, all of one site and source; `firsts`: their first rows."""
    counts = np.diff(firsts, append=len(block))
    rtt_ends = np.concatenate(([0], np.cumsum(block.received, dtype=np.int64)))
    rtt_firsts = rtt_ends[firsts]
    rtt_counts = np.diff(rtt_firsts, append=rtt_ends[-1])
    reason, reasons = _reasons_by_group(block, firsts, counts)
    headers = np.zeros(len(firsts), HEADER)
    headers["readings"], headers["rtts"], headers["slot"] = counts, rtt_counts, block.slot[firsts]
    columns = {
        "step": _steps(block.slot, firsts),
        "reason": reason,
        "rtt_us": block.rtt_us[np.arange(block.rtt_us.shape[1]) < block.received[:, None]],
    }
    planes: list[list[bytes]] = [[] for _ in firsts]
    for n, name in enumerate(PACKED):
        values = columns[name] if name in columns else getattr(block, name)
        where = (rtt_firsts, rtt_counts) if name == "rtt_us" else (firsts, counts)
        headers["low"][:, n], headers["bytes"][:, n] = _write_column(values, *where, planes)
    written, size = headers.tobytes(), HEADER.itemsize
    return [
        Pack(key, source, _seal(key, source, b"".join((written[n * size : (n + 1) * size], *planes[n], reasons[n]))))
        for n, (key, source) in enumerate(zip(block.key[firsts].tolist(), block.source[firsts].tolist(), strict=True))
    ]


def unpack_many(packs: Sequence[Pack]) -> tuple[ReadingBlock, list[int]]:
    """Return the readings of all packs, one after the other, and the indices of those that are corrupt."""
    opened, bodies, corrupt = list[Pack](), list[bytes](), list[int]()
    for n, pack in enumerate(packs):
        try:
            bodies.append(_open(pack))
            opened.append(pack)
        except CorruptPack:
            corrupt.append(n)
    if not bodies:
        return ReadingBlock.of(()), corrupt
    headers = np.frombuffer(b"".join([body[: HEADER.itemsize] for body in bodies]), HEADER)
    columns, ends = _read_columns(headers, bodies)
    counts = headers["readings"].astype(np.int64)
    firsts = np.cumsum(counts) - counts
    texts = [body[end:] for body, end in zip(bodies, ends, strict=True)]
    reason, reasons = _merged_reasons(columns["reason"], counts, texts)
    received = columns["received"].astype(np.int16)
    block = ReadingBlock(
        key=np.repeat(np.array([pack.key for pack in opened], np.int32), counts),
        slot=_slots(columns["step"], headers["slot"], firsts, counts),
        outcome=columns["outcome"].astype(np.int8),
        sent=columns["sent"].astype(np.int16),
        received=received,
        rtt_us=rtt_matrix(received, columns["rtt_us"].astype(np.int32)),
        valid_s=columns["valid_s"].astype(np.int32),
        source=np.repeat(np.array([pack.source for pack in opened], np.int8), counts),
        reason=reason,
        reasons=reasons,
    )
    return block, corrupt


def is_intact(pack: Pack) -> bool:
    """Return whether its bytes are what was packed for its site and source."""
    try:
        _open(pack)
    except CorruptPack:
        return False
    return True


def _seal(key: int, source: int, body: bytes) -> bytes:
    deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, RAW_DEFLATE)
    sealed = deflate.compress(body) + deflate.flush()
    return bytes((CODEC,)) + _crc(key, source, CODEC, sealed).to_bytes(4, "little") + sealed


def _open(pack: Pack) -> bytes:
    """Return the body. Raises CorruptPack."""
    data = pack.data
    if len(data) < PREFIX_BYTES or data[0] != CODEC:
        raise CorruptPack
    sealed = data[PREFIX_BYTES:]
    if _crc(pack.key, pack.source, CODEC, sealed) != int.from_bytes(data[1:PREFIX_BYTES], "little"):
        raise CorruptPack
    return zlib.decompressobj(RAW_DEFLATE).decompress(sealed, MOST_BYTES)


def _crc(key: int, source: int, codec: int, sealed: bytes) -> int:
    return zlib.crc32(sealed, zlib.crc32(b"%d %d %d" % (codec, key, source)))


def _write_column(values: Ints, firsts: Ints, counts: Ints, planes: list[list[bytes]]) -> tuple[Ints, Ints]:
    """Append the column's bytes to each group's `planes`; return each group's minimum and bytes a value."""
    lows, highs = (_reduced(by, values, firsts, counts) for by in (np.minimum, np.maximum))
    spans = highs - lows
    sizes = sum((spans >= 2 ** (8 * n) for n in range(WIDEST)), np.zeros(len(firsts), np.int64))
    offsets = (values - np.repeat(lows, counts)).astype("<u4").view(np.uint8).reshape(-1, WIDEST)
    bounds = list(zip(firsts.tolist(), (firsts + counts).tolist(), sizes.tolist(), strict=True))
    for n in range(int(sizes.max(initial=0))):
        plane = offsets[:, n].tobytes()
        for of_group, (first, end, size) in zip(planes, bounds, strict=True):
            if n < size:
                of_group.append(plane[first:end])
    return lows, sizes


def _reduced(by: np.ufunc, values: Ints, firsts: Ints, counts: Ints) -> Ints:
    """Return the minima or maxima of groups, 0 for an empty one."""
    reduced = np.zeros(len(firsts), np.int64)
    filled = counts > 0
    if filled.any():
        reduced[filled] = by.reduceat(values, firsts[filled])
    return reduced


def _read_columns(headers: Ints, bodies: Sequence[bytes]) -> tuple[dict[str, Ints], list[int]]:
    """Return the columns of all bodies, and where in each body they end."""
    ends, columns = [HEADER.itemsize] * len(bodies), {}
    for n, name in enumerate(PACKED):
        counts = headers["rtts" if name == "rtt_us" else "readings"].astype(np.int64)
        values = np.repeat(headers["low"][:, n].astype(np.int64), counts)
        sizes = headers["bytes"][:, n]
        for plane in range(int(sizes.max(initial=0))):
            parts = []
            for row, (count, size) in enumerate(zip(counts.tolist(), sizes.tolist(), strict=True)):
                start = ends[row]
                if plane < size:
                    parts.append(bodies[row][start : start + count])
                    ends[row] = start + count
                else:
                    parts.append(bytes(count))
            values += np.frombuffer(b"".join(parts), np.uint8).astype(np.int64) << (8 * plane)
        columns[name] = values
    return columns, ends


def _steps(slots: Ints, firsts: Ints) -> Ints:
    """Return how far each slot is from the one before; of a group's first as far as the second, so as not to widen."""
    steps = np.diff(slots, prepend=slots[:1])
    following = np.minimum(firsts + 1, len(slots) - 1)
    is_first = np.zeros(len(slots) + 1, bool)
    is_first[firsts] = True
    steps[firsts] = np.where(is_first[following], 0, steps[following])
    return steps


def _slots(steps: Ints, firsts_slots: Ints, firsts: Ints, counts: Ints) -> Ints:
    passed = np.cumsum(steps)
    filled = counts > 0
    shifts: Ints = np.repeat(firsts_slots[filled] - passed[firsts[filled]], counts[filled])
    return passed + shifts


def _reasons_by_group(block: ReadingBlock, firsts: Ints, counts: Ints) -> tuple[Ints, list[bytes]]:
    """Return each row's reason as an index into its group's own, 0 for none, and each group's reasons as JSON."""
    reason, texts = np.zeros(len(block), np.int64), [b""] * len(firsts)
    none = np.array([text is None for text in block.reasons])[block.reason]
    for group in np.unique(np.repeat(np.arange(len(firsts)), counts)[~none]).tolist():
        rows = slice(firsts[group], firsts[group] + counts[group])
        given = ~none[rows]
        codes, inverse = np.unique(block.reason[rows][given], return_inverse=True)
        reason[rows][given] = inverse + 1
        texts[group] = orjson.dumps([block.reasons[code] for code in codes])
    return reason, texts


def _merged_reasons(local: Ints, counts: Ints, texts: Sequence[bytes]) -> tuple[Ints, tuple[str | None, ...]]:
    """Return `reason` and `reasons` of a block, from indices into each pack's own reasons."""
    known: dict[str | None, int] = {None: 0}
    table, offsets = [0], []
    for text in texts:
        offsets.append(len(table) - 1 if text else 0)
        if text:
            table += [known.setdefault(reason, len(known)) for reason in orjson.loads(text)]
    rows = np.where(local > 0, local + np.repeat(np.array(offsets, np.int64), counts), 0)
    return np.array(table, np.int32)[rows], tuple(known)
