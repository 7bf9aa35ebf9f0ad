"""What follows from the ledger is counted again wherever the ledger, a window, a cause or a contract changed."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from app.ledger.span import Span


async def touch(session: AsyncSession, spans: Sequence[Span]) -> None:
    """Marks the days that these spans reach into: they are recounted before they are next read."""
