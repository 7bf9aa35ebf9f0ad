"""Writes what devices said as stretches, in the caller's transaction; what was taken before adds nothing."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.telemetry.models import TelemetryKind
from app.telemetry.stretches import SaidStretch, join
from probes.telemetry import LinkState, Telemetry

READ_EVERY_S = {TelemetryKind.STARLINK_ACCOUNT: 15, TelemetryKind.STARLINK_TERMINAL: 300, TelemetryKind.SNMP: 300}
BRIDGE_S = {TelemetryKind.STARLINK_ACCOUNT: 60, TelemetryKind.STARLINK_TERMINAL: 750, TelemetryKind.SNMP: 750}
AHEAD = timedelta(minutes=2)  # a device whose clock is further ahead says nothing of that time
MAX_AGE = timedelta(days=7)

# Sources are locked in the order of their ids, so that no two transactions can deadlock.
LAST_STRETCHES = text("""
    SELECT s.site_id, l.started_at, l.seen_at, l.state, l.cause, l.samples, l.widest_gap_s, l.booted_at, l.alerts,
        l.figures, l.heard_at
    FROM (
        SELECT id, site_id FROM telemetry_source
        WHERE kind = :kind AND site_id = ANY(cast(:sites AS int[])) ORDER BY id FOR UPDATE
    ) s
    LEFT JOIN LATERAL (
        SELECT * FROM telemetry_stretch t WHERE t.site_id = s.site_id AND t.kind = :kind
        ORDER BY started_at DESC LIMIT 1
    ) l ON true
""")
WRITE = text("""
    INSERT INTO telemetry_stretch AS t (site_id, kind, witness, started_at, seen_at, state, cause, samples,
        widest_gap_s, booted_at, alerts, figures, heard_at)
    SELECT n.site_id, s.kind, s.witness, n.started_at, n.seen_at, n.state, n.cause, n.samples, n.widest_gap_s,
        n.booted_at, n.alerts, n.figures, n.heard_at
    FROM json_to_recordset(cast(:rows AS json)) AS n(
        site_id int, started_at timestamptz, seen_at timestamptz, state text, cause text, samples int,
        widest_gap_s int, booted_at timestamptz, alerts text[], figures jsonb, heard_at timestamptz)
    JOIN telemetry_source s ON s.site_id = n.site_id AND s.kind = :kind
    ON CONFLICT (site_id, kind, started_at) DO UPDATE SET seen_at = excluded.seen_at, samples = excluded.samples,
        widest_gap_s = excluded.widest_gap_s, booted_at = excluded.booted_at, alerts = excluded.alerts,
        figures = excluded.figures
""")
MARK = text("""
    UPDATE telemetry_source s SET said_at = n.seen_at, read_at = :now, failures = 0, problem = NULL
    FROM json_to_recordset(cast(:rows AS json)) AS n(site_id int, seen_at timestamptz)
    WHERE s.site_id = n.site_id AND s.kind = :kind
""")
DELETE_OLD_STRETCHES = text("DELETE FROM telemetry_stretch WHERE seen_at < :before")
DELETE_OLD_GAPS = text("DELETE FROM telemetry_gap WHERE ended_at < :before")


async def record(
    session: AsyncSession, kind: TelemetryKind, said: Mapping[int, Sequence[Telemetry]], *, now: datetime
) -> int:
    """Add what was said of each site, if it has a source of that kind; return how many answers were known already."""
    said = {
        site_id: [each for each in samples if now - MAX_AGE <= each.at <= now + AHEAD]
        for site_id, samples in said.items()
    }
    rows = await session.execute(LAST_STRETCHES, {"kind": kind.value, "sites": sorted(said)})
    changed: list[dict[str, Any]] = []
    last_said: list[dict[str, Any]] = []
    late = 0
    for site_id, *last in rows:
        stretches, known = join(_stretch(last), said[site_id], bridge_s=BRIDGE_S[kind], heard_at=now)
        late += known
        changed += [_row(site_id, stretch) for stretch in stretches]
        if stretches:
            last_said.append({"site_id": site_id, "seen_at": stretches[-1].seen_at})
    if changed:
        await session.execute(WRITE, {"kind": kind.value, "rows": _json(changed)})
        await session.execute(MARK, {"kind": kind.value, "now": now, "rows": _json(last_said)})
    return late


async def delete_old(session: AsyncSession, before: datetime) -> None:
    """Stretches are kept as raw readings are; disagreements longer."""
    await session.execute(DELETE_OLD_STRETCHES, {"before": before})
    await session.execute(DELETE_OLD_GAPS, {"before": before})


def _stretch(columns: Sequence[Any]) -> SaidStretch | None:
    if columns[0] is None:
        return None
    started_at, seen_at, state, cause, samples, widest_gap_s, booted_at, alerts, figures, heard_at = columns
    return SaidStretch(
        started_at, seen_at, LinkState(state), cause, samples, widest_gap_s, booted_at, tuple(alerts), figures, heard_at
    )


def _row(site_id: int, stretch: SaidStretch) -> dict[str, Any]:
    names = ("started_at", "seen_at", "cause", "samples", "widest_gap_s", "booted_at", "alerts", "figures", "heard_at")
    return {"site_id": site_id, "state": stretch.state.value, **{name: getattr(stretch, name) for name in names}}


def _json(rows: list[dict[str, Any]]) -> str:
    return orjson.dumps(rows).decode()
