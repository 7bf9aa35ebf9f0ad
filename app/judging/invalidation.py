"""Marks of what has to be counted again: whatever changes a stretch of the past says so here, as it changes it."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import WITA, WITA_SQL, midnight, utc_now
from app.judging.dirty_range import DirtyRange
from app.postgres.engine import Counter, bump

CLOSES_AFTER_DAYS = 8  # after a month's end: late data is accepted for seven days

# An outage counts for a contract by its whole length, so a change at one end of it is a change of all its days. A mark
# that is there already is written again: its row stays locked until this transaction ends, so that nobody counts the
# day and takes the mark away meanwhile.
REACH = f"""
WITH RECURSIVE reach AS (
    SELECT * FROM unnest(cast(:ids AS integer[]), cast(:lows AS timestamptz[]), cast(:highs AS timestamptz[]),
        cast(:wholes AS boolean[])) AS s(site_id, low, high, whole)
    UNION
    SELECT r.site_id, least(r.low, g.started_at), greatest(r.high, coalesce(g.ended_at, r.high)), r.whole
    FROM reach r JOIN state_segment g ON r.whole AND g.site_id = r.site_id AND g.state IN ('down', 'unreachable')
        AND tstzrange(g.started_at, g.ended_at) && tstzrange(r.low - interval '1 microsecond', r.high, '[]')
), touched AS (
    SELECT DISTINCT r.site_id, day::date AS day
    FROM reach r, LATERAL generate_series(
        (r.low AT TIME ZONE {WITA_SQL})::date::timestamp,
        (greatest(r.low, r.high - interval '1 microsecond') AT TIME ZONE {WITA_SQL})::date::timestamp,
        interval '1 day'
    ) day
    WHERE day < (now() AT TIME ZONE {WITA_SQL})::date
)
"""
TOUCHES = text(f"{REACH} SELECT EXISTS (SELECT FROM touched)")
MARK_DAYS = text(f"""{REACH}
INSERT INTO stale_day (site_id, day)
SELECT t.site_id, t.day FROM touched t JOIN site s ON s.id = t.site_id WHERE s.kind = 'access_point' ORDER BY 1, 2
ON CONFLICT (site_id, day) DO UPDATE SET marked_at = now(), due_at = now()
""")
MARK_MONTHS = text(f"""{REACH}
INSERT INTO stale_month (site_id, month, reason)
SELECT DISTINCT site_id, date_trunc('month', day)::date AS month, :reason FROM touched
WHERE date_trunc('month', day) + interval '1 month {CLOSES_AFTER_DAYS} days'
    <= now() AT TIME ZONE {WITA_SQL} + interval '1 hour'
ORDER BY site_id, month
ON CONFLICT (site_id, month) DO UPDATE SET reason = excluded.reason
""")


async def invalidate(session: AsyncSession, spans: Sequence[DirtyRange], *, reason: str = "late data") -> None:
    """Marks the days that are over, and the months that may be closed, in which these spans lie.

    To be called after the change itself, in the same transaction; `reason` is what a correction of a closed month says.
    The counter comes first: whoever else is here waits before it marks anything, so that no two wait for each other.
    """
    today = midnight(utc_now().astimezone(WITA).date())
    spans = [span for span in spans if span.whole or span.start < today]
    if not spans:
        return
    bounds = {
        "ids": [span.site_id for span in spans],
        "lows": [span.start for span in spans],
        "highs": [span.end for span in spans],
        "wholes": [span.whole for span in spans],
    }
    if not await session.scalar(TOUCHES, bounds):
        return
    await bump(session, Counter.PAST)
    await session.execute(MARK_DAYS, bounds)
    await session.execute(MARK_MONTHS, {**bounds, "reason": reason})
