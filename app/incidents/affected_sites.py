"""Which sites' ledgers are looked at after they were written, and how far, so that every outage is seen whole."""

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
from app.incidents.outages import FAR_AHEAD, Outage, Seen, Service, outages
from app.judging.blind_ranges import reading_ends_at_sql
from app.judging.dirty_range import DirtyRange
from app.registry.models import Lifecycle, SiteConfiguration, State

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
LOOK_BACK = timedelta(minutes=10)  # an outage may have been over before its parent's word came

STRETCHES = 'json_to_recordset(cast(:rows AS json)) AS n(site_id int, start timestamptz, "end" timestamptz)'
SPANS = STRETCHES.replace("start timestamptz", "back timestamptz, start timestamptz")
TOUCHED = text(f"""
    SELECT n.site_id, n.back, n."end"
    FROM {SPANS} LEFT JOIN state_segment l ON l.site_id = n.site_id AND l.ended_at IS NULL
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
""")  # a site that stays down with its incident open is left out
BETWEEN_ANSWERS = text(f"""
    SELECT n.site_id,
        coalesce((SELECT g.started_at FROM state_segment g WHERE g.site_id = n.site_id AND g.started_at <= n.start
            AND g.state IN ('up', 'degraded') ORDER BY g.started_at DESC LIMIT 1), :long_ago) AS start,
        coalesce((SELECT g.started_at FROM state_segment g WHERE g.site_id = n.site_id AND g.started_at >= n."end"
            AND g.state IN ('up', 'degraded') ORDER BY g.started_at LIMIT 1), :far_ahead) AS "end"
    FROM {STRETCHES}
""")
SEGMENTS = text(f"""
    SELECT g.site_id, g.started_at, g.ended_at, g.state, g.last_ok_at, g.confirmed_at, g.first_ok_after, l.slot
    FROM {STRETCHES} JOIN site s ON s.id = n.site_id
        JOIN state_segment g ON g.site_id = n.site_id AND g.started_at BETWEEN n.start AND n."end"
        LEFT JOIN LATERAL (
            SELECT m.slot FROM measurement m
            WHERE g.state = 'down' AND (g.ended_at IS NOT NULL OR s.lifecycle <> 'active')
                AND m.site_id = g.site_id AND m.slot >= g.started_at AND m.slot < coalesce(g.ended_at, :now)
                AND m.outcome = 'timeout' AND NOT EXISTS (SELECT 1 FROM blind b WHERE b.source = m.source
                    AND b.started_at < {reading_ends_at_sql("m")}
                    AND b.ended_at > m.slot)
            ORDER BY m.slot DESC LIMIT 1
        ) l ON true
    ORDER BY g.site_id, g.started_at
""")
PARENTS = text("""
    SELECT s.id AS site_id, st.state, st.pending_at, st.seen_at FROM site s
        JOIN site p ON p.id = s.parent_id AND p.lifecycle = 'active' JOIN site_status st ON st.site_id = p.id
    WHERE s.id = ANY(:ids)
""")

Stretches = dict[int, tuple[datetime, datetime]]


@dataclass(slots=True)
class View:
    """A site's outages by the ledger, and all that people deal with over the same stretch."""

    site_id: int
    outages: list[Outage] = field(default_factory=list)
    known: list[IncidentSite] = field(default_factory=list)
    withdrawn: list[IncidentSite] = field(default_factory=list)
    parent: Row[Any] | None = None


async def views(session: AsyncSession, touched: Stretches, *, now: datetime) -> list[View]:
    """In the order of the sites' ids."""
    stretches, rows = await _whole(session, touched)
    segments = await _segments(session, stretches, now)
    services = await _services(session, stretches)
    parents = {row.site_id: row for row in await session.execute(PARENTS, {"ids": list(stretches)})}
    found = {
        site_id: View(site_id, outages(segments[site_id], services[site_id]), parent=parents.get(site_id))
        for site_id in sorted(stretches)
    }
    for row in rows:
        view = found[row.site_id]
        (view.known if row.withdrawn_at is None else view.withdrawn).append(row)
    return list(found.values())


async def touched(session: AsyncSession, spans: Sequence[DirtyRange], *, now: datetime) -> Stretches:
    """The few sites of which there is anything to follow: one statement, that mostly finds none."""
    rows = _json(
        {"site_id": span.site_id, "back": span.start - LOOK_BACK, "start": span.start, "end": span.end}
        for span in spans
    )
    found: Stretches = {}
    for site_id, start, end in await session.execute(TOUCHED, {"rows": rows, "now": now}):
        known = found.get(site_id, (start, end))
        found[site_id] = min(known[0], start), max(known[1], end)
    return found


async def _whole(session: AsyncSession, touched: Stretches) -> tuple[Stretches, Sequence[IncidentSite]]:
    """From answer to answer, and so wide that nothing known reaches beyond."""
    wanted = dict(touched)
    while True:
        given = {"rows": _rows(wanted)}
        found = await session.execute(BETWEEN_ANSWERS, given | {"long_ago": LONG_AGO, "far_ahead": FAR_AHEAD})
        stretches: Stretches = {site_id: (start, end) for site_id, start, end in found}
        rows = await _known(session, stretches)
        wider = _widened(stretches, rows)
        if wider == stretches:
            return stretches, rows
        wanted = {site_id: _union(wider[site_id], wanted[site_id]) for site_id in wanted}


def _widened(stretches: Stretches, rows: Sequence[IncidentSite]) -> Stretches:
    wider = dict(stretches)
    for row in rows:
        if row.withdrawn_at is None:
            wider[row.site_id] = _union(wider[row.site_id], (row.started_at, row.ended_at or FAR_AHEAD))
    return wider


def _union(one: tuple[datetime, datetime], other: tuple[datetime, datetime]) -> tuple[datetime, datetime]:
    return min(one[0], other[0]), max(one[1], other[1])


async def _known(session: AsyncSession, stretches: Stretches) -> Sequence[IncidentSite]:
    rows = await session.scalars(
        select(IncidentSite)
        .options(joinedload(IncidentSite.incident))
        .where(IncidentSite.site_id.in_(stretches))
        .where(IncidentSite.started_at < max(end for _, end in stretches.values()))
        .where(func.coalesce(IncidentSite.ended_at, FAR_AHEAD) > min(start for start, _ in stretches.values()))
        .order_by(IncidentSite.started_at, IncidentSite.id)
        .execution_options(populate_existing=True)
    )
    return [row for row in rows if _reaches_into(row, *stretches[row.site_id])]


def _reaches_into(row: IncidentSite, start: datetime, end: datetime) -> bool:
    return row.started_at < end and (row.ended_at or FAR_AHEAD) > start


async def _segments(session: AsyncSession, stretches: Stretches, now: datetime) -> Mapping[int, list[Seen]]:
    found: dict[int, list[Seen]] = defaultdict(list)
    given = {"rows": _rows(stretches), "now": now}
    for site_id, started_at, ended_at, state, *evidence in await session.execute(SEGMENTS, given):
        found[site_id].append(Seen(started_at, ended_at, State(state), *evidence))
    return found


async def _services(session: AsyncSession, stretches: Stretches) -> Mapping[int, list[Service]]:
    """The dated configurations in which the site was active, those without a break between them as one."""
    found: dict[int, list[Service]] = defaultdict(list)
    rows = await session.execute(
        select(SiteConfiguration.site_id, SiteConfiguration.started_at, SiteConfiguration.ended_at)
        .where(SiteConfiguration.site_id.in_(stretches), SiteConfiguration.lifecycle == Lifecycle.ACTIVE)
        .order_by(SiteConfiguration.site_id, SiteConfiguration.started_at)
    )
    for site_id, started_at, ended_at in rows:
        services = found[site_id]
        if services and services[-1].ended_at == started_at:
            started_at = services.pop().started_at
        services.append(Service(started_at, ended_at))
    return found


def _rows(stretches: Stretches) -> str:
    return _json({"site_id": site_id, "start": start, "end": end} for site_id, (start, end) in stretches.items())


def _json(rows: Iterable[dict[str, Any]]) -> str:
    return orjson.dumps(list(rows)).decode()
