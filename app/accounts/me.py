"""Who a caller is, as told to themselves."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import sessions
from app.access.models import Account, Token
from app.access.rights import rights_of
from app.access.scope import Caller
from app.registry import regions
from app.registry.models import Provider


async def of_token(session: AsyncSession, caller: Caller) -> dict[str, Any]:
    expires_at = await session.scalar(select(Token.expires_at).where(Token.id == caller.token_id))
    return await _present(session, caller, expires_at)


async def of_session(session: AsyncSession, account: Account, expires_at: datetime) -> dict[str, Any]:
    return await _present(session, sessions.caller_of(account), expires_at) | {"name": account.name}


async def _present(session: AsyncSession, caller: Caller, expires_at: datetime | None) -> dict[str, Any]:
    return {
        "name": caller.name,
        "username": caller.username,
        "role": caller.role,
        "region_code": caller.region_code,
        "region": regions.names().get(caller.region_code),
        "provider": await session.scalar(select(Provider.slug).where(Provider.id == caller.provider_id)),
        "account_id": caller.account_id,
        "token_id": caller.token_id,
        "expires_at": expires_at,
        "rights": sorted(rights_of(caller.role)),
        "must_change_password": caller.must_change_password,
    }
