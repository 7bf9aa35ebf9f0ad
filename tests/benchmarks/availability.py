"""Count and query the availability of a year: every village of East Kalimantan, three outages a day each."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.aggregates.selection import SiteGroup
from app.availability.daily_rollup import count_days
from app.availability.group_uptime import group_uptime
from app.availability.ranking import rank
from app.availability.ranking_schemas import By, RankingOrder
from app.availability.site_uptime import site_uptime
from app.core.clock import WITA, floor_second, midnight, utc_now
from app.core.periods import Period, Step
from app.postgres.embedded import Cluster
from app.postgres.engine import Sessions, open_engine, open_sessions, transaction
from app.registry.models import Level, Site
from app.runtime.migrate import migrate
from tests.conftest import make_database

DAYS, REPEATS = 365, 7
NOW = floor_second(utc_now())
TODAY = midnight(NOW.astimezone(WITA).date())
FIRST = TODAY - timedelta(days=DAYS)

# One site a village, fibre more often than satellite. The exclusion constraint on segments is dropped: it only slows
# the writing.
YEAR = """
ALTER TABLE state_segment DROP CONSTRAINT ex_state_segment_overlap;
INSERT INTO provider (slug, name) SELECT 'provider-' || n, 'Provider ' || n FROM generate_series(1, 7) n;
INSERT INTO site (code, kind, village_code, name, host, host_static, technology, provider_id, link_role, probe,
    lifecycle, addressed_at, version, created_at, updated_at)
SELECT code || '-01', 'access_point', code, name, '198.51.100.1', true,
    (ARRAY['fiber', 'fiber', 'radio', 'leo', 'geo', 'cellular'])[1 + n % 6],
    (SELECT min(id) FROM provider) + n % 7, 'primary', 'push', 'active', :first, 1, :first, :first
FROM (SELECT r.*, row_number() OVER (ORDER BY code)::integer AS n FROM region r WHERE level = 'desa_kelurahan') r;
INSERT INTO contract (number, provider_id, valid_from, version) SELECT 'K-' || id, id, '2020-01-01', 1 FROM provider;
INSERT INTO contract_terms (contract_id, started_on, sla_target_pct, min_outage_s, excluded_causes, excuses_parent)
SELECT id, '2020-01-01', 97, 300, '{power}', false FROM contract;
INSERT INTO site_configuration (site_id, started_at, lifecycle, technology, provider_id, addressed_at, village_code)
SELECT s.id, :first, 'active', s.technology, s.provider_id, :first, s.village_code FROM site s;
INSERT INTO site_contract (site_id, contract_id, link_role, started_on, recorded_by, version)
SELECT s.id, k.id, 'primary', '2020-01-01', 'benchmark', 1 FROM site s JOIN contract k ON k.provider_id = s.provider_id;
INSERT INTO site_status (site_id, version, state, since, evidence_at, valid_s, timeouts, addressed_at)
SELECT id, 1, 'up', :first, :now, 60, 0, :first FROM site;
CREATE TEMPORARY TABLE outage AS
SELECT s.id AS site_id, began, began + make_interval(secs => 60 + floor(random() * 1740)) AS ended
FROM site s, generate_series(0, :days * 3 - 1) n,
    LATERAL (SELECT cast(:first AS timestamptz) + make_interval(
        secs => n * 28800 + 14400 + floor(random() * 26900) + 0 * s.id  -- some cross midnight
    )) AS o(began)
WHERE began < cast(:now AS timestamptz) - interval '1 hour';
INSERT INTO state_segment (site_id, started_at, ended_at, state)
SELECT site_id, began, ended, 'down' FROM outage
UNION ALL SELECT site_id, ended, lead(began) OVER (PARTITION BY site_id ORDER BY began), 'up' FROM outage
UNION ALL SELECT site_id, cast(:first AS timestamptz), min(began), 'up' FROM outage GROUP BY site_id
    HAVING min(began) > :first;
INSERT INTO outage_cause (site_id, started_at, ended_at, cause, confirmed_by)
SELECT site_id, began, ended, (ARRAY['power', 'link', 'provider'])[1 + floor(random() * 3)::integer], 'bench'
FROM outage WHERE random() < 0.1;
DROP TABLE outage
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as folder:
        cluster = Cluster(Path(folder))
        cluster.start()
        try:
            asyncio.run(_measure(cluster.url))
        finally:
            cluster.stop()


async def _measure(server_url: str) -> None:
    engine = open_engine(await make_database(server_url), name="bench", command_timeout_s=None)
    await migrate(engine)
    sessions = open_sessions(engine)
    await write_past(sessions, days=DAYS)
    await count_past(sessions, days=DAYS)
    await analyze(engine)
    whole, month = Period(FIRST, TODAY), Period(TODAY - timedelta(days=30), TODAY)
    running, province = Period(NOW - timedelta(days=30), NOW), SiteGroup("64")
    queries: dict[str, Callable[[Any], Awaitable[Any]]] = {
        "a site's month by hours (10)": lambda s: _site(s, month),
        "the province's year by days (50)": lambda s: group_uptime(s, province, whole, Step.DAY, now=NOW),
        "one district's year by months": lambda s: group_uptime(s, SiteGroup("64.02"), whole, Step.MONTH, now=NOW),
        "the year of each district (50)": lambda s: _ranking(s, whole, By.REGION),
        "ranking of all sites, a month (50)": lambda s: _ranking(s, month, By.SITE),
        "the same, the last 30 days until now": lambda s: _ranking(s, running, By.SITE),
        "the province's last 24 hours by hours": lambda s: group_uptime(
            s, province, Period(NOW - timedelta(days=1), NOW), Step.HOUR, now=NOW
        ),
    }
    print(f"{'':<40}{'database ms':>14}{'total ms':>12}{'statements':>12}   median of {REPEATS}, warm")
    for name, query in queries.items():
        print(f"{name:<40}" + await _timed(engine, sessions, query))
    await engine.dispose()


async def write_past(sessions: Sessions, *, days: int) -> None:
    started, values = time.monotonic(), {"first": TODAY - timedelta(days=days), "now": NOW, "days": days}
    async with transaction(sessions) as session:
        for statement in YEAR.split(";\n"):
            names = {name: value for name, value in values.items() if f":{name}" in statement}
            await session.execute(text(statement), names)
        segments = await session.scalar(text("SELECT count(*) FROM state_segment"))
    print(f"{segments:,} segments written in {time.monotonic() - started:.0f} s")


async def count_past(sessions: Sessions, *, days: int) -> None:
    async with transaction(sessions) as session:
        await session.execute(text("ANALYZE"))
    durations_ms = []
    for _ in range(days):
        started = time.monotonic()
        async with transaction(sessions) as session:
            await count_days(session, NOW, days=1)
        durations_ms.append(1000 * (time.monotonic() - started))
    print(
        f"a day of 1,038 sites counted in {statistics.median(durations_ms):.0f} ms (median), "
        f"{max(durations_ms):.0f} ms (longest)"
    )


async def analyze(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        own = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await own.execute(text("VACUUM ANALYZE"))


async def _site(session: Any, period: Period) -> Any:
    site = await session.get(Site, 500)
    return await site_uptime(session, site, period, Step.HOUR, now=NOW)


async def _ranking(session: Any, period: Period, by: By) -> Any:
    return await rank(
        session,
        SiteGroup("64"),
        period,
        by=by,
        level=Level.KABUPATEN_KOTA,
        order=RankingOrder.BEST,
        min_coverage_pct=80,
        now=NOW,
    )


async def _timed(engine: AsyncEngine, sessions: Sessions, query: Callable[[Any], Awaitable[Any]]) -> str:
    """Return the time inside statements, from sending one to having its rows, and the total with Python's share."""
    spent: list[float] = []
    begun: list[float] = []

    def before(*_: Any) -> None:
        begun.append(time.perf_counter())

    def after(*_: Any) -> None:
        spent.append(time.perf_counter() - begun[-1])

    database, whole, statements = [], [], 0
    event.listen(engine.sync_engine, "before_cursor_execute", before)
    event.listen(engine.sync_engine, "after_cursor_execute", after)
    for run in range(REPEATS + 3):
        spent.clear()
        started = time.perf_counter()
        async with transaction(sessions) as session:
            await query(session)
        if run >= 3:
            database.append(1000 * sum(spent))
            whole.append(1000 * (time.perf_counter() - started))
            statements = len(spent)
    event.remove(engine.sync_engine, "before_cursor_execute", before)
    event.remove(engine.sync_engine, "after_cursor_execute", after)
    return f"{statistics.median(database):>14.1f}{statistics.median(whole):>12.1f}{statements:>12}"


if __name__ == "__main__":
    main()
