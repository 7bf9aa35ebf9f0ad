"""Password guessing limits: ever longer waits after failed sign-ins, by account and by client network.

A pair of account and network always counts. An account as a whole is limited only for networks from which it never
signed in, and a network only for accounts that never signed in from it: so nobody can lock an owner out of the place
where they work by guessing elsewhere.
"""

import hashlib
from dataclasses import dataclass
from math import ceil

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import TooManyAttempts

LONGEST_WAIT_S = 900


@dataclass(frozen=True, slots=True)
class FailureLimit:
    """After `free` failures waits of 1, 2, 4, … seconds; every `forgiven_s` without one takes one failure off."""

    subject: str
    free: int
    forgiven_s: int


def sign_in_limits(username: str, network: str, *, familiar: bool) -> list[FailureLimit]:
    """Return the limits that a sign-in counts against, in the order of locking; the pair is the last.

    Subjects are hashed: people sometimes type their password in the username field.
    """
    pair = FailureLimit(_digest("pair", username, network), free=5, forgiven_s=900)
    if familiar:
        return [pair]
    return [
        FailureLimit(_digest("place", network), free=30, forgiven_s=60),
        FailureLimit(_digest("account", username), free=20, forgiven_s=60),
        pair,
    ]


def code_guess_limit(purpose: str, network: str) -> FailureLimit:
    """For codes that need no account: wrong ones count by network."""
    return FailureLimit(_digest(purpose, network), free=20, forgiven_s=60)


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


async def charge(session: AsyncSession, limit: FailureLimit) -> int:
    """Count an attempt as failed before it is made, so that concurrent guesses cannot slip through; return the count.

    Raises TooManyAttempts during the wait for the last failure; nothing is counted then.
    """
    values = {"subject": limit.subject, "free": limit.free, "longest_s": LONGEST_WAIT_S}
    failures: int | None = await session.scalar(
        text(CHARGE.format(wait=WAIT)), values | {"forgiven_s": limit.forgiven_s}
    )
    if failures is None:
        left = await session.scalar(text(LEFT.format(wait=WAIT)), values)
        raise TooManyAttempts(max(1, ceil(left or 0)))
    return failures


async def require_free(session: AsyncSession, limit: FailureLimit) -> None:
    """Raises TooManyAttempts during the wait for the last failure; counts nothing."""
    values = {"subject": limit.subject, "free": limit.free, "longest_s": LONGEST_WAIT_S}
    left = await session.scalar(text(LEFT.format(wait=WAIT)), values)
    if left is not None and left > 0:
        raise TooManyAttempts(ceil(left))


async def refund(session: AsyncSession, charged: list[FailureLimit]) -> None:
    """Undo the charges of a successful attempt, and clear the failures of its account from its network."""
    for limit in charged[:-1]:
        await session.execute(
            text("UPDATE sign_in_failure SET failures = greatest(0, failures - 1) WHERE subject = :subject"),
            {"subject": limit.subject},
        )
    await session.execute(
        text("DELETE FROM sign_in_failure WHERE subject = :subject"), {"subject": charged[-1].subject}
    )


async def delete_old(session: AsyncSession) -> None:
    await session.execute(text("DELETE FROM sign_in_failure WHERE last_at < now() - interval '1 day'"))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
