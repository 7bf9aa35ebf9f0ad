"""Probers that run by themselves, as rows: registered, and heard so many seconds ago."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.vantages.models import RegisteredProber, Vantage


async def name_vantage(session: AsyncSession, number: int, name: str) -> None:
    async with session.begin():
        session.add(Vantage(number=number, name=name, label=name.capitalize()))


async def register_prober(session: AsyncSession, name: str, vantage: int, *, silent_s: float | None = 0) -> int:
    """Return its id. `silent_s`: None, it was never heard."""
    async with session.begin():
        prober = RegisteredProber(name=name, vantage=vantage, digest=name.encode(), created_by="sari")
        session.add(prober)
        await session.flush()
    if silent_s is not None:
        await hear(session, prober.id, silent_s=silent_s)
    return prober.id


async def hear(
    session: AsyncSession, prober_id: int, *, silent_s: float = 0, blind_s: float | None = None, **columns: Any
) -> None:
    """Set when a prober was heard, since when it is blind, and other columns."""
    others = "".join(f", {name} = :{name}" for name in columns)
    async with session.begin():
        await session.execute(
            text(f"""
                UPDATE prober SET seen_at = now() - make_interval(secs => :silent_s),
                    blind_since = now() - make_interval(secs => :blind_s) {others} WHERE id = :id
            """),
            {"id": prober_id, "silent_s": silent_s, "blind_s": blind_s, **columns},
        )
