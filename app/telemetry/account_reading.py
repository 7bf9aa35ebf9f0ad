"""Which accounts are due, and with what they are read."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

DUE = text("""
    SELECT id, base_url, client_id, secret, version FROM telemetry_account
    WHERE retry_at IS NULL OR retry_at <= :now ORDER BY id
""")
IS_ANY = text("SELECT EXISTS (SELECT FROM telemetry_account) OR EXISTS (SELECT FROM telemetry_source)")


async def list_due(session: AsyncSession, now: datetime) -> Sequence[Any]:
    return (await session.execute(DUE, {"now": now})).all()


async def is_any_registered(session: AsyncSession) -> bool:
    return bool(await session.scalar(IS_ANY))
