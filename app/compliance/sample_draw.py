"""Draw sites by a published seed: anybody can repeat it with sha256sum. Pure."""

from collections.abc import Iterable
from hashlib import sha256

from app.compliance.method import Method


def seed_of(method: Method, period: str, public_text: str) -> str:
    """Return the SHA-256, in hex, of three lines: the method's version, the period, and the public text."""
    return sha256("\n".join((method.version, period, public_text)).encode()).hexdigest()


def draw(seed: str, codes: Iterable[str], method: Method) -> list[str]:
    """Return the drawn codes, first drawn first: those with the least SHA-256 of `<seed> <code>`, in hex."""
    ordered = sorted(set(codes), key=lambda code: (sha256(f"{seed} {code}".encode()).hexdigest(), code))
    return ordered[: method.sample_size(len(ordered))]
