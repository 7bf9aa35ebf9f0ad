"""What agents pass on of a site's terminal, beside the rows of a push. A push that is repeated adds nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.telemetry import recording
from app.telemetry.models import TelemetryKind
from app.witnesses.kinds import WitnessKind
from probes.starlink_terminal import NoStatus, read_status
from probes.telemetry import Telemetry

# A site's first push makes its source; one whose key is that of the push before is the same push again.
OPEN = text(f"""
    INSERT INTO telemetry_source AS s (site_id, kind, witness, last_key, read_at, problem)
    SELECT site_id, '{TelemetryKind.STARLINK_TERMINAL}', '{WitnessKind.TERMINAL}', key, received_at, problem
    FROM json_to_recordset(cast(:rows AS json)) AS n(
        site_id int, key text, received_at timestamptz, problem text)
    ORDER BY site_id
    ON CONFLICT (site_id, kind) DO UPDATE SET last_key = excluded.last_key, read_at = excluded.read_at,
        problem = excluded.problem
    WHERE s.last_key IS DISTINCT FROM excluded.last_key
    RETURNING site_id
""")


@dataclass(frozen=True, slots=True)
class TerminalReport:
    """`key`: the same in a repeated push, and in no other of the site; `answer`: as the terminal gave it."""

    site_id: int
    key: str
    received_at: datetime
    answer: bytes


async def record(session: AsyncSession, reports: Iterable[TerminalReport]) -> None:
    """Add what the terminals said when the pushes arrived; an answer that is none is the source's problem."""
    latest = {report.site_id: report for report in sorted(reports, key=lambda each: each.received_at)}
    if not latest:
        return
    said: dict[int, list[Telemetry]] = {}
    rows = []
    for site_id, report in latest.items():
        problem = None
        try:
            said[site_id] = [read_status(report.answer, report.received_at.replace(microsecond=0))]
        except NoStatus as error:
            problem = f"no_status: {error}"
        rows.append({"site_id": site_id, "key": report.key, "received_at": report.received_at, "problem": problem})
    new = set(await session.scalars(OPEN, {"rows": orjson.dumps(rows).decode()}))
    await recording.record(
        session,
        TelemetryKind.STARLINK_TERMINAL,
        {site_id: said[site_id] for site_id in sorted(said.keys() & new)},
        now=max(report.received_at for report in latest.values()),
    )
