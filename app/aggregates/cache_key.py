"""What an answer about the past depends on, read in one statement: while it stays the same, so does the answer.

A period is settled once all of its days are counted and none waits to be counted again. Then only a change of the past
changes it, and every such change moves a counter in its own transaction: the registry's (set-ups, contracts,
maintenance, names), `past` (late data, causes, whatever touches days that are over), `rollup` (hours counted again),
`months` (closed or corrected), `generation` (a restored database). Any other period goes on by itself: it is counted
anew every few seconds, and at once when an incident or its cause changes.
"""

import time
from datetime import timedelta
from enum import Enum
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import WITA, WITA_SQL
from app.core.periods import Period
from app.postgres.engine import Counter

EVERY_SECOND, WHILE_IT_RUNS = Counter.STATUS.value, Counter.INCIDENT.value
READ = "SELECT (SELECT jsonb_object_agg(name, version) FROM change_counter) AS versions, {settled} AS settled"


class Figures(Enum):
    """Of which kind they are, with what makes a period of theirs settled. Nodes are left out of counted days."""

    AVAILABILITY = text(
        READ.format(
            settled=f"""
        (SELECT count(*) FROM counted_day WHERE day BETWEEN :first AND :last) > cast(:last AS date) - greatest(
            cast(:first AS date),
            (SELECT (min(started_at) AT TIME ZONE {WITA_SQL})::date FROM site_configuration)
        )
        AND NOT EXISTS (SELECT FROM stale_day WHERE day BETWEEN :first AND :last)
        AND NOT EXISTS (SELECT FROM site WHERE id = cast(:site_id AS int) AND kind = 'node')
    """
        )
    )
    LATENCY = text(
        READ.format(
            settled="""
        (SELECT upto FROM rollup_watermark WHERE stage = 'days') >= :end
        AND NOT EXISTS (
            SELECT FROM stale_hour WHERE hour > cast(:start AS timestamptz) - interval '1 hour' AND hour < :end
        )
    """
        )
    )
    THROUGHPUT = text(READ.format(settled="false"))  # cheap, and tests are settled late


class Watermark(NamedTuple):
    versions: tuple[tuple[str, int], ...]
    moment: int | None  # which of the few seconds it is; None of a settled period


async def read(
    session: AsyncSession, figures: Figures, period: Period, *, site_id: int | None, refresh_s: int
) -> Watermark:
    """To be read before what it stands for: what changes in between is then taken for older than it is, never newer."""
    last = (period.end - timedelta(seconds=1)).astimezone(WITA).date()
    bounds = {"start": period.start, "end": period.end}
    days = {"first": period.start.astimezone(WITA).date(), "last": last, "site_id": site_id}
    asked = days if figures is Figures.AVAILABILITY else bounds
    row = (await session.execute(figures.value, asked)).one()
    ignored = {EVERY_SECOND, WHILE_IT_RUNS} if row.settled else {EVERY_SECOND}
    versions = tuple(sorted((name, n) for name, n in row.versions.items() if name not in ignored))
    return Watermark(versions, None if row.settled else _moment(refresh_s))


def _moment(refresh_s: int) -> int:
    return int(time.time()) // refresh_s if refresh_s else time.time_ns()
