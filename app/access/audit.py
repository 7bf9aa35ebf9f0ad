"""Who changed what, and why. Rows are added and never touched again: a trigger refuses it to the database role too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Audit
from app.access.scope import Caller, in_region

CONTACT = frozenset({"contact_name", "contact_phone"})
MASK = "***"


@dataclass(frozen=True, slots=True)
class Entry:
    """`before` and `after` are of JSON's types; a contact person in them is masked, that there is one stays seen."""

    action: str
    object: str
    object_id: int | str
    region_code: str | None = None
    reason: str | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


async def record(
    session: AsyncSession,
    caller: Caller,
    action: str,
    object: str,
    object_id: int | str,
    *,
    region_code: str | None = None,
    reason: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    entry = Entry(action, object, object_id, region_code, reason, before, after)
    await record_all(session, caller, [entry])


async def record_all(session: AsyncSession, caller: Caller, entries: Sequence[Entry]) -> None:
    """What one request did to many things at once."""
    who = {"account_id": caller.account_id, "token_id": caller.token_id, "source": caller.source,
           "address": caller.address, "actor": caller.name}  # fmt: skip
    await session.execute(insert(Audit), [
        {**who, "action": entry.action, "object": entry.object, "object_id": str(entry.object_id),
         "region_code": entry.region_code, "reason": entry.reason,
         "before": _masked(entry.before), "after": _masked(entry.after)}
        for entry in entries
    ])  # fmt: skip


async def list_entries(
    session: AsyncSession, *, caller: Caller, object: str | None, actor: str | None, before: int | None, limit: int
) -> list[Audit]:
    """Newest first, below the id `before`. What belongs to no region is the province's."""
    query = select(Audit).where(in_region(Audit.region_code, caller.region_code)).order_by(Audit.id.desc()).limit(limit)
    if object is not None:
        query = query.where(Audit.object == object)
    if actor is not None:
        query = query.where(Audit.actor == actor)
    if before is not None:
        query = query.where(Audit.id < before)
    return list(await session.scalars(query))


def _masked(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {name: MASK if name in CONTACT and value else _masked(value) for name, value in values.items()}
    return [_masked(value) for value in values] if isinstance(values, list | tuple) else values
