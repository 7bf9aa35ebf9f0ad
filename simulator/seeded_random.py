"""Repeatable random numbers: the same seed and name draw the same numbers, in any order, in any process."""

import hashlib

_MASK = (1 << 64) - 1
_STRIDE = 0x9E3779B97F4A7C15


def key(seed: int, name: str) -> int:
    """Return 64 bits that belong to this seed and name."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest())


def mix(start: int, index: int = 0) -> int:
    """Return the `index`-th 64 bits drawn from a key (splitmix64: fast, and any slice of the bits is random)."""
    value = (start + _STRIDE * (index + 1)) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def share(bits: int) -> float:
    """Return 64 bits as a number in [0, 1)."""
    return (bits >> 11) / (1 << 53)
