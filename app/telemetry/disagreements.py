"""Where a terminal or provider says otherwise than the ledger: compared anew after every judgement. It changes nothing.

A stretch speaks of a time only where it must have answers in it: one of which any `widest_gap_s` holds none may have
been silent there. So the time in common is three such gaps at least, and five minutes; of all stretches together that
say the same in one segment of the ledger, as an answer that says nothing now and then divides them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.periods import Period
from app.witnesses.kinds import WitnessKind
from probes.telemetry import LinkState

LEAST_S = 300

FORGET = text("DELETE FROM telemetry_disagreement WHERE ended_at > :since")
COMPARE = text(f"""
    INSERT INTO telemetry_disagreement (site_id, kind, started_at, ended_at, witness, said)
    SELECT site_id, kind, starts, max(ends), witness, state FROM (
        SELECT t.site_id, t.kind, t.witness, t.state, c.starts, c.ends,
            sum(c.ends - c.starts) OVER alike AS total, max(t.widest_gap_s) OVER alike AS widest_gap_s
        FROM telemetry_stretch t
        CROSS JOIN LATERAL (
            SELECT s.started_at AS began, greatest(t.started_at, s.started_at) AS starts, least(t.seen_at, coalesce(
                s.ended_at, CASE s.state WHEN 'down' THEN now() ELSE st.evidence_at END)) AS ends
            FROM state_segment s JOIN site_status st ON st.site_id = s.site_id
            WHERE s.site_id = t.site_id AND s.started_at < t.seen_at
                AND coalesce(s.ended_at, 'infinity') > t.started_at
                AND s.state = ANY(CASE t.state WHEN 'up' THEN '{{down}}'::text[] ELSE '{{up,degraded}}'::text[] END)
        ) c
        WHERE t.seen_at > cast(:since AS timestamptz) - interval '1 day' AND t.state IN ('up', 'down')
            AND c.ends > c.starts
        WINDOW alike AS (PARTITION BY t.site_id, t.kind, t.witness, t.state, c.began)
    ) common
    WHERE ends > :since AND total >= make_interval(secs => greatest({LEAST_S}, 3 * widest_gap_s))
    GROUP BY site_id, kind, starts, witness, state
    ON CONFLICT DO NOTHING
""")
SUM = text("""
    SELECT site_id, witness, said,
        round(sum(extract(epoch FROM least(ended_at, :end) - greatest(started_at, :start))))::int AS seconds
    FROM telemetry_disagreement
    WHERE site_id = ANY(cast(:sites AS int[])) AND started_at < :end AND ended_at > :start
    GROUP BY site_id, witness, said
""")
LIST = text("""
    SELECT site_id, kind, witness, said, CASE said WHEN 'up' THEN 'down' ELSE 'up' END AS measured,
        started_at, ended_at
    FROM telemetry_disagreement
    WHERE site_id = ANY(cast(:sites AS int[])) AND started_at < :end AND ended_at > :start
    ORDER BY started_at DESC, kind LIMIT :limit
""")


async def compare(session: AsyncSession, *, since: datetime) -> None:
    """Replace those that end after `since` by what stretches and ledger say now."""
    await session.execute(FORGET, {"since": since})
    await session.execute(COMPARE, {"since": since})


@dataclass(frozen=True, slots=True)
class SiteDisagreement:
    """For how long within a period a witness said otherwise than was measured."""

    site_id: int
    witness: WitnessKind
    said: LinkState
    seconds: int


async def sum_by_site(session: AsyncSession, sites: Collection[int], period: Period) -> list[SiteDisagreement]:
    values = {"sites": sorted(sites), "start": period.start, "end": period.end}
    return [
        SiteDisagreement(row.site_id, WitnessKind(row.witness), LinkState(row.said), row.seconds)
        for row in await session.execute(SUM, values)
    ]


async def list_disagreements(
    session: AsyncSession, sites: Collection[int], period: Period, *, limit: int = 500
) -> Sequence[Any]:
    """Return those within a period, the latest first."""
    values = {"sites": sorted(sites), "start": period.start, "end": period.end, "limit": limit}
    return (await session.execute(LIST, values)).all()
