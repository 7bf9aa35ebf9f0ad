"""`Idempotency-Key`: a registration that is sent again within 24 hours makes no second site."""

import hashlib

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.errors import Fault, Invalid
from app.registry.schemas import SiteIn


def _digest(given: SiteIn) -> bytes:
    return hashlib.sha256(given.model_dump_json().encode()).digest()


async def find_answer(session: AsyncSession, key: str, given: SiteIn, *, caller: Caller) -> int | None:
    """The id of the site that an earlier request of this key made; Invalid when that request asked for another.

    Two requests of one key at once wait for each other here.
    """
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:key, :token))"), {"key": key, "token": caller.token_id}
    )
    row = (await session.execute(
        text("SELECT site_id, request_digest FROM idempotent_answer "
             "WHERE token_id = :token AND key = :key AND created_at > now() - interval '24 hours'"),
        {"token": caller.token_id, "key": key},
    )).one_or_none()  # fmt: skip
    if row is None:
        return None
    if bytes(row.request_digest) != _digest(given):
        raise Invalid(Fault("Idempotency-Key", "key_reused", "This key was used for another request",
                            "Use a new key for each new request"))  # fmt: skip
    return int(row.site_id)


async def remember(session: AsyncSession, key: str, given: SiteIn, *, site_id: int, caller: Caller) -> None:
    await session.execute(
        text("INSERT INTO idempotent_answer VALUES (:token, :key, :digest, :site, now()) "
             "ON CONFLICT (token_id, key) DO UPDATE SET request_digest = excluded.request_digest, "
             "site_id = excluded.site_id, created_at = excluded.created_at"),
        {"token": caller.token_id, "key": key, "digest": _digest(given), "site": site_id},
    )  # fmt: skip


async def forget_old(session: AsyncSession) -> None:
    await session.execute(text("DELETE FROM idempotent_answer WHERE created_at < now() - interval '24 hours'"))
