"""Files that were tried with `keep`, so that they are confirmed without being sent again: the last of each account."""

import secrets
from collections.abc import AsyncIterator

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.core.errors import Fault, Invalid
from app.importing.models import KeptUpload
from app.importing.upload import PIECE_BYTES

KEPT = text("interval '1 hour'")
MOST = 50  # of all accounts; the oldest make room

EXPIRED = func.now() - KEPT


async def keep(session: AsyncSession, name: str, digest: str, content: bytes, *, caller: Caller) -> str:
    """Keep the file in place of the account's earlier one; return the id that finds it."""
    values = {
        "id": secrets.token_urlsafe(12),
        "name": name,
        "digest": digest,
        "content": content,
        "kept_at": func.now(),
    }
    kept = insert(KeptUpload).values(owner=caller.limit_key, **values)
    await session.execute(kept.on_conflict_do_update(index_elements=["owner"], set_=values))
    newest = select(KeptUpload.owner).order_by(KeptUpload.kept_at.desc()).limit(MOST)
    await session.execute(delete(KeptUpload).where(KeptUpload.owner.not_in(newest)))
    return str(values["id"])


async def get(session: AsyncSession, id: str, *, caller: Caller) -> KeptUpload:
    """Raises Invalid for a file that is kept no longer, or is another account's."""
    mine = (KeptUpload.owner == caller.limit_key) & (KeptUpload.id == id) & (KeptUpload.kept_at > EXPIRED)
    kept = await session.scalar(select(KeptUpload).where(mine))
    if kept is None:
        raise Invalid(
            Fault(
                "upload",
                "not_kept",
                "This file is no longer kept: the last one of each account is, for an hour",
                "Choose the file again",
            )
        )
    return kept


async def delete_old(session: AsyncSession) -> None:
    await session.execute(delete(KeptUpload).where(KeptUpload.kept_at <= EXPIRED))


async def pieces(kept: KeptUpload) -> AsyncIterator[bytes]:
    for start in range(0, len(kept.content), PIECE_BYTES):
        yield kept.content[start : start + PIECE_BYTES]
