"""Latency of a site over a period, from its single readings. Lost packets count as loss and never as latency."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.periods import Period, Step

# Jitter is the mean absolute difference of neighbouring packets of one reading.
ROWS = text("""
WITH part AS (
    SELECT n, start, ends
    FROM unnest(cast(:starts AS timestamptz[]), cast(:ends AS timestamptz[])) WITH ORDINALITY AS p(start, ends, n)
), reading AS (
    SELECT part.n, m.sent, m.rtt_us FROM part
    JOIN measurement m ON m.site_id = :site AND m.slot >= part.start AND m.slot < part.ends AND m.outcome <> 'fault'
), packet AS (
    SELECT n, rtt, abs(rtt - lag(rtt) OVER (PARTITION BY n, reading_no ORDER BY place)) AS step
    FROM (SELECT n, rtt_us, row_number() OVER () AS reading_no FROM reading) r,
        LATERAL unnest(rtt_us) WITH ORDINALITY AS u(rtt, place)
), timing AS (
    SELECT n, min(rtt) AS least, avg(rtt) AS mean, max(rtt) AS most, avg(step) AS jitter,
        percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY rtt) AS pct
    FROM packet GROUP BY n
), loss AS (
    SELECT n, sum(sent) AS sent, sum(cardinality(rtt_us)) AS received FROM reading GROUP BY n
)
SELECT part.n, coalesce(loss.received, 0) AS samples,
    CASE WHEN loss.sent > 0 THEN floor(100000.0 * (loss.sent - loss.received) / loss.sent) / 1000 END AS loss_pct,
    least / 1000.0 AS min_ms, mean / 1000.0 AS mean_ms, pct[1] / 1000.0 AS p50_ms, pct[2] / 1000.0 AS p95_ms,
    pct[3] / 1000.0 AS p99_ms, most / 1000.0 AS max_ms, jitter / 1000.0 AS jitter_ms
FROM part LEFT JOIN loss USING (n) LEFT JOIN timing USING (n) ORDER BY part.n
""")

FIGURES = ("loss_pct", "min_ms", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms", "jitter_ms")


async def latency(session: AsyncSession, site_id: int, period: Period, step: Step) -> dict[str, Any]:
    parts = list(period.cut(step))
    series = await _rows(session, site_id, parts)
    (total,) = await _rows(session, site_id, [period])
    return {"from": period.start, "to": period.end, "step": step, "series": series, "total": total}


async def _rows(session: AsyncSession, site_id: int, parts: list[Period]) -> list[dict[str, Any]]:
    rows = await session.execute(
        ROWS, {"site": site_id, "starts": [part.start for part in parts], "ends": [part.end for part in parts]}
    )
    return [
        {"start": part.start, "end": part.end, "samples": row.samples}
        | {name: _rounded(getattr(row, name)) for name in FIGURES}
        for part, row in zip(parts, rows, strict=True)
    ]


def _rounded(value: Any) -> float | None:
    return None if value is None else round(float(value), 3)
