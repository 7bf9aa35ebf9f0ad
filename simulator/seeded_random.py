"""Repeatable chance: the same seed and thing always draw the same number, in any order, in any process."""

import hashlib

_MASK = (1 << 64) - 1
_STRIDE = 0x9E3779B97F4A7C15


def key(seed: int, thing: str) -> int:
    """64 bits that belong to this seed and thing."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{thing}".encode(), digest_size=8).digest())


def mix(own: int, turn: int = 0) -> int:
    """The `turn`-th 64 bits drawn by a key (splitmix64: quick, and any slice of the bits is good)."""
    value = (own + _STRIDE * (turn + 1)) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def share(bits: int) -> float:
    """64 bits as a number in [0, 1)."""
    return (bits >> 11) / (1 << 53)
