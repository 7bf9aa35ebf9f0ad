"""What requests with an `Idempotency-Key` created, kept for 24 hours."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.core.errors import Fault, Invalid


async def find(session: AsyncSession, key: str, digest: bytes, *, caller: Caller) -> str | None:
    """Return the id of what an earlier request with this key created, or None.

    Raises Invalid when that request had another body. Concurrent requests with one key wait for each other here.
    """
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:key, hashtext(:caller)))"),
        {"key": key, "caller": caller.key},
    )
    row = (
        await session.execute(
            text(
                "SELECT object_id, request_digest FROM idempotent_answer "
                "WHERE caller = :caller AND key = :key AND created_at > now() - interval '24 hours'"
            ),
            {"caller": caller.key, "key": key},
        )
    ).one_or_none()
    if row is None:
        return None
    if bytes(row.request_digest) != digest:
        raise Invalid(
            Fault(
                "Idempotency-Key",
                "key_reused",
                "This key was used for another request",
                "Use a new key for each new request",
            )
        )
    return str(row.object_id)


async def record(session: AsyncSession, key: str, digest: bytes, object_id: str, *, caller: Caller) -> None:
    await session.execute(
        text(
            "INSERT INTO idempotent_answer VALUES (:caller, :key, :digest, :object_id, now()) "
            "ON CONFLICT (caller, key) DO UPDATE SET request_digest = excluded.request_digest, "
            "object_id = excluded.object_id, created_at = excluded.created_at"
        ),
        {"caller": caller.key, "key": key, "digest": digest, "object_id": object_id},
    )


async def delete_old(session: AsyncSession) -> None:
    await session.execute(text("DELETE FROM idempotent_answer WHERE created_at < now() - interval '24 hours'"))
