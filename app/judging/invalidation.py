"""Invalidates counted days and closed months: whatever changes a stretch of the past calls this in its transaction."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import WITA, WITA_SQL, midnight, utc_now
from app.judging.dirty_range import DirtyRange
from app.postgres.engine import Counter, bump

CLOSES_AFTER_DAYS = 8  # after a month's end: late data is accepted for seven days

# An outage counts in its whole length, across what nobody saw of it, so a change at one end of it changes all its days:
# `reach` follows what lies between two answers, up to the last state (`lost`) that is part of an outage. Degraded time
# counts in its whole length too, where the terms of a contract of the site say that it does (`weighs`). A row that
# exists already is updated: it stays locked until this transaction ends, so no job can count the day and delete the
# row meanwhile.
AFFECTED_DAYS = f"""
WITH RECURSIVE reach AS (
    SELECT * FROM unnest(cast(:ids AS integer[]), cast(:lows AS timestamptz[]), cast(:highs AS timestamptz[]),
        cast(:wholes AS boolean[])) AS s(site_id, low, high, whole), LATERAL (SELECT true, EXISTS (
            SELECT FROM site_contract a JOIN contract_terms t ON t.contract_id = a.contract_id
            WHERE a.site_id = s.site_id AND a.withdrawn_at IS NULL AND t.degraded_counts
        )) AS l(lost, weighs)
    UNION
    SELECT r.site_id, least(r.low, g.started_at), greatest(r.high, coalesce(g.ended_at, r.high)), r.whole,
        g.state <> 'unknown', r.weighs
    FROM reach r JOIN state_segment g ON r.whole AND g.site_id = r.site_id
        AND (g.state NOT IN ('up', 'degraded') OR (r.weighs AND g.state = 'degraded'))
        AND tstzrange(g.started_at, g.ended_at) && tstzrange(r.low - interval '1 microsecond', r.high, '[]')
), affected AS (
    SELECT DISTINCT r.site_id, day::date AS day
    FROM reach r, LATERAL generate_series(
        (r.low AT TIME ZONE {WITA_SQL})::date::timestamp,
        (greatest(r.low, r.high - interval '1 microsecond') AT TIME ZONE {WITA_SQL})::date::timestamp,
        interval '1 day'
    ) day
    WHERE r.lost AND day < (now() AT TIME ZONE {WITA_SQL})::date
)
"""
IS_ANY_AFFECTED = text(f"{AFFECTED_DAYS} SELECT EXISTS (SELECT FROM affected)")
INVALIDATE_DAYS = text(f"""{AFFECTED_DAYS}
INSERT INTO stale_day (site_id, day)
SELECT a.site_id, a.day FROM affected a
WHERE EXISTS (SELECT FROM site_configuration c WHERE c.site_id = a.site_id AND c.kind = 'access_point')
ORDER BY 1, 2
ON CONFLICT (site_id, day) DO UPDATE SET marked_at = now(), due_at = now()
""")
INVALIDATE_MONTHS = text(f"""{AFFECTED_DAYS}
INSERT INTO stale_month (site_id, month, reason)
SELECT DISTINCT site_id, date_trunc('month', day)::date AS month, :reason FROM affected
WHERE date_trunc('month', day) + interval '1 month {CLOSES_AFTER_DAYS} days'
    <= now() AT TIME ZONE {WITA_SQL} + interval '1 hour'
ORDER BY site_id, month
ON CONFLICT (site_id, month) DO UPDATE SET reason = CASE
    WHEN strpos(concat('; ', stale_month.reason, ';'), concat('; ', excluded.reason, ';')) > 0 THEN stale_month.reason
    ELSE concat(stale_month.reason, '; ', excluded.reason)
END
""")


async def invalidate(session: AsyncSession, dirty_ranges: Sequence[DirtyRange], *, reason: str = "late data") -> None:
    """Have the past days that these ranges reach recounted, and the months that may be closed corrected.

    Call it after the change itself, in the same transaction. The correction of a closed month gives `reason`, beside
    those of the earlier changes in it; providers read it: it has no name.
    The counter is bumped first: its row lock queues concurrent callers, so their row locks cannot deadlock.
    """
    today = midnight(utc_now().astimezone(WITA).date())
    dirty_ranges = [dirty for dirty in dirty_ranges if dirty.whole or dirty.start < today]
    if not dirty_ranges:
        return
    parameters = {
        "ids": [dirty.site_id for dirty in dirty_ranges],
        "lows": [dirty.start for dirty in dirty_ranges],
        "highs": [dirty.end for dirty in dirty_ranges],
        "wholes": [dirty.whole for dirty in dirty_ranges],
    }
    if not await session.scalar(IS_ANY_AFFECTED, parameters):
        return
    await bump(session, Counter.PAST)
    await session.execute(INVALIDATE_DAYS, parameters)
    await session.execute(INVALIDATE_MONTHS, {**parameters, "reason": reason})
