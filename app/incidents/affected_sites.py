"""Find the sites whose incidents a ledger write may change, and load their outages whole."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Row, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.incidents.models import IncidentSite
from app.incidents.outages import FAR_AHEAD, LedgerSegment, Outage, ServicePeriod, derive_outages
from app.judging import claim_store
from app.judging.claims import Claim
from app.judging.dirty_range import DirtyRange
from app.postgres.engine import among
from app.registry.models import Lifecycle, SiteConfiguration, State

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
LOOK_BACK = timedelta(minutes=10)  # an outage may have ended before its parent's state was known

RANGES = 'json_to_recordset(cast(:rows AS json)) AS n(site_id int, start timestamptz, "end" timestamptz)'
DIRTY_RANGES = RANGES.replace("start timestamptz", "back timestamptz, start timestamptz")
AFFECTED = text(f"""
    SELECT n.site_id, n.back, n."end"
    FROM {DIRTY_RANGES} LEFT JOIN state_segment l ON l.site_id = n.site_id AND l.ended_at IS NULL
    WHERE (EXISTS (SELECT 1 FROM state_segment g WHERE g.site_id = n.site_id AND g.state = 'down'
            AND tstzrange(g.started_at, g.ended_at) && tstzrange(n.back, n."end", '[]'))
        OR (SELECT coalesce(m.ended_at, 'infinity') FROM incident_site m
            WHERE m.site_id = n.site_id AND m.withdrawn_at IS NULL AND m.started_at <= n."end"
            ORDER BY m.started_at DESC LIMIT 1) >= n.back)
        AND NOT (coalesce(l.state = 'down' AND l.started_at <= n.start, false) AND EXISTS (
            SELECT 1 FROM incident_site m WHERE m.site_id = n.site_id AND m.ended_at IS NULL
                AND m.withdrawn_at IS NULL AND m.started_at <= n.start))
    UNION ALL
    SELECT m.site_id, m.started_at, :now FROM incident_site m JOIN site s ON s.id = m.site_id
    WHERE m.ended_at IS NULL AND m.withdrawn_at IS NULL AND s.lifecycle <> 'active'
""")  # leaves out a site that stays down with its incident open
BETWEEN_ANSWERS = text(f"""
    SELECT n.site_id,
        coalesce((SELECT g.started_at FROM state_segment g WHERE g.site_id = n.site_id AND g.started_at <= n.start
            AND g.state IN ('up', 'degraded') ORDER BY g.started_at DESC LIMIT 1), :long_ago) AS start,
        coalesce((SELECT g.started_at FROM state_segment g WHERE g.site_id = n.site_id AND g.started_at >= n."end"
            AND g.state IN ('up', 'degraded') ORDER BY g.started_at LIMIT 1), :far_ahead) AS "end"
    FROM {RANGES}
""")
SEGMENTS = text(f"""
    SELECT g.site_id, g.started_at, g.ended_at, g.state, g.last_ok_at, g.confirmed_at, g.first_ok_after,
        CASE WHEN g.ended_at IS NULL THEN s.evidence_at ELSE g.last_loss_at END
    FROM {RANGES} JOIN site_status s ON s.site_id = n.site_id
        JOIN state_segment g ON g.site_id = n.site_id AND g.started_at BETWEEN n.start AND n."end"
    ORDER BY g.site_id, g.started_at
""")
PARENTS = text("""
    SELECT s.id AS site_id, st.state, st.pending_at, st.seen_at FROM site s
        JOIN site p ON p.id = s.parent_id AND p.lifecycle = 'active' JOIN site_status st ON st.site_id = p.id
    WHERE s.id = ANY(:ids)
""")

SiteRanges = dict[int, tuple[datetime, datetime]]  # by site id


@dataclass(slots=True)
class SiteOutages:
    """One site's outages as the ledger has them, and the rows recorded in incidents over the same range."""

    site_id: int
    outages: list[Outage] = field(default_factory=list)
    recorded: list[IncidentSite] = field(default_factory=list)
    withdrawn: list[IncidentSite] = field(default_factory=list)
    parent: Row[Any] | None = None


async def load_site_outages(session: AsyncSession, affected: SiteRanges) -> list[SiteOutages]:
    """In the order of site ids."""
    ranges, rows = await _widen(session, affected)
    segments = await _load_segments(session, ranges)
    periods = await _load_service_periods(session, ranges)
    claims = await _load_claims(session, ranges)
    parents = {row.site_id: row for row in await session.execute(PARENTS, {"ids": list(ranges)})}
    sites = {
        site_id: SiteOutages(
            site_id,
            derive_outages(segments[site_id], periods[site_id], claims.get(site_id, ())),
            parent=parents.get(site_id),
        )
        for site_id in sorted(ranges)
    }
    for row in rows:
        site = sites[row.site_id]
        (site.recorded if row.withdrawn_at is None else site.withdrawn).append(row)
    return list(sites.values())


async def find_affected(session: AsyncSession, dirty_ranges: Sequence[DirtyRange], *, now: datetime) -> SiteRanges:
    """Return the sites whose incidents may change, with the range to look at: one statement, mostly without a row."""
    rows = _json(
        {"site_id": dirty.site_id, "back": dirty.start - LOOK_BACK, "start": dirty.start, "end": dirty.end}
        for dirty in dirty_ranges
    )
    affected: SiteRanges = {}
    for site_id, start, end in await session.execute(AFFECTED, {"rows": rows, "now": now}):
        affected[site_id] = _union(affected.get(site_id, (start, end)), (start, end))
    return affected


async def _widen(session: AsyncSession, affected: SiteRanges) -> tuple[SiteRanges, Sequence[IncidentSite]]:
    """Widen each range from answer to answer until no recorded outage reaches beyond it. Return these outages too."""
    wanted = dict(affected)
    while True:
        parameters = {"rows": _rows(wanted), "long_ago": LONG_AGO, "far_ahead": FAR_AHEAD}
        result = await session.execute(BETWEEN_ANSWERS, parameters)
        ranges: SiteRanges = {site_id: (start, end) for site_id, start, end in result}
        rows = await _load_recorded(session, ranges)
        wider = _widened(ranges, rows)
        if wider == ranges:
            return ranges, rows
        wanted = {site_id: _union(wider[site_id], wanted[site_id]) for site_id in wanted}


def _widened(ranges: SiteRanges, rows: Sequence[IncidentSite]) -> SiteRanges:
    wider = dict(ranges)
    for row in rows:
        if row.withdrawn_at is None:
            wider[row.site_id] = _union(wider[row.site_id], (row.started_at, row.ended_at or FAR_AHEAD))
    return wider


def _union(first: tuple[datetime, datetime], second: tuple[datetime, datetime]) -> tuple[datetime, datetime]:
    return min(first[0], second[0]), max(first[1], second[1])


async def _load_recorded(session: AsyncSession, ranges: SiteRanges) -> Sequence[IncidentSite]:
    rows = await session.scalars(
        select(IncidentSite)
        .options(joinedload(IncidentSite.incident))
        .where(among(IncidentSite.site_id, ranges))
        .where(IncidentSite.started_at < max(end for _, end in ranges.values()))
        .where(func.coalesce(IncidentSite.ended_at, FAR_AHEAD) > min(start for start, _ in ranges.values()))
        .order_by(IncidentSite.started_at, IncidentSite.id)
        .execution_options(populate_existing=True)
    )
    return [row for row in rows if _overlaps(row, *ranges[row.site_id])]


def _overlaps(row: IncidentSite, start: datetime, end: datetime) -> bool:
    return row.started_at < end and (row.ended_at or FAR_AHEAD) > start


async def _load_segments(session: AsyncSession, ranges: SiteRanges) -> Mapping[int, list[LedgerSegment]]:
    segments: dict[int, list[LedgerSegment]] = defaultdict(list)
    for site_id, started_at, ended_at, state, *evidence in await session.execute(SEGMENTS, {"rows": _rows(ranges)}):
        segments[site_id].append(LedgerSegment(started_at, ended_at, State(state), *evidence))
    return segments


async def _load_claims(session: AsyncSession, ranges: SiteRanges) -> Mapping[int, list[Claim]]:
    start, end = min(start for start, _ in ranges.values()), max(end for _, end in ranges.values())
    return await claim_store.claims_of(session, list(ranges), start, end)


async def _load_service_periods(session: AsyncSession, ranges: SiteRanges) -> Mapping[int, list[ServicePeriod]]:
    """By site: its active dated configurations, those without a break between them as one period."""
    periods: dict[int, list[ServicePeriod]] = defaultdict(list)
    rows = await session.execute(
        select(SiteConfiguration.site_id, SiteConfiguration.started_at, SiteConfiguration.ended_at)
        .where(among(SiteConfiguration.site_id, ranges), SiteConfiguration.lifecycle == Lifecycle.ACTIVE)
        .order_by(SiteConfiguration.site_id, SiteConfiguration.started_at)
    )
    for site_id, started_at, ended_at in rows:
        site_periods = periods[site_id]
        if site_periods and site_periods[-1].ended_at == started_at:
            started_at = site_periods.pop().started_at
        site_periods.append(ServicePeriod(started_at, ended_at))
    return periods


def _rows(ranges: SiteRanges) -> str:
    return _json({"site_id": site_id, "start": start, "end": end} for site_id, (start, end) in ranges.items())


def _json(rows: Iterable[dict[str, Any]]) -> str:
    return orjson.dumps(list(rows)).decode()
