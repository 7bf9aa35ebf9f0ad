"""Up to when a site's states are settled: what still arrives in time changes them from there on only.

Judgement reaches back: degraded begins at the first offending reading of its window, an outage at its first lost look,
a state that lapses ends one interval after its evidence, and a loss behind a parent that turns out to be down is
`unreachable`. Before that moment only a correction changes a state: late data, or blindness found afterwards.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, from_slot
from app.core.freshness import hold_sql, holds_until, lapses_at, overdue_after_sql
from app.core.periods import Period
from app.judging.judge import JudgeState
from app.judging.vantage_waits import WAIT_S

WRITTEN_WITHIN_S = 30  # a look, the canaries' answer after it, and its way into the database
JUDGED_WITHIN_S = WRITTEN_WITHIN_S + WAIT_S  # where looks of several vantages wait for each other

# `settled_until` below, of the state in `site_status`, with what lies beyond that: undecided holds, and parents.
# One whose outage is known is settled; any other may turn out to be out since its last answer, with losses behind it.
SETTLED = text(f"""
    WITH site_state AS (
        SELECT st.*, s.parent_id, cast(:now AS timestamptz) - make_interval(
                secs => CASE WHEN cardinality(s.vantages) > 1 THEN {JUDGED_WITHIN_S} ELSE {WRITTEN_WITHIN_S} END
            ) - CASE WHEN s.probe = 'push' THEN {overdue_after_sql("st.valid_s")} ELSE interval '0' END AS expected_from
        FROM site_status st JOIN site s ON s.id = st.site_id
        WHERE st.site_id = ANY(:ids) AND s.lifecycle = 'active'
    ), own AS (
        SELECT c.site_id, c.parent_id, least(
            c.expected_from,
            CASE WHEN c.pending_at + {hold_sql("c.valid_s")} >= c.expected_from THEN c.pending_at END,
            CASE WHEN c.evidence_at + {hold_sql("c.valid_s")} >= c.expected_from THEN least(
                c.evidence_at + make_interval(secs => c.valid_s), c.window_from
            ) END,
            (SELECT min(x.started_at) FROM suspect x WHERE x.site_id = c.site_id AND x.excused IS NULL)
        ) AS settled
        FROM site_state c
    )
    SELECT min(least(own.settled, behind.since)) FROM own LEFT JOIN LATERAL (
        SELECT greatest(p.last_ok_at, min(g.started_at)) AS since
        FROM site_status p JOIN site s ON s.id = p.site_id AND s.lifecycle = 'active'
            JOIN state_segment g ON g.site_id = own.site_id AND g.state = 'down'
                AND tstzrange(g.started_at, g.ended_at) && tstzrange(p.last_ok_at, NULL)
        WHERE p.site_id = own.parent_id AND p.last_ok_at IS NOT NULL AND NOT EXISTS (
            SELECT FROM state_segment o WHERE o.site_id = p.site_id AND o.state IN ('down', 'unreachable')
                AND o.started_at >= p.last_ok_at
        ) GROUP BY p.last_ok_at
    ) behind ON true
""")


def settled_until(state: JudgeState, expected_from: datetime) -> datetime:
    """Return up to when no reading with a slot from `expected_from` on changes a state."""
    moments = [expected_from]
    if state.pending_at is not None and holds_until(state.pending_at, state.valid_s) >= expected_from:
        moments.append(state.pending_at)
    if state.evidence_at is not None and holds_until(state.evidence_at, state.valid_s) >= expected_from:
        moments.append(lapses_at(state.evidence_at, state.valid_s))
        moments += [from_slot(reading.slot) for reading in state.window[:1]]
    return min(moments)


async def sites_settled_until(
    session: AsyncSession, site_ids: Collection[int], period: Period, *, now: datetime
) -> datetime:
    """Return up to when the states of all these sites are settled, within the period. Sites out of service are.

    Call it before the states are read: what is judged in between makes them look less settled than they are.
    """
    settled = await session.scalar(SETTLED, {"ids": sorted(site_ids), "now": now})
    return max(period.start, min(period.end, floor_second(settled or now)))
