"""How often a password may be guessed: ever longer waits after failures, by account and by address.

Whoever guesses at an account from one place waits there. The account as a whole is slowed only for places from which
it never signed in, and an address only for accounts that never signed in from it: so nobody can keep an owner out of
the place where they work by guessing elsewhere.
"""

import hashlib
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import TooManyAttempts

LONGEST_WAIT_S = 900


@dataclass(frozen=True, slots=True)
class Limit:
    """After `free` failures waits of 1, 2, 4, … seconds; one failure is forgiven for every `forgiven_s` of quiet."""

    subject: str
    free: int
    forgiven_s: int


def limits(username: str, place: str, *, familiar: bool) -> list[Limit]:
    """What a try counts against, in the order of locking. Hashed: now and then a password is typed for a name."""
    pair = Limit(_digest("pair", username, place), free=5, forgiven_s=900)
    if familiar:
        return [pair]
    return [
        Limit(_digest("place", place), free=30, forgiven_s=60),
        Limit(_digest("account", username), free=20, forgiven_s=60),
        pair,
    ]


def code_guess_limit(what: str, place: str) -> Limit:
    """For codes that anybody may try: what is missed from one place counts, whoever sits there."""
    return Limit(_digest(what, place), free=20, forgiven_s=60)


def network_of(address: str | None) -> str:
    """Where a request comes from; whoever has an IPv6 address has its whole /64."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ip_network((int(found), 64), strict=False))
    return str(found)


CHARGE = """
INSERT INTO sign_in_failure AS f (subject, failures, last_at) VALUES (:subject, 1, clock_timestamp())
ON CONFLICT (subject) DO UPDATE SET
    failures = 1 + greatest(0, f.failures
        - floor(greatest(0, extract(epoch FROM clock_timestamp() - f.last_at)) / :forgiven_s)::integer),
    last_at = clock_timestamp()
WHERE clock_timestamp() >= f.last_at + {wait}
RETURNING failures
"""
WAIT = """
make_interval(secs => CASE WHEN f.failures < :free THEN 0
                           ELSE least(:longest_s, power(2, least(f.failures - :free, 20))) END)
"""
LEFT = (
    "SELECT extract(epoch FROM f.last_at + {wait} - clock_timestamp()) FROM sign_in_failure f WHERE subject = :subject"
)


async def charge(session: AsyncSession, limit: Limit) -> int:
    """Counts a try as failed before it is made, so that guesses at once cannot all slip through; the failures so far.

    Raises TooManyAttempts, with nothing counted, while the wait for the last one runs.
    """
    values = {"subject": limit.subject, "free": limit.free, "longest_s": LONGEST_WAIT_S}
    failures: int | None = await session.scalar(
        text(CHARGE.format(wait=WAIT)), values | {"forgiven_s": limit.forgiven_s}
    )
    if failures is None:
        left = await session.scalar(text(LEFT.format(wait=WAIT)), values)
        raise TooManyAttempts(max(1, ceil(left or 0)))
    return failures


async def require_free(session: AsyncSession, limit: Limit) -> None:
    """Raises TooManyAttempts while the wait for the last failure runs; nothing is counted."""
    values = {"subject": limit.subject, "free": limit.free, "longest_s": LONGEST_WAIT_S}
    left = await session.scalar(text(LEFT.format(wait=WAIT)), values)
    if left is not None and left > 0:
        raise TooManyAttempts(ceil(left))


async def refund(session: AsyncSession, charged: list[Limit]) -> None:
    """The try was right after all: it does not count, and nor does what the account failed at from there."""
    for limit in charged[:-1]:
        await session.execute(
            text("UPDATE sign_in_failure SET failures = greatest(0, failures - 1) WHERE subject = :subject"),
            {"subject": limit.subject},
        )
    await session.execute(
        text("DELETE FROM sign_in_failure WHERE subject = :subject"), {"subject": charged[-1].subject}
    )


async def forget_old(session: AsyncSession) -> None:
    await session.execute(text("DELETE FROM sign_in_failure WHERE last_at < now() - interval '1 day'"))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
