"""API tokens as admins create and revoke them. A token never exceeds its owner, nor the admin who creates it."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import api_tokens, audit
from app.access.models import Account, Role, Token
from app.access.scope import Caller, Grant, exceeds, in_region
from app.accounts import role_grants, store
from app.accounts.schemas import TokenOut
from app.core.clock import utc_now
from app.core.errors import Fault, Invalid, NotFound
from app.registry.models import Provider


async def list_tokens(
    session: AsyncSession,
    *,
    caller: Caller,
    active: bool | None = None,
    account_id: int | None = None,
    after: int | None,
    limit: int,
) -> list[dict[str, Any]]:
    query = _tokens(caller).order_by(Token.id).limit(limit)
    if active is not None:
        works = Token.revoked_at.is_(None) & func.coalesce(Token.expires_at > utc_now(), True)
        query = query.where(works if active else ~works)
    if account_id is not None:
        query = query.where(Token.account_id == account_id)
    if after is not None:
        query = query.where(Token.id > after)
    return [_present(*row) for row in await session.execute(query)]


async def get_token(session: AsyncSession, token_id: int, *, caller: Caller) -> dict[str, Any]:
    row = (await session.execute(_tokens(caller).where(Token.id == token_id))).one_or_none()
    if row is None:
        raise NotFound("There is no token {given} within your scope", values={"given": token_id})
    return _present(*row)


async def create_token(
    session: AsyncSession,
    *,
    name: str,
    role: Role,
    region_code: str | None,
    provider: str | None,
    owner: Account | None,
    days: int | None,
    caller: Caller,
) -> tuple[int, str]:
    """Return the token's id and secret. Region and provider default to the owner's, without an owner to the caller's.

    Raises Invalid with every fault, NotAllowed for a grant beyond the caller's own.
    """
    region = region_code or (owner or caller).region_code
    if provider is None and owner is not None and role is Role.PROVIDER_VIEWER:
        provider = await session.scalar(select(Provider.slug).where(Provider.id == owner.provider_id))
    grant, faults = await role_grants.resolve(session, role=role, region_code=region, provider=provider)
    if owner is not None and owner.id != caller.account_id:
        faults = [*_owner_faults(owner, grant), *faults]
    if faults:
        raise Invalid(*faults)
    role_grants.require_within(caller, grant)
    token, secret = await api_tokens.add_token(
        session,
        name=name,
        role=role,
        region_code=region,
        provider_id=grant.provider_id,
        days=days,
        account_id=owner.id if owner else None,
        created_by=caller.who,
    )
    record = {
        "name": name,
        "role": role.value,
        "region_code": region,
        "provider": provider,
        "owner": owner and owner.username,
        "expires_at": token.expires_at and token.expires_at.isoformat(),
    }
    await audit.record(session, caller, "create", "token", token.id, region_code=region, after=record)
    return token.id, secret


async def find_owner(session: AsyncSession, account_id: int | None, *, caller: Caller) -> Account | None:
    """Return the account `account_id`, by default the caller's; None for a caller without one. Raises Invalid."""
    if account_id is None:
        return await session.get(Account, caller.account_id) if caller.account_id is not None else None
    try:
        return (await store.get_account(session, account_id, caller=caller)).account
    except NotFound:
        raise Invalid(
            Fault(
                "account_id",
                "unknown_account",
                "There is no account {given} within your scope",
                "Look it up: GET /api/v1/accounts",
                values={"given": account_id},
            )
        ) from None


async def revoke_token(session: AsyncSession, token_id: int, *, caller: Caller) -> None:
    """Idempotent. Takes effect within five seconds. Raises NotFound."""
    query = select(Token).where(Token.id == token_id, in_region(Token.region_code, caller.region_code))
    token = await session.scalar(query.with_for_update(key_share=True))
    if token is None:
        raise NotFound("There is no token {given} within your scope", values={"given": token_id})
    if token.revoked_at is not None:
        return
    token.revoked_at, token.revoked_by = utc_now(), caller.who
    await session.flush()
    await audit.record(
        session,
        caller,
        "revoke",
        "token",
        token.id,
        region_code=token.region_code,
        before={"name": token.name, "role": token.role.value},
    )


def _owner_faults(owner: Account, grant: Grant) -> Iterator[Fault]:
    if owner.disabled_at is not None:
        yield Fault(
            "account_id",
            "disabled_account",
            "The account {username} is disabled",
            "Enable it first, or choose another owner",
            values={"username": owner.username},
        )
    if exceeds(owner, grant):
        yield Fault(
            "role",
            "beyond_owner",
            "A token cannot exceed its owner: {username} is {role} for {region}",
            "Choose a smaller role or region, or another owner",
            values={"username": owner.username, "role": owner.role.value, "region": owner.region_code},
        )


def _tokens(caller: Caller) -> Select[Any, Any, Any]:
    query = select(Token, Account.username, Provider.slug)
    query = query.outerjoin(Account, Account.id == Token.account_id)
    query = query.outerjoin(Provider, Provider.id == Token.provider_id)
    return query.where(in_region(Token.region_code, caller.region_code))


def _present(token: Token, username: str | None, provider: str | None) -> dict[str, Any]:
    out = {name: getattr(token, name, None) for name in TokenOut.model_fields}
    return out | {"username": username, "provider": provider}
