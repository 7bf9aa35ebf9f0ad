"""Routers that are due to be read over SNMP, and what reading them came to."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.telemetry import recording
from app.telemetry.models import TelemetryKind
from probes.telemetry import Telemetry

EVERY_S = recording.READ_EVERY_S[TelemetryKind.SNMP]
LONGEST_PAUSE_S = 3_600
AT_ONCE = 100

DUE = text("""
    SELECT s.id, s.site_id, s.host, s.port, s.interface, s.interface_name, s.secret
    FROM telemetry_source s JOIN site ON site.id = s.site_id
    WHERE s.kind = 'snmp' AND site.lifecycle = 'active' AND (s.next_at IS NULL OR s.next_at <= :now)
    ORDER BY s.next_at NULLS FIRST, s.id LIMIT :most
""")
READ = text("""
    UPDATE telemetry_source SET next_at = :next_at, interface_name = :interface_name WHERE id = :id
""")
FAILED = text(f"""
    UPDATE telemetry_source SET failures = failures + 1, problem = :problem,
        next_at = cast(:now AS timestamptz)
            + make_interval(secs => least({LONGEST_PAUSE_S}, {EVERY_S} * 2 ^ least(failures, 8)))
    WHERE id = :id
""")


async def list_due(session: AsyncSession, now: datetime) -> Sequence[Any]:
    return (await session.execute(DUE, {"now": now, "most": AT_ONCE})).all()


async def note_read(session: AsyncSession, source: Any, said: Telemetry, *, now: datetime) -> None:
    """Record what a router said; the next time is the source's own second of five minutes, so that they are spread."""
    await recording.record(session, TelemetryKind.SNMP, {source.site_id: [said]}, now=now)
    values = {"id": source.id, "next_at": next_at(source.id, now), "interface_name": said.device}
    await session.execute(READ, values)


async def note_failure(session: AsyncSession, source_id: int, problem: str, *, now: datetime) -> None:
    """Ask later: after five minutes first, then twice as long each time, up to an hour."""
    values = {"id": source_id, "problem": problem[:100], "now": now}
    await session.execute(FAILED, values)


def next_at(source_id: int, now: datetime) -> datetime:
    """Return the next second of the source's own phase."""
    passed_s = (int(now.timestamp()) - source_id * 37) % EVERY_S
    return now.replace(microsecond=0) + timedelta(seconds=EVERY_S - passed_s)
