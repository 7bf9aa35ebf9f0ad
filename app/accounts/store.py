"""Accounts: who may sign in, as what, and how far. An admin sees and gives no more than lies within their own scope."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, exists, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit, passwords, sessions
from app.access.models import Account, Role
from app.access.scope import PROVINCE, Caller, in_region
from app.accounts import grants
from app.accounts.schemas import AccountIn, AccountOut, AccountPatch
from app.core.clock import utc_now
from app.core.errors import Conflict, Fault, Invalid, NotFound
from app.postgres.engine import require_version
from app.registry import regions
from app.registry.models import Provider

ACCOUNT_LOCK = 0x53494E59_0003
FIRST = "admin"


@dataclass(frozen=True, slots=True)
class Found:
    account: Account
    provider: str | None  # its slug


async def list_accounts(session: AsyncSession, *, caller: Caller, after: int | None, limit: int) -> list[Found]:
    query = _accounts(caller).order_by(Account.id).limit(limit)
    if after is not None:
        query = query.where(Account.id > after)
    return [Found(account, slug) for account, slug in await session.execute(query)]


async def get_account(session: AsyncSession, account_id: int, *, caller: Caller, for_update: bool = False) -> Found:
    """Raises NotFound alike for what is unknown and what lies out of scope."""
    query = _accounts(caller).where(Account.id == account_id)
    if for_update:
        query = query.with_for_update(of=Account, key_share=True).execution_options(populate_existing=True)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise NotFound("There is no account {given} within your scope", values={"given": account_id})
    return Found(row[0], row[1])


async def find_account(session: AsyncSession, username: str) -> Account | None:
    return await session.scalar(select(Account).where(Account.username == username))


async def create_account(session: AsyncSession, given: AccountIn, *, caller: Caller) -> tuple[Found, str | None]:
    """With the password, where none was given.

    Raises Invalid with every fault, NotAllowed beyond the caller's own scope, Conflict for a username that is taken.
    """
    grant, faults = await grants.resolve(
        session, role=given.role, region_code=given.region_code, provider=given.provider
    )
    chosen = None if given.password is None else given.password.get_secret_value()
    if chosen is not None and (
        fault := await passwords.check(chosen, field="password", about=(given.username, given.name))
    ):
        faults.append(fault)
    if faults:
        raise Invalid(*faults)
    grants.require_within(caller, grant)
    initial = passwords.generate() if chosen is None else None
    now = utc_now()
    account = Account(
        username=given.username,
        name=given.name,
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
    await _flush(session, given.username)
    found = Found(account, given.provider)
    await audit.record(
        session, caller, "create", "account", account.id, region_code=account.region_code, after=_record(found)
    )
    return found, initial


async def create_first(session: AsyncSession, *, caller: Caller) -> str | None:
    """Where there is no account at all, an admin of the province; its password, or None. Two at once make one."""
    await _lock(session)
    if await session.scalar(select(exists().where(Account.id.is_not(None)))):
        return None
    first = AccountIn(username=FIRST, name="Admin", role=Role.PROVINCE_ADMIN, region_code=PROVINCE)
    return (await create_account(session, first, caller=caller))[1]


async def patch_account(
    session: AsyncSession, account_id: int, given: AccountPatch, *, caller: Caller, if_match: int | None
) -> Found:
    await _lock(session)
    found = await get_account(session, account_id, caller=caller, for_update=True)
    account, before = found.account, _record(found)
    require_version(if_match, account.version)
    wanted = before | given.model_dump(exclude_unset=True)
    grant, faults = await grants.resolve(
        session, role=Role(wanted["role"]), region_code=wanted["region_code"], provider=wanted["provider"]
    )
    if faults:
        raise Invalid(*faults)
    grants.require_within(caller, grant)
    account.name, account.role, account.region_code = wanted["name"], grant.role, grant.region_code
    account.provider_id = grant.provider_id
    if wanted["disabled"] != before["disabled"]:
        account.disabled_at = utc_now() if wanted["disabled"] else None
    found = Found(account, wanted["provider"])
    if session.is_modified(account):
        await _keep(session, found, before, caller=caller)
    return found


async def disable_account(session: AsyncSession, account_id: int, *, caller: Caller) -> None:
    """What it did stays told; disabling again changes nothing."""
    await patch_account(session, account_id, AccountPatch(disabled=True), caller=caller, if_match=None)


async def reset_password(session: AsyncSession, account_id: int, *, caller: Caller) -> tuple[Found, str]:
    """A new password, to be changed at the first sign-in; whoever is signed in is so no longer."""
    found = await get_account(session, account_id, caller=caller, for_update=True)
    initial = passwords.generate()
    set_password(found.account, await passwords.hashed(initial), must_change=True)
    await session.flush()
    await sessions.end_all(session, account_id)
    await audit.record(session, caller, "reset_password", "account", account_id, region_code=found.account.region_code)
    return found, initial


def set_password(account: Account, password_hash: str, *, must_change: bool) -> None:
    account.password_hash, account.password_changed_at = password_hash, utc_now()
    account.must_change_password = must_change
    account.version += 1


def present(found: Found) -> dict[str, Any]:
    out = {name: getattr(found.account, name, None) for name in AccountOut.model_fields}
    return out | {"provider": found.provider, "region": regions.names().get(found.account.region_code)}


def _accounts(caller: Caller) -> Select[Any, Any]:
    query = select(Account, Provider.slug).outerjoin(Provider, Provider.id == Account.provider_id)
    return query.where(in_region(Account.region_code, caller.region_code))


async def _lock(session: AsyncSession) -> None:
    """Changes of accounts wait for each other: of the last two admins, each could disable the other."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ACCOUNT_LOCK})


async def _keep(session: AsyncSession, found: Found, before: dict[str, Any], *, caller: Caller) -> None:
    account = found.account
    account.version += 1
    await session.flush()
    enabled = exists().where(Account.role == Role.PROVINCE_ADMIN, Account.disabled_at.is_(None))
    was_one = before["role"] == Role.PROVINCE_ADMIN and not before["disabled"]
    if was_one and not await session.scalar(select(enabled)):
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
        after=_record(found),
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


def _record(found: Found) -> dict[str, Any]:
    account = found.account
    return {
        "username": account.username,
        "name": account.name,
        "role": account.role.value,
        "region_code": account.region_code,
        "provider": found.provider,
        "disabled": account.disabled_at is not None,
    }
