"""What terminals and providers said about a second of a site, for those who compare witnesses."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.telemetry.models import TelemetryStretch
from app.witnesses.kinds import Says, WitnessKind
from app.witnesses.statement import Statement
from probes.telemetry import LinkState

SECOND = timedelta(seconds=1)
SAYS = {LinkState.UP: Says.UP, LinkState.DOWN: Says.DOWN, LinkState.UNKNOWN: Says.NOTHING}
GAPS = text("""
    SELECT g.started_at, g.ended_at, g.reason, g.found_at FROM telemetry_gap g
    JOIN telemetry_source s ON s.account_id = g.account_id
    WHERE s.site_id = :site_id AND g.started_at <= :at AND (g.ended_at IS NULL OR g.ended_at > :at)
    ORDER BY g.started_at LIMIT 1
""")


async def statements_at(session: AsyncSession, site_id: int, at: datetime) -> list[Statement]:
    """Return what was said of `at`, and a provider's gap as a statement that says nothing."""
    query = select(TelemetryStretch).where(
        TelemetryStretch.site_id == site_id,
        TelemetryStretch.started_at <= at,
        TelemetryStretch.seen_at > at - SECOND,
    )
    said = [_statement(stretch) for stretch in await session.scalars(query.order_by(TelemetryStretch.kind))]
    gaps = await session.execute(GAPS, {"site_id": site_id, "at": at})
    return said + [
        Statement(
            WitnessKind.PROVIDER,
            Says.NOTHING,
            gap.started_at,
            None if gap.ended_at is None else max(gap.ended_at, gap.started_at + SECOND),
            gap.found_at,
            {"kind": "starlink_account", "gap": gap.reason},
        )
        for gap in gaps
    ]


def _statement(stretch: TelemetryStretch) -> Statement:
    detail: dict[str, Any] = {
        "kind": stretch.kind.value,
        "answers": stretch.samples,
        "widest_gap_s": stretch.widest_gap_s,
        "alerts": stretch.alerts,
        **stretch.figures,
    }
    if stretch.booted_at is not None:
        detail["booted_at"] = stretch.booted_at.isoformat()
    return Statement(
        stretch.witness, SAYS[stretch.state], stretch.started_at, stretch.seen_at + SECOND, stretch.heard_at, detail
    )
