"""Judge states as rows: of `site_status` (the present) and as JSON of `checkpoint` (at a full hour)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.judging.degraded import WindowReading
from app.judging.fold import median_us
from app.judging.judge import JudgeState
from app.postgres.engine import Counter, next_version
from app.registry.models import State, UnknownReason
from probes.contract import Reading

LOCK = text("""
    WITH RECURSIVE wanted AS (
        SELECT unnest(cast(:ids AS integer[])) AS id
        UNION SELECT s.id FROM site s JOIN wanted w ON s.parent_id = w.id
    )
    SELECT st.*, s.addressed_at AS configured_at, s.kind, s.created_at, s.village_code,
        c.started_at AS setup_at, c.technology, c.parent_id, c.provider_id, c.lifecycle
    FROM site_status st JOIN site s ON s.id = st.site_id
        JOIN site_configuration c ON c.site_id = st.site_id AND c.ended_at IS NULL
    WHERE st.site_id IN (SELECT id FROM wanted) ORDER BY st.site_id FOR UPDATE OF st
""")
WRITE = text("""
    UPDATE site_status st SET
        version = :version, state = n.state, unknown_reason = n.unknown_reason, since = n.since,
        evidence_at = n.evidence_at, valid_s = n.valid_s, seen_at = n.seen_at, timeouts = n.timeouts,
        pending_at = n.pending_at, pending_behind = n.pending_behind, pending_valid_s = n.pending_valid_s,
        last_ok_at = n.last_ok_at, commissioned_at = n.commissioned_at, addressed_at = n.addressed_at,
        pooled = n.pooled, rtt_us = n.rtt_us, loss_pct = n.loss_pct
    FROM json_populate_recordset(NULL::site_status, cast(:rows AS json)) n
    WHERE st.site_id = n.site_id
""")

MOMENTS = ("since", "addressed_at", "evidence_at", "seen_at", "pending_at", "last_ok_at", "commissioned_at")
PLAIN = ("valid_s", "timeouts", "pending_behind", "pending_valid_s")


async def lock_sites(session: AsyncSession, site_ids: Sequence[int]) -> dict[int, Row[Any]]:
    """Return the rows of these sites and of all below them, with the configuration in force.

    They stay locked until the transaction ends; locks are taken in the order of ids.
    """
    return {row.site_id: row for row in await session.execute(LOCK, {"ids": sorted(site_ids)})}


def state_from_row(row: Row[Any]) -> JudgeState:
    return _judge_state(row._mapping, {name: getattr(row, name) for name in MOMENTS})


def state_from_checkpoint(json: str) -> JudgeState:
    stored = orjson.loads(json)
    return _judge_state(stored, {name: stored[name] and datetime.fromisoformat(stored[name]) for name in MOMENTS})


def _judge_state(stored: Mapping[Any, Any], moments: dict[str, Any]) -> JudgeState:
    reason = stored["unknown_reason"]
    return JudgeState(
        state=State(stored["state"]),
        unknown_reason=UnknownReason(reason) if reason else None,
        window=tuple(map(WindowReading._make, stored["pooled"])),
        **{name: stored[name] for name in PLAIN if name in stored},  # older checkpoints lack the newest
        **moments,
    )


def state_fields(state: JudgeState) -> dict[str, Any]:
    """Return the judge state as columns of `site_status`, which are the keys of a checkpoint's JSON too."""
    fields = {name: getattr(state, name) for name in ("state", "unknown_reason", *MOMENTS, *PLAIN)}
    return fields | {"pooled": list(map(tuple, state.window))}


async def write_states(session: AsyncSession, states: Sequence[tuple[Row[Any], JudgeState, Reading | None]]) -> None:
    """Write judge states, each with its locked row and with the last reading judged, whose RTT and loss are shown."""
    if not states:
        return
    version = await next_version(session, Counter.STATUS)
    rows = [state_fields(state) | _shown_fields(row, last) for row, state, last in states]
    await session.execute(WRITE, {"version": version, "rows": as_json(rows)})


def _shown_fields(row: Row[Any], last: Reading | None) -> dict[str, Any]:
    if last is None:
        return {"site_id": row.site_id, "rtt_us": row.rtt_us, "loss_pct": row.loss_pct}
    loss_pct = round(100 * (1 - len(last.rtt_us) / last.sent), 1) if last.sent else None
    return {"site_id": row.site_id, "rtt_us": median_us(last) or None, "loss_pct": loss_pct}


def as_json(rows: Sequence[dict[str, Any]]) -> str:
    return orjson.dumps(rows).decode()
