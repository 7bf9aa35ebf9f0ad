"""The audit log: who changed what, and why. Append-only: a trigger refuses updates and deletes to every role."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Audit, Audited, Source
from app.access.scope import Caller, in_region, require_region
from app.core.pii import MASK, PERSONAL
from app.postgres.insert_columns import insert_rows


@dataclass(frozen=True, slots=True)
class AuditFilter:
    object: Audited | None = None
    object_ids: Collection[str] | None = None
    actor: str | None = None
    action: str | None = None
    source: Source | None = None
    region: str | None = None
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """`before` and `after` hold JSON types; personal data in them is masked, empty fields stay empty."""

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
    entry = AuditEntry(action, object, object_id, region_code, reason, before, after)
    await record_all(session, caller, [entry])


async def record_all(session: AsyncSession, caller: Caller, entries: Sequence[AuditEntry]) -> None:
    """Record what one request did to many objects."""
    actor = {
        "account_id": caller.account_id,
        "token_id": caller.token_id,
        "source": caller.source,
        "address": caller.address,
        "actor": caller.who,
    }
    await insert_rows(
        session,
        Audit,
        (
            {
                **actor,
                "action": entry.action,
                "object": Audited(entry.object).value,
                "object_id": str(entry.object_id),
                "region_code": entry.region_code,
                "reason": entry.reason,
                "before": _masked(entry.before),
                "after": _masked(entry.after),
            }
            for entry in entries
        ),
    )


async def list_entries(
    session: AsyncSession, criteria: AuditFilter, *, caller: Caller, before: int | None, limit: int
) -> list[Audit]:
    """List newest first, below the id `before`; those without a region are the province's. Raises NotAllowed."""
    query = select(Audit).where(in_region(Audit.region_code, caller.region_code)).order_by(Audit.id.desc()).limit(limit)
    if criteria.object_ids is not None:
        query = query.where(Audit.object_id.in_(criteria.object_ids))
    for name in ("object", "actor", "action", "source"):
        if (value := getattr(criteria, name)) is not None:
            query = query.where(getattr(Audit, name) == value)
    if criteria.region is not None:
        require_region(caller, criteria.region)
        query = query.where(in_region(Audit.region_code, criteria.region))
    if criteria.start is not None:
        query = query.where(Audit.at >= criteria.start)
    if criteria.end is not None:
        query = query.where(Audit.at < criteria.end)
    if before is not None:
        query = query.where(Audit.id < before)
    return list(await session.scalars(query))


def _masked(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {name: MASK if name in PERSONAL and value else _masked(value) for name, value in values.items()}
    return [_masked(value) for value in values] if isinstance(values, list | tuple) else values
