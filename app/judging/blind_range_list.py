"""Lists blind ranges and suspicions for those who are judged by them: when we could not see, and how we know."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller, visible_to
from app.core.periods import Period
from app.judging.blind_ranges import MASS_OUTAGE
from app.judging.models import Suspect
from app.registry.models import Site

MAX_SITES = 100  # named of one suspicion

SUSPICION = "suspicion"
ListPosition = tuple[datetime, str, int]  # started_at, kind and id of a page's last item

LIST = f"""
    SELECT kind, id, source, started_at, ended_at, reason, recorded_at, evidence FROM (
        SELECT 'blind' AS kind, id, source, started_at, ended_at, reason, recorded_at, evidence FROM blind
        UNION ALL
        SELECT '{SUSPICION}', id, source, started_at, ended_at, '{MASS_OUTAGE}', recorded_at, evidence FROM suspicion
    ) r
    WHERE started_at < :end AND ended_at > :start{{conditions}}
    ORDER BY started_at DESC, kind DESC, id DESC LIMIT :limit
"""
COUNTS = text("""
    SELECT suspicion_id, count(*) AS sites, count(*) FILTER (WHERE excused) AS excused,
        count(*) FILTER (WHERE NOT excused) AS counted, count(*) FILTER (WHERE excused IS NULL) AS undecided
    FROM suspect WHERE suspicion_id = ANY(:ids) GROUP BY 1
""")


async def list_blind_ranges(
    session: AsyncSession,
    period: Period,
    source: str | None,
    *,
    caller: Caller,
    after: ListPosition | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Return those that reach into the period, newest first. Only sites within the caller's scope are named."""
    rows = await _list_rows(session, period, source, after, limit)
    ids = [row.id for row in rows if row.kind == SUSPICION]
    suspicions = await _suspicions(session, ids, caller=caller) if ids else {}
    return [_item(row, suspicions.get(row.id) if row.kind == SUSPICION else None, caller) for row in rows]


async def _list_rows(
    session: AsyncSession, period: Period, source: str | None, after: ListPosition | None, limit: int
) -> Sequence[Row[Any]]:
    parameters: dict[str, Any] = {"start": period.start, "end": period.end, "limit": limit}
    conditions = ""
    if source is not None:
        conditions, parameters["source"] = " AND source = :source", source
    if after is not None:
        conditions += " AND (started_at, kind, id) < (:at, :kind, :id)"
        parameters |= dict(zip(("at", "kind", "id"), after, strict=True))
    query = text(LIST.format(conditions=conditions)).columns(evidence=JSONB)
    return (await session.execute(query, parameters)).all()


async def _suspicions(session: AsyncSession, ids: Sequence[int], *, caller: Caller) -> dict[int, dict[str, Any]]:
    counts = {row.suspicion_id: row for row in await session.execute(COUNTS, {"ids": ids})}
    number = func.row_number().over(partition_by=Suspect.suspicion_id, order_by=Site.code)
    visible = (
        select(
            Suspect.suspicion_id,
            Suspect.started_at,
            Suspect.lost_at,
            Suspect.excused,
            Suspect.decided_at,
            Site.code,
            number.label("number"),
            func.count().over(partition_by=Suspect.suspicion_id).label("visible"),
        )
        .join(Site, Site.id == Suspect.site_id)
        .where(Suspect.suspicion_id.in_(ids), visible_to(caller, Site))
        .subquery()
    )
    own: dict[int, list[Row[Any]]] = defaultdict(list)
    for row in await session.execute(select(visible).where(visible.c.number <= MAX_SITES).order_by(visible.c.code)):
        own[row.suspicion_id].append(row)
    return {suspicion_id: _suspicion(row, own[suspicion_id]) for suspicion_id, row in counts.items()}


def _suspicion(counts: Row[Any], own: Sequence[Row[Any]]) -> dict[str, Any]:
    return {
        **{name: getattr(counts, name) for name in ("sites", "excused", "counted", "undecided")},
        "own_sites": own[0].visible if own else 0,
        "own": [
            {
                "code": row.code,
                "started_at": row.started_at,
                "lost_at": row.lost_at,
                "verdict": {None: "undecided", True: "excused", False: "counted"}[row.excused],
                "decided_at": row.decided_at,
            }
            for row in own
        ],
    }


def _item(row: Row[Any], suspicion: dict[str, Any] | None, caller: Caller) -> dict[str, Any]:
    fields = {name: getattr(row, name) for name in ("kind", "id", "source", "started_at", "ended_at", "reason")}
    duration_s = round((row.ended_at - row.started_at).total_seconds())
    evidence = _evidence(row.evidence, caller)
    return {
        **fields,
        "duration_s": duration_s,
        "recorded_at": row.recorded_at,
        "evidence": evidence,
        "suspicion": suspicion,
    }


def _evidence(evidence: dict[str, Any] | None, caller: Caller) -> dict[str, Any] | None:
    """Number the canaries; only the province learns their addresses: whoever knows them could silence them."""
    if evidence is None:
        return None
    canaries = [
        {**canary, "canary": number, "address": canary["address"] if caller.sees_addresses else None}
        for number, canary in enumerate(evidence["canaries"], 1)
    ]
    return {"verdict": evidence["verdict"], "canaries": canaries}
