"""Latency of a site over a period, from its single readings. Lost packets count as loss and never as latency."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.periods import Period, Step

# Jitter is the mean absolute difference of neighbouring packets of one reading.
ROWS = text("""
WITH reading AS (
    SELECT width_bucket(slot, cast(:starts AS timestamptz[])) AS n, sent, rtt_us FROM measurement
    WHERE site_id = :site AND slot >= :first AND slot < :last AND outcome <> 'fault'
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
SELECT n, loss.received AS samples,
    CASE WHEN loss.sent > 0 THEN floor(100000.0 * (loss.sent - loss.received) / loss.sent) / 1000 END AS loss_pct,
    least / 1000.0 AS min_ms, mean / 1000.0 AS mean_ms, pct[1] / 1000.0 AS p50_ms, pct[2] / 1000.0 AS p95_ms,
    pct[3] / 1000.0 AS p99_ms, most / 1000.0 AS max_ms, jitter / 1000.0 AS jitter_ms
FROM loss LEFT JOIN timing USING (n)
""")

FIGURES = ("loss_pct", "min_ms", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms", "jitter_ms")


async def latency(session: AsyncSession, site_id: int, period: Period, step: Step) -> dict[str, Any]:
    parts = list(period.cut(step))
    series = await _rows(session, site_id, parts)
    (total,) = await _rows(session, site_id, [period])
    return {"from": period.start, "to": period.end, "step": step, "series": series, "total": total}


async def _rows(session: AsyncSession, site_id: int, parts: list[Period]) -> list[dict[str, Any]]:
    """One scan over all parts; a part without readings has no figures."""
    bounds = {"starts": [part.start for part in parts], "first": parts[0].start, "last": parts[-1].end}
    found = {row.n: row for row in await session.execute(ROWS, {"site": site_id, **bounds})}
    return [_row(part, found.get(number)) for number, part in enumerate(parts, 1)]


def _row(part: Period, row: Any) -> dict[str, Any]:
    figures = {name: _rounded(getattr(row, name, None)) for name in FIGURES}
    return {"start": part.start, "end": part.end, "samples": row.samples if row else 0, **figures}


def _rounded(value: Any) -> float | None:
    return None if value is None else round(float(value), 3)
