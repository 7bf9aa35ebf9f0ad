"""Read how many speed tests reached the contract's speed, each by the terms of its own day."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import SiteGroup
from app.compliance.line import Line, LineKey, SpeedCounts, SpeedTier
from app.compliance.method import Method
from app.compliance.shares import Share
from app.core.clock import WITA_SQL, to_wita
from app.core.periods import Period
from app.profiles import Technology
from app.throughput.statistics import TESTED, test_condition

# By site, the speeds of the primary link's contract from day to day; a contract's first terms also hold before they do.
PROMISED = """
    SELECT a.site_id, daterange(a.started_on, a.ended_on) * t.days AS days, t.bandwidth_down_mbps AS down,
        t.bandwidth_up_mbps AS up
    FROM site_contract a JOIN (
        SELECT contract_id, bandwidth_down_mbps, bandwidth_up_mbps, daterange(
            CASE WHEN row_number() OVER terms > 1 THEN started_on END, lead(started_on) OVER terms
        ) AS days
        FROM contract_terms WINDOW terms AS (PARTITION BY contract_id ORDER BY started_on)
    ) t ON t.contract_id = a.contract_id
    WHERE a.link_role = 'primary' AND a.withdrawn_at IS NULL AND daterange(a.started_on, a.ended_on) && t.days
"""
# What a test was to reach: the dated terms; of a line with a speed of its own that, as when the test was planned.
OF_DIRECTION = "coalesce(CASE WHEN s.bandwidth_{0}_mbps IS NULL THEN p.{0} END, t.contract_{0}_mbps)"
# It ran, and there is no rate; or its device did not take it, or put it off until its time was over: only the device
# says that the link was in use. Some failures are our own, or of what we registered.
OUR_FAILURES = ("stopped", "forbidden", "bad_url", "no_http")
WITHOUT_RESULT = f"""(t.status = 'invalid' OR (t.status = 'failed' AND coalesce(t.reason, '') NOT IN {OUR_FAILURES})
    OR (t.status = 'skipped' AND t.reason IN ('not_taken', 'deferred')))"""
# Those that were made for certificates (app/certificates) have their place there, and would weigh more here.
TEST = f"""
    SELECT t.site_id, t.provider_id, t.technology, t.mode = 'push' AS pushes, t.planned_at, t.started_at, t.mode,
        t.status, t.reason, t.for_certificate,
        CASE WHEN t.status IN ('skipped', 'failed', 'invalid') THEN concat_ws('_', t.status, t.reason) END AS lacks,
        CASE WHEN t.status = 'done' THEN t.down_mbps END AS down,
        CASE WHEN t.status = 'done' THEN t.up_mbps END AS up,
        {OF_DIRECTION.format("down")} AS promised_down, {OF_DIRECTION.format("up")} AS promised_up,
        {WITHOUT_RESULT} OR (t.status = 'done' AND t.down_mbps IS NULL) AS contested_down,
        t.mode = 'push' AND ({WITHOUT_RESULT} OR (t.status = 'done' AND t.up_mbps IS NULL)) AS contested_up,
        extract(hour FROM coalesce(t.started_at, t.planned_at) AT TIME ZONE {WITA_SQL}) >= :evening AS in_evening
    FROM (SELECT * FROM {TESTED} {{condition}}) t JOIN site s ON s.id = t.site_id
    LEFT JOIN promised p ON p.site_id = t.site_id
        AND p.days @> (coalesce(t.started_at, t.planned_at) AT TIME ZONE {WITA_SQL})::date
"""
TESTS = f"""
    WITH promised AS ({PROMISED}), test AS ({TEST})
    SELECT site_id, provider_id, technology, in_evening, lacks, count(*) AS planned, bool_or(pushes) AS pushes,
        {{counts}}
    FROM test WHERE NOT for_certificate GROUP BY site_id, provider_id, technology, in_evening, lacks
"""
COUNTS = """
        count(*) FILTER (WHERE {0} IS NOT NULL AND promised_{0} > 0) AS {0}_counted,
        count(*) FILTER (WHERE 100 * {0} >= :pct * promised_{0} AND promised_{0} > 0) AS {0}_passed,
        count(*) FILTER (WHERE contested_{0} AND promised_{0} > 0) AS {0}_contested,
        count(*) FILTER (WHERE {0} IS NOT NULL AND promised_{0} IS NULL) AS {0}_unpromised"""
TIERS = text(f"""
    WITH promised AS ({PROMISED})
    SELECT DISTINCT ON (s.id) s.id, coalesce(s.bandwidth_down_mbps, p.down) AS down,
        coalesce(s.bandwidth_up_mbps, p.up) AS up
    FROM site s LEFT JOIN promised p ON p.site_id = s.id AND p.days && daterange(:first, :next)
    WHERE s.id = ANY(cast(:sites AS int[])) ORDER BY s.id, upper(p.days) DESC NULLS FIRST
""")


async def add_tests(
    session: AsyncSession, lines: Mapping[LineKey, Line], group: SiteGroup, period: Period, method: Method
) -> None:
    """Count the group's tests into their lines; `lines` makes a new one for a key that it lacks."""
    condition, values = test_condition(group)
    counts = ",".join(COUNTS.format(direction) for direction in ("down", "up"))
    rows = await session.execute(
        text(TESTS.format(condition=condition, counts=counts)),
        {
            **values,
            "start": period.start,
            "end": period.end,
            "evening": method.evening_hours[0],
            "pct": method.speed_of_contract_pct,
        },
    )
    for row in rows:
        line = lines[LineKey(row.site_id, row.provider_id, Technology(row.technology))]
        line.planned += row.planned
        line.pushes |= row.pushes
        if row.lacks is not None:
            line.not_made[row.lacks] += row.planned
        for direction, counted in (("down", line.down), ("up", line.up)):
            counted.add(_counts(row._asdict(), direction))


def _counts(row: Mapping[str, Any], direction: str) -> SpeedCounts:
    values = (row[f"{direction}_{name}"] for name in ("counted", "passed", "contested"))
    share = Share(*values)
    evening = Share(share.counted, share.passed, share.contested) if row["in_evening"] else Share()
    return SpeedCounts(share, evening, row[f"{direction}_unpromised"])


async def tiers_of(session: AsyncSession, site_ids: list[int], first: datetime, last: datetime) -> dict[int, SpeedTier]:
    """Return the speeds that each site's contract promised last, from first to last (exclusive)."""
    days = {"first": to_wita(first).date(), "next": to_wita(last).date()}
    rows = await session.execute(TIERS, {"sites": site_ids, **days})
    return {row.id: SpeedTier(row.down, row.up) for row in rows}
