"""Blocks of readings on their way from a prober to the server: columns of JSON, and deflated bytes where they wait.

    {"v": 1, "key": [7, 9], "slot": [1795910400, 1795910401], "outcome": [0, 1], "sent": [3, 3], "received": [3, 0],
     "valid_s": [60, 60], "addressed_at": [1795000000000000, 1795000000000000], "rtt_us": [21300, 20900, 21100],
     "reason": [0, 0], "reasons": [null]}

`outcome` is an index into OUTCOMES, `rtt_us` the answers of all rows one after the other, `addressed_at` microseconds.
From where it was read a block does not say: that is its prober's. What comes in is checked: ValueError names a column.
"""

import zlib
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from probes.contract import CENTRAL
from probes.reading_block import FAULT, OK, SOURCE_CODES, TIMEOUT, ReadingBlock, rtt_matrix

VERSION = 1
MOST_READINGS = 20_000  # of a block
MOST_BYTES = 16 * 2**20  # of its JSON; a full one of five packets a reading takes a seventh
MOST_PACKETS = 100  # of a reading
LONGEST_REASON = 200
LEVEL = 1  # of deflate: 6 takes twice as long for a tenth less
BY_SLOT = np.iinfo(np.int64).min  # in `addressed_at`: the reading's slot decides

Ints = NDArray[Any]
WireBlock = tuple[ReadingBlock, NDArray[np.int64]]  # with `addressed_at`


@dataclass(frozen=True, slots=True)
class WireColumn:
    type: type[np.signedinteger[Any]]
    least: int
    most: int


COLUMNS = {
    "key": WireColumn(np.int32, 1, 2**31 - 1),
    "slot": WireColumn(np.int64, 0, 2**33),
    "outcome": WireColumn(np.int8, OK, FAULT),
    "sent": WireColumn(np.int16, 0, MOST_PACKETS),
    "received": WireColumn(np.int16, 0, MOST_PACKETS),
    "valid_s": WireColumn(np.int32, 1, 2**15 - 1),
    "addressed_at": WireColumn(np.int64, 0, 2**53),
    "reason": WireColumn(np.int32, 0, MOST_READINGS),
}
RTT = WireColumn(np.int32, 0, 600_000_000)


def encode(readings: ReadingBlock, addressed_at: NDArray[np.int64]) -> bytes:
    """Return at most MOST_READINGS readings as deflated JSON."""
    return deflate(encode_json(readings, addressed_at))


def deflate(document: bytes) -> bytes:
    """Return the JSON of a block as `decode` takes it."""
    return zlib.compress(document, LEVEL)


def encode_json(readings: ReadingBlock, addressed_at: NDArray[np.int64]) -> bytes:
    if len(readings) > MOST_READINGS:
        raise ValueError(f"a block holds at most {MOST_READINGS} readings")
    answered = np.arange(readings.rtt_us.shape[1]) < readings.received[:, None]
    columns = {name: getattr(readings, name) for name in COLUMNS if name != "addressed_at"}
    texts = [None if reason is None else _clean(reason) for reason in readings.reasons]
    document = {
        "v": VERSION,
        **{name: np.ascontiguousarray(column) for name, column in columns.items()},
        "addressed_at": np.ascontiguousarray(addressed_at),
        "rtt_us": np.ascontiguousarray(np.minimum(readings.rtt_us[answered], RTT.most)),
        **_reasons_in_use(readings.reason, texts),
    }
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def decode(packed: bytes, *, source: str = CENTRAL) -> WireBlock:
    """Return what `encode` made bytes of, as readings of this source. Raises ValueError."""
    return read_columns(decode_json(packed), source=source)


def decode_json(packed: bytes) -> Any:
    """Return the JSON document of a deflated block; what does not end within MOST_BYTES is refused."""
    inflated = inflate(packed)
    try:
        return orjson.loads(inflated)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the block is no JSON: {error}") from None


def inflate(packed: bytes) -> bytes:
    """Return the JSON text of a deflated block. Raises ValueError."""
    try:
        reader = zlib.decompressobj()
        inflated = reader.decompress(packed, MOST_BYTES)
    except zlib.error as error:
        raise ValueError(f"the block is not deflated: {error}") from None
    if not reader.eof or reader.unused_data:
        raise ValueError(f"the block is cut off, or longer than {MOST_BYTES} bytes")
    return inflated


def read_columns(document: object, *, source: str = CENTRAL) -> WireBlock:
    """Return the readings of a block's columns; other members of it are passed over. Raises ValueError."""
    if not isinstance(document, Mapping):
        raise ValueError("a block is an object of columns")
    if document.get("v") != VERSION:
        raise ValueError(f"v: only version {VERSION} of a block is read here")
    columns = {name: _read(document, name, column) for name, column in COLUMNS.items()}
    rows = len(columns["key"])
    if rows > MOST_READINGS:
        raise ValueError(f"key: at most {MOST_READINGS} readings a block")
    for name, values in columns.items():
        if len(values) != rows:
            raise ValueError(f"{name}: {len(values)} values for {rows} readings")
    reasons = _read_reasons(document.get("reasons"), columns["reason"])
    rtt_us = _read(document, "rtt_us", RTT)
    _check_rows(columns, reasons, len(rtt_us))
    addressed_at = columns.pop("addressed_at")
    block = ReadingBlock(
        **columns,
        rtt_us=rtt_matrix(columns["received"], rtt_us),
        source=np.full(rows, SOURCE_CODES[source], np.int8),
        reasons=reasons,
    )
    return block, addressed_at


def _read(document: Mapping[Any, Any], name: str, column: WireColumn) -> Ints:
    values = document.get(name)
    if not isinstance(values, list):
        raise ValueError(f"{name}: missing, or no list")
    if len(values) > MOST_READINGS * MOST_PACKETS:
        raise ValueError(f"{name}: too many values")
    try:
        numbers = np.frombuffer(array("q", values), np.int64)  # numpy would make room for the longest text in each row
    except (TypeError, OverflowError):
        raise ValueError(f"{name}: only whole numbers") from None
    outside = (numbers < column.least) | (numbers > column.most)
    if name == "addressed_at":
        outside &= numbers != BY_SLOT
    if outside.any():
        row = int(outside.argmax())
        raise ValueError(f"{name}: {numbers[row]} in row {row} is not from {column.least} to {column.most}")
    return numbers.astype(column.type)


def _read_reasons(reasons: object, codes: Ints) -> tuple[str | None, ...]:
    if not isinstance(reasons, list) or not reasons or len(reasons) > MOST_READINGS + 1:
        raise ValueError(f"reasons: a list of 1 to {MOST_READINGS + 1}")
    for text in reasons:
        if text is not None and not (isinstance(text, str) and len(text) <= LONGEST_REASON and text.isprintable()):
            raise ValueError(f"reasons: null, or printable text of at most {LONGEST_REASON} characters")
    if codes.max(initial=0) >= len(reasons):
        raise ValueError("reason: an index beyond the end of reasons")
    return tuple(reasons)


def _check_rows(columns: Mapping[str, Ints], reasons: tuple[str | None, ...], rtts: int) -> None:
    """What no prober of ours writes, and what judgement relies on."""
    outcome, sent, received = columns["outcome"], columns["sent"], columns["received"]
    unexplained = np.array([text is None for text in reasons])[columns["reason"]]
    checks = {
        "received: more answers than packets": received > sent,
        "received: a lost look has no answers": (outcome == TIMEOUT) & (received > 0),
        "sent: a lost look has sent something": (outcome == TIMEOUT) & (sent == 0),
        "received: a look that succeeded has answers, or a reason": (outcome == OK) & (received == 0) & unexplained,
    }
    for text, rows in checks.items():
        if rows.any():
            raise ValueError(f"{text} (row {int(rows.argmax())})")
    if received.sum(dtype=np.int64) != rtts:
        raise ValueError(f"rtt_us: {rtts} values for {received.sum(dtype=np.int64)} answers")


def _reasons_in_use(codes: Ints, texts: list[str | None]) -> dict[str, Any]:
    """Return the columns `reason` and `reasons` with the texts in use alone: a slice carries its whole block's."""
    used, numbered = np.unique(codes, return_inverse=True)
    reasons = [texts[code] for code in used.tolist()] or [None]
    return {"reason": np.ascontiguousarray(numbered.astype(np.int32)), "reasons": reasons}


def _clean(reason: str) -> str:
    return "".join(character if character.isprintable() else " " for character in reason[:LONGEST_REASON])
