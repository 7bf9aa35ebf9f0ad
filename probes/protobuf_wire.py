"""Reads protobuf's wire format without a schema: fields by their numbers, bounded. Pure."""

import struct
from collections.abc import Sequence

MAX_FIELDS = 2_000
MAX_VARINT_BYTES = 10
VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5  # wire types; groups (3 and 4) are no longer in use

Value = int | bytes
Message = dict[int, list[Value]]


class Malformed(Exception):
    """No protobuf message."""


def read_message(data: bytes) -> Message:
    """Return all values of each field: of varints the number, of others the bytes. Raises Malformed."""
    fields: Message = {}
    position = count = 0
    while position < len(data):
        key, position = _varint(data, position)
        count += 1
        number, wire_type = key >> 3, key & 7
        if number == 0 or count > MAX_FIELDS:
            raise Malformed("too many fields, or a field without a number")
        value: Value
        if wire_type == VARINT:
            value, position = _varint(data, position)
        else:
            length, position = _length(data, position, wire_type)
            value = data[position : position + length]
            position += length
        fields.setdefault(number, []).append(value)
    return fields


def _length(data: bytes, position: int, wire_type: int) -> tuple[int, int]:
    if wire_type == BYTES:
        length, position = _varint(data, position)
    elif wire_type in {FIXED_32, FIXED_64}:
        length = 4 if wire_type == FIXED_32 else 8
    else:
        raise Malformed(f"wire type {wire_type}")
    if position + length > len(data):
        raise Malformed("a field reaches beyond the end")
    return length, position


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(MAX_VARINT_BYTES):
        if position >= len(data):
            raise Malformed("a number reaches beyond the end")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value & 2**64 - 1, position
    raise Malformed("a number without an end")


def number_in(message: Message, field: int) -> int | None:
    """Return the last varint of a field, as protobuf takes it; None without one."""
    return next((value for value in reversed(message.get(field, ())) if isinstance(value, int)), None)


def float_in(message: Message, field: int) -> float | None:
    packed = next((value for value in reversed(message.get(field, ())) if isinstance(value, bytes)), None)
    if packed is None or len(packed) != 4:
        return None
    return float(struct.unpack("<f", packed)[0])


def message_in(message: Message, field: int) -> Message | None:
    """Return a message within; None without one. Raises Malformed."""
    packed = next((value for value in reversed(message.get(field, ())) if isinstance(value, bytes)), None)
    return None if packed is None else read_message(packed)


def text_in(message: Message, field: int) -> str:
    packed = next((value for value in reversed(message.get(field, ())) if isinstance(value, bytes)), b"")
    return packed.decode("utf-8", "replace")


def true_fields(message: Message, names: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(name for field, name in names if number_in(message, field))
