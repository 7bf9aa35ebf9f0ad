"""The rows of a month's datasets, read from counted days, outages, histograms and speed tests: what is published only.

Each statement is one pass over a month of one table. Names and percentages are added in Python.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability.percent import percent
from app.core.clock import WITA_SQL, midnight
from app.core.periods import first_of_next_month
from app.latency import histogram_sql
from app.latency.histogram_sql import COLUMNS
from app.public.editions.fields import UPSTREAM
from app.public.history import PUBLISHED
from app.public.publication import Publication
from app.public.service_seconds import ServiceSeconds
from app.registry import regions
from app.registry.models import Cause
from app.throughput.statistics import WAS_ACCESS_POINT

Row = dict[str, Any]
Rows = dict[str, list[Row]]  # by dataset

IN_SERVICE = "(a.up + a.degraded + a.down + a.unreachable + a.unknown + a.maintenance) > 0"
IN_MONTH = f"a.day >= :first AND a.day < :next AND {PUBLISHED}"
AVAILABILITY = f"""
    SELECT {{keys}}, count(DISTINCT a.site_id) AS access_points, count(DISTINCT a.day) AS days,
        sum(a.up + a.degraded)::bigint AS good, sum(a.down + a.unreachable)::bigint AS bad,
        sum(a.unknown)::bigint AS unknown, sum(a.maintenance)::bigint AS maintenance
    FROM availability_day a WHERE {IN_MONTH} AND {IN_SERVICE} GROUP BY {{groups}} ORDER BY {{groups}}
"""
# Known causes are in `down_by_cause`; the rest of `down` is unclassified.
DOWN_BY_CAUSE = f"""
    SELECT code, cause, sum(seconds)::bigint AS seconds
    FROM availability_day a CROSS JOIN LATERAL (
        SELECT a.village_code AS code, cause, seconds::bigint FROM jsonb_each_text(a.down_by_cause) AS c(cause, seconds)
        UNION ALL SELECT a.village_code, '{Cause.UNCLASSIFIED}',
            a.down - coalesce((SELECT sum(s::bigint) FROM jsonb_each_text(a.down_by_cause) AS c(k, s)), 0)
        UNION ALL SELECT a.village_code, '{UPSTREAM}', a.unreachable
    ) AS told
    WHERE {IN_MONTH} GROUP BY code, cause HAVING sum(seconds) > 0
"""
OUTAGES = f"""
    SELECT a.village_code AS code, coalesce(c.cause, '{Cause.UNCLASSIFIED}') AS cause, count(*) AS outages
    FROM incident_site i
    JOIN site_configuration a ON a.site_id = i.site_id AND a.started_at <= i.started_at
        AND coalesce(i.started_at < a.ended_at, true)
    LEFT JOIN outage_cause c ON c.site_id = i.site_id AND c.withdrawn_at IS NULL AND c.started_at <= i.started_at
        AND coalesce(i.started_at < c.ended_at, true)
    WHERE i.started_at >= :start AND i.started_at < :end AND i.withdrawn_at IS NULL
        AND a.kind = 'access_point' AND a.lifecycle = 'active' AND {PUBLISHED}
    GROUP BY 1, 2
"""
# A site belongs where its configuration at the day's end says, as in the rollups of regions.
DAY_END = f"((d.day + 1)::timestamp AT TIME ZONE {WITA_SQL})"
HISTOGRAMS = f"""
    SELECT {{keys}}, {COLUMNS} FROM rollup_day d
    JOIN site_configuration a ON a.site_id = d.site_id AND a.started_at < {DAY_END}
        AND coalesce(a.ended_at >= {DAY_END}, true)
    WHERE d.day >= :first AND d.day < :next AND a.kind = 'access_point' AND {PUBLISHED}
"""
SPEED = f"""
    WITH site_figure AS (
        SELECT {{keys}}, t.site_id, count(*) AS tests, percentile_cont(0.5) WITHIN GROUP (ORDER BY t.down_mbps) AS down,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY t.up_mbps) AS up
        FROM throughput_test t
        CROSS JOIN LATERAL (SELECT t.technology, t.village_code, t.provider_id) AS a
        WHERE t.planned_at >= :start AND t.planned_at < :end AND t.status = 'done'
            AND {WAS_ACCESS_POINT} AND {PUBLISHED}
        GROUP BY {{keys}}, t.site_id
    )
    SELECT {{names}}, sum(tests)::bigint AS tests, percentile_cont(0.5) WITHIN GROUP (ORDER BY down) AS down,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY up) AS up
    FROM site_figure GROUP BY {{names}}
"""
BY_VILLAGE, BY_PROVIDER = ("village_code",), ("provider_id", "technology")
PROVIDERS = text("SELECT id, slug, name FROM provider")


async def read_rows(session: AsyncSession, month: date, publication: Publication) -> Rows:
    """Return the rows of each dataset that is published, in the order of their keys."""
    reader = _MonthReader(session, month, publication)
    rows = {
        "ketersediaan-kabupaten": await reader.availability_of_districts(),
        "penyedia-teknologi": await reader.by_provider(),
    }
    if publication.shows_villages:
        rows |= {
            "ketersediaan-desa": await reader.availability_of_villages(),
            "gangguan-desa": await reader.outages_of_villages(),
            "latensi-kecepatan-desa": await reader.latency_of_villages(),
        }
    return rows


class _MonthReader:
    def __init__(self, session: AsyncSession, month: date, publication: Publication) -> None:
        self._session, self._month = session, {"month": f"{month:%Y-%m}"}
        following = first_of_next_month(month)
        self._bounds: Row = {
            "first": month,
            "next": following,
            "start": midnight(month),
            "end": midnight(following),
            "technologies": sorted(publication.hidden_technologies),
            "regions": list(publication.hidden_regions),
        }

    async def availability_of_villages(self) -> list[Row]:
        rows = await self._read(AVAILABILITY.format(keys="a.village_code", groups="a.village_code"))
        return [self._month | _village(row.village_code) | _availability(row) for row in rows]

    async def availability_of_districts(self) -> list[Row]:
        rows = await self._read(AVAILABILITY.format(keys="left(a.village_code, 5) AS code", groups="1"))
        return [self._month | _district(row.code) | _availability(row) for row in rows]

    async def outages_of_villages(self) -> list[Row]:
        told: dict[tuple[str, str], Row] = defaultdict(lambda: {"outages": 0, "down_s": 0})
        for row in await self._read(DOWN_BY_CAUSE):
            told[row.code, row.cause]["down_s"] = row.seconds
        for row in await self._read(OUTAGES):
            told[row.code, row.cause]["outages"] = row.outages
        return [
            self._month | _village(code) | {"cause": cause} | figures for (code, cause), figures in sorted(told.items())
        ]

    async def latency_of_villages(self) -> list[Row]:
        latency, speed = await self._latency(BY_VILLAGE), await self._speed(BY_VILLAGE)
        return [
            self._month | _village(code) | latency.get((code,), NO_LATENCY) | speed.get((code,), NO_SPEED)
            for (code,) in sorted(latency.keys() | speed.keys())
        ]

    async def by_provider(self) -> list[Row]:
        keys = "a.provider_id, a.technology"
        rows = list(await self._read(AVAILABILITY.format(keys=keys, groups=keys)))
        latency, speed = await self._latency(BY_PROVIDER), await self._speed(BY_PROVIDER)
        providers = {row.id: row for row in await self._session.execute(PROVIDERS)}
        table = []
        for row in rows:
            key, provider = (row.provider_id, row.technology), providers[row.provider_id]
            names = {"provider": provider.slug, "provider_name": provider.name, "technology": row.technology}
            figures = _availability(row) | latency.get(key, NO_LATENCY) | speed.get(key, NO_SPEED)
            table.append(self._month | names | figures)
        return sorted(table, key=lambda row: (row["provider"], row["technology"]))

    async def _latency(self, by: tuple[str, ...]) -> Mapping[tuple[Any, ...], Row]:
        days = HISTOGRAMS.format(keys=", ".join(f"a.{name}" for name in by))
        names = ", ".join(by)
        buckets = histogram_sql.bucket_rows_of_histograms(f"({days})", names)
        merged = histogram_sql.histograms_of_bucket_rows(buckets, names)
        rows = await self._read(f"SELECT {names}, {histogram_sql.SUMMARY} FROM ({merged}) AS merged")
        return {tuple(getattr(row, name) for name in by): _latency_figures(row) for row in rows}

    async def _speed(self, by: tuple[str, ...]) -> Mapping[tuple[Any, ...], Row]:
        keys = ", ".join(f"a.{name}" for name in by)
        rows = await self._read(SPEED.format(keys=keys, names=", ".join(by)))
        return {
            tuple(getattr(row, name) for name in by): {
                "speed_tests": row.tests,
                "down_mbps": _rounded(row.down),
                "up_mbps": _rounded(row.up),
            }
            for row in rows
        }

    async def _read(self, statement: str) -> Any:
        used = {name: value for name, value in self._bounds.items() if f":{name}" in statement}
        return await self._session.execute(text(statement), used)


NO_LATENCY: Row = {"packets": 0, **dict.fromkeys(("loss_pct", "p50_ms", "p95_ms"))}
NO_SPEED: Row = {"speed_tests": 0, "down_mbps": None, "up_mbps": None}


def _latency_figures(row: Any) -> Row:
    return {
        "packets": row.sent,
        "loss_pct": percent(row.sent - row.received, row.sent),
        "p50_ms": _rounded(row.p50, 1000),
        "p95_ms": _rounded(row.p95, 1000),
    }


def _availability(row: Any) -> Row:
    seconds = ServiceSeconds(row.good, row.bad, row.unknown, row.maintenance)
    named = {f"{name}_s": value for name, value in seconds._asdict().items()}
    return {"access_points": row.access_points, "days": row.days, **named, **seconds.percentages}


def _district(code: str) -> Row:
    return {"district_code": code[:5], "district": regions.names()[code[:5]]}


def _village(code: str) -> Row:
    names = regions.names()
    own = {"village_code": code, "village": names[code]}
    return own | {"subdistrict_code": code[:8], "subdistrict": names[code[:8]]} | _district(code)


def _rounded(value: float | None, divisor: int = 1) -> float | None:
    return None if value is None else round(value / divisor, 3)
