"""The data version of an aggregate, read in one statement: while it is unchanged, so is the response computed from it.

A period is settled once all of its days are counted, none of them is stale, and nothing that still comes in time bears
on them (`settled_until` of the response is its end). After that only a retroactive change alters it, and every such
change bumps a counter in its own transaction: the registry's (configurations, contracts, maintenance, names), `past`
(late data, causes, anything about days that are over), `rollup` (hours counted again), `months` (closed or corrected),
`generation` (a restored database). A period that is not settled also expires every `refresh_s` seconds, and as soon as
an incident or its cause changes.
"""

from datetime import timedelta
from enum import Enum
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import WITA, WITA_SQL
from app.core.freshness import SETTLES_WITHIN_S
from app.core.periods import Period
from app.postgres.engine import Counter

STATUS, INCIDENT = Counter.STATUS.value, Counter.INCIDENT.value  # bumped by every sweep; by every incident
UNRELATED = {STATUS, Counter.ALERT.value}
VERSION = "SELECT (SELECT jsonb_object_agg(name, version) FROM change_counter) AS counters, {settled} AS settled"


class AggregateKind(Enum):
    """What is aggregated, with the statement that decides whether a period of it is settled.

    Nodes are not part of the counted days, so their availability is never settled.
    """

    AVAILABILITY = text(
        VERSION.format(
            settled=f"""
        (SELECT count(*) FROM counted_day WHERE day BETWEEN :first AND :last) > cast(:last AS date) - greatest(
            cast(:first AS date),
            (SELECT (min(started_at) AT TIME ZONE {WITA_SQL})::date FROM site_configuration)
        )
        AND cast(:end AS timestamptz) < now() - interval '{SETTLES_WITHIN_S} seconds'
        AND NOT EXISTS (SELECT FROM stale_day WHERE day BETWEEN :first AND :last)
        AND NOT EXISTS (SELECT FROM site_configuration WHERE site_id = cast(:site_id AS int) AND kind = 'node')
    """
        )
    )
    LATENCY = text(
        VERSION.format(
            settled="""
        (SELECT upto FROM rollup_watermark WHERE stage = 'days') >= :end
        AND NOT EXISTS (
            SELECT FROM stale_hour WHERE hour > cast(:start AS timestamptz) - interval '1 hour' AND hour < :end
        )
    """
        )
    )
    THROUGHPUT = text(VERSION.format(settled="false"))  # cheap to compute, and results may be recorded late


class DataVersion(NamedTuple):
    counters: tuple[tuple[str, int], ...]
    refresh: float | None  # which refresh interval it is; None for a settled period


async def read_data_version(
    session: AsyncSession, kind: AggregateKind, period: Period, *, site_id: int | None, refresh_s: int, now: float
) -> DataVersion:
    """Return the version of the data that an aggregate of this period depends on; `now` in seconds since 1970.

    Read it before the data: a change in between then makes the response look older than it is, never newer.
    """
    if kind is AggregateKind.AVAILABILITY:
        last_day = (period.end - timedelta(seconds=1)).astimezone(WITA).date()
        bounds = {
            "first": period.start.astimezone(WITA).date(),
            "last": last_day,
            "end": period.end,
            "site_id": site_id,
        }
    else:
        bounds = {"start": period.start, "end": period.end}
    row = (await session.execute(kind.value, bounds)).one()
    ignored = UNRELATED | {INCIDENT} if row.settled else UNRELATED
    counters = tuple(sorted((name, version) for name, version in row.counters.items() if name not in ignored))
    return DataVersion(counters, None if row.settled else _refresh_interval(now, refresh_s))


def _refresh_interval(now: float, refresh_s: int) -> float:
    return now // refresh_s if refresh_s else now
