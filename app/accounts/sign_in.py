"""Signing in and changing one's own password: no connection is held while a password is hashed or verified.

1. `_attempt` counts the attempt as failed, in a transaction of its own, then verifies the password outside of any.
2. `_confirm` takes the charge back in the transaction that opens the session.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit, login_throttle, passwords
from app.access import sessions as console_sessions
from app.access.login_throttle import FailureLimit
from app.access.models import Account, SignIn
from app.access.scope import Caller
from app.accounts.store import set_password
from app.core.clock import utc_now
from app.core.errors import Fault, Invalid, WrongPassword
from app.core.networks import limit_key
from app.postgres.engine import Sessions, transaction


@dataclass(frozen=True, slots=True)
class OpenedSession:
    sign_in: SignIn
    account: Account
    secret: str


@dataclass(frozen=True, slots=True)
class _Attempt:
    account: Account | None  # None: unknown username, or disabled
    charged: list[FailureLimit]
    succeeded: bool
    new_hash: str | None  # where the stored one has outdated parameters


async def sign_in(
    sessions: Sessions, username: str, password: str, *, address: str | None, ttl: timedelta, previous: str | None
) -> OpenedSession:
    """Open a session, and end the one with the secret `previous`. Raises WrongPassword, TooManyAttempts."""
    attempt = await _attempt(sessions, username, password, address=address)
    async with transaction(sessions) as session:
        account = await _confirm(session, attempt)
        if previous is not None:
            await console_sessions.end(session, previous)
        account.last_signed_in_at = utc_now()
        opened = await _open(session, account, address=address, ttl=ttl)
        await audit.record(
            session, _as_caller(account, address), "sign_in", "account", account.id, region_code=account.region_code
        )
    return opened


async def change_password(
    sessions: Sessions, caller: Caller, current: str, new: str, *, ttl: timedelta
) -> OpenedSession:
    """End all sessions of the account and open a new one. Raises Invalid, TooManyAttempts."""
    attempt = await _attempt(sessions, caller.name, current, address=caller.address)
    if not attempt.succeeded or attempt.account is None:
        raise Invalid(
            Fault(
                "current_password",
                "wrong_password",
                "This is not your current password",
                "An admin can reset a forgotten one",
            )
        )
    personal_words = attempt.account.username, attempt.account.name
    fault = await passwords.check(new, field="new_password", personal_words=personal_words)
    if fault is None and new == current:
        fault = Fault("new_password", "same_password", "This is your current password", "Choose another one")
    new_hash = None if fault else await passwords.hashed(new)
    async with transaction(sessions) as session:
        account = await _confirm(session, attempt)
        if new_hash is not None:
            set_password(account, new_hash, must_change=False)
            await console_sessions.end_all(session, account.id)
            opened = await _open(session, account, address=caller.address, ttl=ttl)
            await audit.record(
                session, caller, "change_password", "account", account.id, region_code=account.region_code
            )
    if fault is not None:
        raise Invalid(fault)
    return opened


async def _attempt(sessions: Sessions, username: str, password: str, *, address: str | None) -> _Attempt:
    """Count the attempt as failed first: that stays even when the response is an error. Raises TooManySignIns."""
    with passwords.sign_ins.counted():
        return await _attempt_counted(sessions, username, password, address=address)


async def _attempt_counted(sessions: Sessions, username: str, password: str, *, address: str | None) -> _Attempt:
    network = limit_key(address)
    async with transaction(sessions) as session:
        account = await session.scalar(
            select(Account).where(Account.username == username, Account.disabled_at.is_(None))
        )
        familiar = account is not None and await console_sessions.is_familiar(session, account.id, network)
        charged = login_throttle.sign_in_limits(username, network, familiar=familiar)
        failures = [await login_throttle.charge(session, limit) for limit in charged]
        if account is not None and failures[-1] == charged[-1].free:
            await _record_guessing(session, account, failures[-1], address)
    matches, new_hash = await passwords.verify(password, account.password_hash if account else None)
    return _Attempt(account, charged, matches, new_hash)


async def _confirm(session: AsyncSession, attempt: _Attempt) -> Account:
    """Lock the account of a successful attempt and take its charge back.

    Raises WrongPassword, also when the account was disabled or its password changed since the attempt.
    """
    if attempt.account is None or not attempt.succeeded:
        raise WrongPassword
    account = await session.scalar(
        select(Account)
        .where(
            Account.id == attempt.account.id,
            Account.disabled_at.is_(None),
            Account.password_hash == attempt.account.password_hash,
        )
        .with_for_update()
    )
    if account is None:
        raise WrongPassword
    await login_throttle.refund(session, attempt.charged)
    if attempt.new_hash is not None:
        account.password_hash = attempt.new_hash
    return account


async def _open(session: AsyncSession, account: Account, *, address: str | None, ttl: timedelta) -> OpenedSession:
    network = limit_key(address)
    opened, secret = await console_sessions.open_sign_in(session, account, network=network, ttl=ttl)
    return OpenedSession(opened, account, secret)


async def _record_guessing(session: AsyncSession, account: Account, failures: int, address: str | None) -> None:
    """Once, when the waits begin: an entry per failure would let a guesser fill the audit log."""
    unknown = replace(_as_caller(account, address), name="somebody unknown", username=None, account_id=None)
    await audit.record(
        session,
        unknown,
        "sign_in_failed",
        "account",
        account.id,
        region_code=account.region_code,
        after={"failures": failures},
    )


def _as_caller(account: Account, address: str | None) -> Caller:
    return replace(console_sessions.caller_of(account), address=address)
