"""Read how many looks were within their technology's limit: sums of days, less the hours that are left out."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import SiteGroup
from app.compliance.left_out_hours import LeftOut
from app.compliance.line import Line, LineKey, LookCounts
from app.compliance.method import Method
from app.compliance.shares import Share
from app.core.clock import WITA_SQL, to_wita
from app.core.periods import Period
from app.latency.look_counts import LOOK_BOUNDS_MS
from app.latency.look_sql import EVENING_COLUMN_NAMES, sum_arrays, sums_of_hours
from app.profiles import Technology

# A day belongs to the provider, technology and village that the site had at its end, as latency does elsewhere.
CONFIGURED = f"""JOIN site_configuration c ON c.site_id = d.site_id AND c.kind = 'access_point'
    AND c.started_at < (d.day + 1)::timestamp AT TIME ZONE {WITA_SQL}
    AND coalesce(c.ended_at >= (d.day + 1)::timestamp AT TIME ZONE {WITA_SQL}, true)"""
EVENING_LOOKS, EVENING_LOST, EVENING_WITHIN = EVENING_COLUMN_NAMES
DAYS = f"""
    SELECT d.site_id, c.provider_id, c.technology, count(*) AS days, sum(looks) AS looks, sum(lost) AS lost,
        {sum_arrays("within")} AS within, sum({EVENING_LOOKS}) AS evening_looks, sum({EVENING_LOST}) AS evening_lost,
        {sum_arrays(EVENING_WITHIN)} AS evening_within
    FROM look_day d {CONFIGURED}
    WHERE d.day >= :first AND d.day < :next AND c.village_code ^@ :region {{condition}}
    GROUP BY d.site_id, c.provider_id, c.technology
"""
HOURS = f"""
    WITH stretch AS (
        SELECT site_id, to_timestamp(low) AS low, to_timestamp(high) AS high
        FROM json_to_recordset(cast(:stretches AS json)) AS n(site_id int, low bigint, high bigint)
    ), d AS (
        SELECT DISTINCT ON (h.site_id, h.hour) h.*, (h.hour AT TIME ZONE {WITA_SQL})::date AS day
        FROM stretch JOIN look_hour h ON h.site_id = stretch.site_id
            AND h.hour > stretch.low - interval '1 hour' AND h.hour < stretch.high
        WHERE h.hour >= :start AND h.hour < :end
    )
    SELECT d.site_id, c.provider_id, c.technology, {{sums}}
    FROM d {CONFIGURED} WHERE c.village_code ^@ :region {{condition}}
    GROUP BY d.site_id, c.provider_id, c.technology
"""


async def add_looks(
    session: AsyncSession,
    lines: Mapping[LineKey, Line],
    group: SiteGroup,
    period: Period,
    method: Method,
    left_out: Sequence[LeftOut],
) -> None:
    """Count the group's looks into their lines; `lines` makes a new one for a key that it lacks."""
    condition = "AND c.provider_id = :provider_id" if group.provider_id is not None else ""
    condition += " AND c.technology = :technology" if group.technology is not None else ""
    values = {"region": group.region, "provider_id": group.provider_id, "technology": group.technology}
    bound = {name: value for name, value in values.items() if name == "region" or f":{name}" in condition}
    days = {"first": to_wita(period.start).date(), "next": to_wita(period.end).date()}
    for row in await session.execute(text(DAYS.format(condition=condition)), {**bound, **days}):
        line = lines[_key(row)]
        counted = _counts(row, method, Technology(row.technology), sign=1)
        line.looks.add(counted)
        line.looks.days += row.days
    if not left_out:
        return
    hours = text(HOURS.format(condition=condition, sums=sums_of_hours()))
    spans = {"stretches": _json(left_out), "start": period.start, "end": period.end}
    for row in await session.execute(hours, {**bound, **spans}):
        line = lines[_key(row)]
        line.looks.add(_counts(row, method, Technology(row.technology), sign=-1))
        line.looks.left_out += row.looks


def _key(row: Any) -> LineKey:
    return LineKey(row.site_id, row.provider_id, Technology(row.technology))


def _counts(row: Any, method: Method, technology: Technology, *, sign: int) -> LookCounts:
    n = LOOK_BOUNDS_MS.index(method.limit_ms[technology])
    if row.within[n] is None or row.evening_within[n] is None:  # some day was counted before there was this limit
        return LookCounts()
    return LookCounts(
        Share(sign * int(row.looks), sign * int(row.within[n])),
        Share(sign * int(row.evening_looks), sign * int(row.evening_within[n])),
        sign * int(row.lost),
        sign * int(row.evening_lost),
    )


def _json(left_out: Sequence[LeftOut]) -> str:
    return orjson.dumps([{"site_id": each.site_id, "low": each.start, "high": each.end} for each in left_out]).decode()
