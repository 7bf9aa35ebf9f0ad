"""Signing in and changing one's password. No connection is held while a password is weighed: that takes its time."""

from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit, login_throttle, passwords
from app.access import sessions as sign_ins
from app.access.login_throttle import Limit
from app.access.models import Account, SignIn
from app.access.scope import Caller
from app.accounts.store import set_password
from app.core.clock import utc_now
from app.core.errors import Fault, Invalid, WrongPassword
from app.postgres.engine import Sessions, transaction


@dataclass(frozen=True, slots=True)
class Opened:
    sign_in: SignIn
    account: Account
    secret: str


@dataclass(frozen=True, slots=True)
class _Tried:
    account: Account | None
    charged: list[Limit]
    good: bool
    fresh_hash: str | None


async def sign_in(
    sessions: Sessions, username: str, password: str, *, address: str | None, lasts: timedelta, presented: str | None
) -> Opened:
    """A new session; the one whose secret is presented along with it ends. Raises WrongPassword, TooManyAttempts."""
    tried = await _try(sessions, username, password, address=address)
    async with transaction(sessions) as session:
        account = await _settle(session, tried)
        if presented is not None:
            await sign_ins.end(session, presented)
        account.last_signed_in_at = utc_now()
        opened = await _open(session, account, address=address, lasts=lasts)
        await audit.record(
            session, _as(account, address), "sign_in", "account", account.id, region_code=account.region_code
        )
    return opened


async def change_password(sessions: Sessions, caller: Caller, current: str, new: str, *, lasts: timedelta) -> Opened:
    """All sessions of the account end, and one begins. Raises Invalid, TooManyAttempts."""
    tried = await _try(sessions, caller.name, current, address=caller.address)
    if not tried.good or tried.account is None:
        raise Invalid(
            Fault(
                "current_password",
                "wrong_password",
                "This is not your current password",
                "An admin can reset a forgotten one",
            )
        )
    fault = await passwords.check(new, field="new_password", about=(tried.account.username, tried.account.name))
    if fault is None and new == current:
        fault = Fault("new_password", "same_password", "This is the password that you have", "Choose another one")
    new_hash = None if fault else await passwords.hashed(new)
    async with transaction(sessions) as session:
        account = await _settle(session, tried)
        if new_hash is not None:
            set_password(account, new_hash, must_change=False)
            await sign_ins.end_all(session, account.id)
            opened = await _open(session, account, address=caller.address, lasts=lasts)
            await audit.record(
                session, caller, "change_password", "account", account.id, region_code=account.region_code
            )
    if fault is not None:
        raise Invalid(fault)
    return opened


async def _try(sessions: Sessions, username: str, password: str, *, address: str | None) -> _Tried:
    """Counted before it is made: the count stays even when the answer is an error."""
    place = login_throttle.network_of(address)
    async with transaction(sessions) as session:
        account = await session.scalar(
            select(Account).where(Account.username == username, Account.disabled_at.is_(None))
        )
        familiar = account is not None and await sign_ins.is_familiar(session, account.id, place)
        charged = login_throttle.limits(username, place, familiar=familiar)
        failures = [await login_throttle.charge(session, limit) for limit in charged]
        if account is not None and failures[-1] == charged[-1].free:
            await _note_guessing(session, account, failures[-1], address)
    good, fresh = await passwords.verify(password, account.password_hash if account else None)
    return _Tried(account, charged, good, fresh)


async def _settle(session: AsyncSession, tried: _Tried) -> Account:
    """The account of a try that was right, unless it was disabled or its password changed meanwhile."""
    if tried.account is None or not tried.good:
        raise WrongPassword
    account = await session.scalar(
        select(Account)
        .where(
            Account.id == tried.account.id,
            Account.disabled_at.is_(None),
            Account.password_hash == tried.account.password_hash,
        )
        .with_for_update()
    )
    if account is None:
        raise WrongPassword
    await login_throttle.refund(session, tried.charged)
    if tried.fresh_hash is not None:
        account.password_hash = tried.fresh_hash
    return account


async def _open(session: AsyncSession, account: Account, *, address: str | None, lasts: timedelta) -> Opened:
    place = login_throttle.network_of(address)
    found, secret = await sign_ins.open_sign_in(session, account, place=place, lasts=lasts)
    return Opened(found, account, secret)


async def _note_guessing(session: AsyncSession, account: Account, failures: int, address: str | None) -> None:
    """Once when the waits begin, not for each: whoever guesses cannot fill the audit."""
    somebody = replace(_as(account, address), name="somebody unknown", username=None, account_id=None)
    await audit.record(
        session,
        somebody,
        "sign_in_failed",
        "account",
        account.id,
        region_code=account.region_code,
        after={"failures": failures},
    )


def _as(account: Account, address: str | None) -> Caller:
    return replace(sign_ins.caller_of(account), address=address)
