"""Saved views: filters of the list of sites that a caller gave a name."""

from collections.abc import Sequence

from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import SavedView
from app.access.scope import Caller
from app.core.errors import Fault, Invalid

MAX_VIEWS = 20  # of a caller

SAVE = text("""
    INSERT INTO saved_view (owner, name, query)
    SELECT cast(:owner AS text), cast(:name AS text), cast(:query AS text)
    WHERE (SELECT count(*) FROM saved_view WHERE owner = :owner AND name <> :name) < :most
    ON CONFLICT (owner, name) DO UPDATE SET query = excluded.query RETURNING id
""")


async def list_views(session: AsyncSession, *, caller: Caller) -> Sequence[SavedView]:
    """Return the caller's own, by name."""
    query = select(SavedView).where(SavedView.owner == caller.limit_key).order_by(SavedView.name)
    return (await session.scalars(query)).all()


async def save_view(session: AsyncSession, name: str, query: str, *, caller: Caller) -> SavedView:
    """Save a view, in place of one of that name. Raises Invalid for one too many. Idempotent."""
    parameters = {"owner": caller.limit_key, "name": name, "query": query, "most": MAX_VIEWS}
    view_id = await session.scalar(SAVE, parameters)
    if view_id is None:
        raise Invalid(
            Fault(
                "name",
                "too_many_views",
                "You have {most} saved views already",
                "Delete one of them first",
                values={"most": MAX_VIEWS},
            )
        )
    return await session.get_one(SavedView, view_id, populate_existing=True)


async def delete_view(session: AsyncSession, view_id: int, *, caller: Caller) -> None:
    """Idempotent; views of others stay."""
    await session.execute(delete(SavedView).where(SavedView.id == view_id, SavedView.owner == caller.limit_key))
