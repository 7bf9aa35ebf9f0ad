"""Accounts. An admin sees those within their own region and grants no more than they have themselves."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, exists, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit, passwords, sessions
from app.access.models import Account, Role
from app.access.scope import PROVINCE, Caller, in_region
from app.accounts import role_grants
from app.accounts.schemas import AccountIn, AccountOut, AccountPatch
from app.core.clock import utc_now
from app.core.errors import Conflict, Fault, Invalid, NotFound
from app.postgres import lock_ids
from app.postgres.engine import require_version
from app.registry import regions
from app.registry.models import Provider

FIRST_USERNAME = "admin"


@dataclass(frozen=True, slots=True)
class AccountRow:
    account: Account
    provider: str | None  # its slug


async def list_accounts(session: AsyncSession, *, caller: Caller, after: int | None, limit: int) -> list[AccountRow]:
    query = _accounts(caller).order_by(Account.id).limit(limit)
    if after is not None:
        query = query.where(Account.id > after)
    return [AccountRow(account, slug) for account, slug in await session.execute(query)]


async def get_account(
    session: AsyncSession, account_id: int, *, caller: Caller, for_update: bool = False
) -> AccountRow:
    """Raises NotFound for an unknown account, and alike for one outside the caller's scope."""
    query = _accounts(caller).where(Account.id == account_id)
    if for_update:
        query = query.with_for_update(of=Account, key_share=True).execution_options(populate_existing=True)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise NotFound("There is no account {given} within your scope", values={"given": account_id})
    return AccountRow(*row)


async def find_account(session: AsyncSession, username: str) -> Account | None:
    return await session.scalar(select(Account).where(Account.username == username))


async def create_account(session: AsyncSession, body: AccountIn, *, caller: Caller) -> tuple[AccountRow, str | None]:
    """Return the account, and the generated password where the body has none.

    Raises Invalid with every fault, NotAllowed for a grant beyond the caller's own, Conflict for a taken username.
    """
    grant, faults = await role_grants.resolve(
        session, role=body.role, region_code=body.region_code, provider=body.provider
    )
    chosen = None if body.password is None else body.password.get_secret_value()
    personal_words = body.username, body.name
    if chosen is not None and (fault := await passwords.check(chosen, field="password", personal_words=personal_words)):
        faults.append(fault)
    if faults:
        raise Invalid(*faults)
    role_grants.require_within(caller, grant)
    initial = passwords.generate() if chosen is None else None
    now = utc_now()
    account = Account(
        username=body.username,
        name=body.name,
        role=grant.role,
        region_code=grant.region_code,
        provider_id=grant.provider_id,
        password_hash=await passwords.hashed(chosen or initial or ""),
        must_change_password=chosen is None,
        created_at=now,
        password_changed_at=now,
        version=1,
    )
    session.add(account)
    await _flush(session, body.username)
    row = AccountRow(account, body.provider)
    await audit.record(
        session, caller, "create", "account", account.id, region_code=account.region_code, after=_record(row)
    )
    return row, initial


async def create_first(session: AsyncSession, *, caller: Caller) -> str | None:
    """Create a province admin if there is no account yet; return its password, else None. Safe to run concurrently."""
    await _lock(session)
    if await session.scalar(select(exists().where(Account.id.is_not(None)))):
        return None
    first = AccountIn(username=FIRST_USERNAME, name="Admin", role=Role.PROVINCE_ADMIN, region_code=PROVINCE)
    return (await create_account(session, first, caller=caller))[1]


async def patch_account(
    session: AsyncSession, account_id: int, patch: AccountPatch, *, caller: Caller, if_match: int | None
) -> AccountRow:
    """Raises NotFound, Stale, Invalid, NotAllowed, and Conflict for the last admin of the province."""
    await _lock(session)
    row = await get_account(session, account_id, caller=caller, for_update=True)
    account, before = row.account, _record(row)
    require_version(if_match, account.version)
    after = before | patch.model_dump(exclude_unset=True)
    grant, faults = await role_grants.resolve(
        session, role=Role(after["role"]), region_code=after["region_code"], provider=after["provider"]
    )
    if faults:
        raise Invalid(*faults)
    role_grants.require_within(caller, grant)
    account.name, account.role, account.region_code = after["name"], grant.role, grant.region_code
    account.provider_id = grant.provider_id
    if after["disabled"] != before["disabled"]:
        account.disabled_at = utc_now() if after["disabled"] else None
    row = AccountRow(account, after["provider"])
    if session.is_modified(account):
        await _save(session, row, before, caller=caller)
    return row


async def disable_account(session: AsyncSession, account_id: int, *, caller: Caller) -> None:
    """Idempotent; its audit entries stay."""
    await patch_account(session, account_id, AccountPatch(disabled=True), caller=caller, if_match=None)


async def reset_password(session: AsyncSession, account_id: int, *, caller: Caller) -> tuple[AccountRow, str]:
    """Generate a password, to be changed at the first sign-in; the account's sessions end."""
    row = await get_account(session, account_id, caller=caller, for_update=True)
    initial = passwords.generate()
    set_password(row.account, await passwords.hashed(initial), must_change=True)
    await session.flush()
    await sessions.end_all(session, account_id)
    await audit.record(session, caller, "reset_password", "account", account_id, region_code=row.account.region_code)
    return row, initial


async def list_sessions(
    session: AsyncSession, account_id: int, *, caller: Caller, idle: timedelta, limit: int
) -> list[dict[str, Any]]:
    """Return the account's open sessions. Raises NotFound."""
    await get_account(session, account_id, caller=caller)
    opened = await sessions.list_open(session, account_id, idle=idle, limit=limit)
    return [
        {name: getattr(sign_in, name) for name in ("id", "address", "created_at", "seen_at", "expires_at")}
        for sign_in in opened
    ]


async def end_sessions(session: AsyncSession, account_id: int, *, caller: Caller) -> None:
    """Idempotent. Raises NotFound."""
    row = await get_account(session, account_id, caller=caller, for_update=True)
    if await sessions.end_all(session, account_id):
        await audit.record(session, caller, "end_sessions", "account", account_id, region_code=row.account.region_code)


async def provider_slug(session: AsyncSession, provider_id: int | None) -> str | None:
    return await session.scalar(select(Provider.slug).where(Provider.id == provider_id))


def set_password(account: Account, password_hash: str, *, must_change: bool) -> None:
    account.password_hash, account.password_changed_at = password_hash, utc_now()
    account.must_change_password = must_change
    account.version += 1


def present(row: AccountRow) -> dict[str, Any]:
    out = {name: getattr(row.account, name, None) for name in AccountOut.model_fields}
    return out | {"provider": row.provider, "region": regions.names().get(row.account.region_code)}


def _accounts(caller: Caller) -> Select[Any, Any]:
    query = select(Account, Provider.slug).outerjoin(Provider, Provider.id == Account.provider_id)
    return query.where(in_region(Account.region_code, caller.region_code))


async def _lock(session: AsyncSession) -> None:
    """Serialize changes: otherwise the last two admins could disable each other at the same time."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": lock_ids.ACCOUNTS})


async def _save(session: AsyncSession, row: AccountRow, before: dict[str, Any], *, caller: Caller) -> None:
    account = row.account
    account.version += 1
    await session.flush()
    enabled = exists().where(Account.role == Role.PROVINCE_ADMIN, Account.disabled_at.is_(None))
    was_admin = before["role"] == Role.PROVINCE_ADMIN and not before["disabled"]
    if was_admin and not await session.scalar(select(enabled)):
        raise Conflict(
            "{username} is the last admin of the province: make another one first",
            values={"username": account.username},
        )
    if account.disabled_at is not None:
        await sessions.end_all(session, account.id)
    action = {(False, True): "disable", (True, False): "enable"}.get(
        (before["disabled"], account.disabled_at is not None), "change"
    )
    await audit.record(
        session,
        caller,
        action,
        "account",
        account.id,
        region_code=account.region_code,
        before=before,
        after=_record(row),
    )


async def _flush(session: AsyncSession, username: str) -> None:
    try:
        async with session.begin_nested():
            await session.flush()
    except IntegrityError as error:
        if "uq_account_username" not in str(error.orig):
            raise
        raise Conflict(
            faults=[
                Fault(
                    "username",
                    "duplicate_username",
                    "The username {given} is taken",
                    "Choose another one",
                    values={"given": username},
                )
            ]
        ) from None


def _record(row: AccountRow) -> dict[str, Any]:
    account = row.account
    return {
        "username": account.username,
        "name": account.name,
        "role": account.role.value,
        "region_code": account.region_code,
        "provider": row.provider,
        "disabled": account.disabled_at is not None,
    }
