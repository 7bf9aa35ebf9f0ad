"""Closes contract months: figures are written once, CLOSES_AFTER_DAYS after the end; later changes are corrections."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import select, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import site_history
from app.availability.contract_reader import contract_names
from app.availability.contract_verdict import contract_fields
from app.availability.counting import tally_parts
from app.availability.models import ClosedMonth, MonthCorrection, StaleMonth
from app.availability.tally import uptime_row
from app.core.clock import WITA, WITA_SQL, to_slot
from app.core.periods import Period, whole_month
from app.judging.invalidation import CLOSES_AFTER_DAYS
from app.postgres.engine import Counter, among, bump
from app.registry.models import Site

BATCH = 500  # site-months a run
# In stored figures: how a verdict is told, and a contract named; what follows from the others, and earlier ones lack.
UNCOMPARED = {"reason", "number", "provider", "required_pct", "missed_by_s"}
CHUNK = 10  # sites at a time: the worker's event loop runs probes in between

# Every month that is due to be closed and in which the site was in service under a valid contract.
DUE = text(f"""
SELECT DISTINCT due.month::date AS month, c.site_id
FROM site_configuration c
JOIN site_contract a ON a.site_id = c.site_id AND a.withdrawn_at IS NULL
JOIN contract k ON k.id = a.contract_id,
LATERAL (SELECT
    greatest(c.started_at AT TIME ZONE {WITA_SQL}, a.started_on, k.valid_from) AS low,
    least(c.ended_at AT TIME ZONE {WITA_SQL}, a.ended_on, k.valid_to, 'infinity') AS high
) covered,
LATERAL generate_series(
    date_trunc('month', low), least(cast(:last AS timestamp), high - interval '1 microsecond'), interval '1 month'
) AS due(month)
WHERE c.lifecycle = 'active' AND low < high AND EXISTS (
    SELECT 1 FROM contract_terms t WHERE t.contract_id = k.id AND t.started_on < due.month + interval '1 month'
) AND NOT EXISTS (SELECT 1 FROM closed_month d WHERE d.site_id = c.site_id AND d.month = due.month::date)
ORDER BY month, c.site_id LIMIT :batch
""")
# Every month from a day on that may be closed by now and is not, in which these sites were in service.
OPEN = text(f"""
SELECT DISTINCT due.month::date AS month, c.site_id
FROM site_configuration c, LATERAL generate_series(
    date_trunc('month', greatest(c.started_at AT TIME ZONE {WITA_SQL}, cast(:first AS date))),
    least(cast(:last AS timestamp), c.ended_at AT TIME ZONE {WITA_SQL} - interval '1 microsecond'), interval '1 month'
) AS due(month)
WHERE c.site_id = ANY(:ids) AND c.lifecycle = 'active' AND c.kind = 'access_point'
    AND NOT EXISTS (SELECT FROM closed_month d WHERE d.site_id = c.site_id AND d.month = due.month::date)
ORDER BY month, c.site_id
""")
STALE = text("""
DELETE FROM stale_month WHERE (site_id, month) IN (
    SELECT site_id, month FROM stale_month ORDER BY month, site_id LIMIT :batch FOR UPDATE SKIP LOCKED
) RETURNING site_id, month, reason
""")


async def close_months(session: AsyncSession, now: datetime, *, batch: int = BATCH) -> bool:
    """Close the contract months that are due, and correct closed ones whose figures have changed.

    Return False when nothing was left to do.
    """
    stale = (await session.execute(STALE, {"batch": batch})).all()
    await _correct(session, [(row.site_id, row.month, row.reason) for row in stale], now)
    due = (await session.execute(DUE, {"last": _last_due(now), "batch": batch})).all()
    await _close(session, [(row.site_id, row.month) for row in due], now)
    if not stale and not due:
        return False
    await bump(session, Counter.MONTHS)
    return True


async def oldest_due(session: AsyncSession, now: datetime) -> date | None:
    """Return the earliest month that is due and not closed yet for some site; None where there is none."""
    row = (await session.execute(DUE, {"last": _last_due(now), "batch": 1})).one_or_none()
    return None if row is None else row.month


async def close_open_months(session: AsyncSession, site_ids: Collection[int], first: date, *, now: datetime) -> None:
    """Close the months of these sites from that day on that are due, before a change of contracts reaches into them.

    What was not under a contract is closed so: whatever is changed in it afterwards is a correction.
    """
    bounds = {"ids": list(site_ids), "first": first, "last": _last_due(now)}
    await _close(session, [(row.site_id, row.month) for row in await session.execute(OPEN, bounds)], now)


async def _close(session: AsyncSession, site_months: Iterable[tuple[int, date]], now: datetime) -> None:
    for month, site_ids in _by_month(site_months):
        figures = await _figures(session, site_ids, month, now=now)
        rows = [{"site_id": n, "month": month, "figures": figures[n], "closed_at": now} for n in site_ids]
        await session.execute(insert(ClosedMonth).on_conflict_do_nothing(), rows)


async def stale_sites(session: AsyncSession, site_ids: Collection[int], month: date) -> list[int]:
    """Return those of the sites whose month has changed, and is still to be corrected."""
    query = select(StaleMonth.site_id).where(among(StaleMonth.site_id, site_ids), StaleMonth.month == month)
    return list(await session.scalars(query))


async def closed_figures(session: AsyncSession, site_id: int, parts: Sequence[Period]) -> dict[Period, dict[str, Any]]:
    """Return the stored rows of those parts that are whole closed months."""
    months = {month: part for part in parts if (month := part.month) is not None}
    if not months:
        return {}
    query = select(ClosedMonth).where(ClosedMonth.site_id == site_id, ClosedMonth.month.in_(months))
    rows = {row.month: row for row in await session.scalars(query)}
    corrections = await _last_corrections(session, [(site_id, month) for month in rows])
    return {months[month]: _with_correction(row, corrections.get((site_id, month))) for month, row in rows.items()}


async def closed_rows(session: AsyncSession, site_ids: Collection[int], part: Period) -> dict[int, dict[str, Any]]:
    """Return what was stored of each site's contracts, by its id; nothing unless the part is a whole month.

    Months that were closed before contracts' figures were stored are left out.
    """
    if (month := part.month) is None:
        return {}
    closed, corrected = (
        select(table.site_id, table.figures["contract"], table.figures["contracts"], *columns).where(
            among(table.site_id, site_ids), table.month == month, table.figures.has_key("contracts")
        )
        for table, columns in (
            (ClosedMonth, (ClosedMonth.closed_at,)),
            (MonthCorrection, (MonthCorrection.recorded_at, MonthCorrection.reason)),
        )
    )
    corrections = {
        site_id: {"contract": one, "contracts": several, "recorded_at": at, "reason": reason}
        for site_id, one, several, at, reason in await session.execute(corrected.order_by(MonthCorrection.id))
    }
    return {
        site_id: {"contract": one, "contracts": several, "closed_at": at, "correction": corrections.get(site_id)}
        for site_id, one, several, at in await session.execute(closed)
    }


def _with_correction(closed: ClosedMonth, corrected: MonthCorrection | None) -> dict[str, Any]:
    correction = corrected and {**corrected.figures, "recorded_at": corrected.recorded_at, "reason": corrected.reason}
    return {**closed.figures, "closed_at": closed.closed_at, "correction": correction}


def _last_due(now: datetime) -> datetime:
    """Return the first day of the latest month that may be closed by now, in WITA without a zone."""
    over = (now - timedelta(days=CLOSES_AFTER_DAYS)).astimezone(WITA).replace(tzinfo=None)
    last = over.replace(day=1) - timedelta(days=1)
    return datetime(last.year, last.month, 1)  # noqa: DTZ001  # compared with WITA's local time


def _by_month(site_months: Iterable[tuple[int, date]]) -> Iterator[tuple[date, list[int]]]:
    """Yield each month with at most CHUNK of its sites."""
    months: dict[date, list[int]] = {}
    for site_id, month in site_months:
        months.setdefault(month, []).append(site_id)
    for month, site_ids in months.items():
        for first in range(0, len(site_ids), CHUNK):
            yield month, site_ids[first : first + CHUNK]


async def _correct(session: AsyncSession, stale: Sequence[tuple[int, date, str]], now: datetime) -> None:
    """Add a correction to each month whose figures differ from its last correction, or from the closed figures."""
    keys = [(site_id, month) for site_id, month, _ in stale]
    published = await _closed(session, keys)
    published |= {key: row.figures for key, row in (await _last_corrections(session, keys)).items()}
    reasons = {(site_id, month): reason for site_id, month, reason in stale}
    for month, site_ids in _by_month(published):
        figures = await _figures(session, site_ids, month, now=now)
        session.add_all(
            MonthCorrection(site_id=n, month=month, figures=figures[n], recorded_at=now, reason=reasons[n, month])
            for n in site_ids
            if _is_corrected(published[n, month], figures[n])
        )
    await session.flush()


def _is_corrected(published: dict[str, Any], figures: dict[str, Any]) -> bool:
    """Whether a figure differs: not its words, how a contract is named, or what months closed earlier do not have."""
    return any(_compared(figures.get(name)) != _compared(value) for name, value in published.items())


def _compared(value: Any) -> Any:
    if isinstance(value, list):
        return [_compared(item) for item in value]
    if isinstance(value, dict):
        return {name: _compared(item) for name, item in value.items() if name not in UNCOMPARED}
    return value


async def _closed(session: AsyncSession, keys: Sequence[tuple[int, date]]) -> dict[tuple[int, date], Any]:
    query = select(ClosedMonth).where(tuple_(ClosedMonth.site_id, ClosedMonth.month).in_(keys))
    return {(row.site_id, row.month): row.figures for row in await session.scalars(query)} if keys else {}


async def _last_corrections(
    session: AsyncSession, keys: Sequence[tuple[int, date]]
) -> dict[tuple[int, date], MonthCorrection]:
    query = select(MonthCorrection).where(tuple_(MonthCorrection.site_id, MonthCorrection.month).in_(keys))
    rows = await session.scalars(query.order_by(MonthCorrection.id)) if keys else ()
    return {(row.site_id, row.month): row for row in rows}


async def _figures(session: AsyncSession, site_ids: Sequence[int], month: date, *, now: datetime) -> dict[int, Any]:
    """Return the uptime rows of the month by site, as they are stored."""
    period = whole_month(month)
    sites = await site_history.list_sites(session, select(Site.id).where(among(Site.id, site_ids)))
    histories = await site_history.load_histories(session, sites, period.start, period.end, now=now)
    names = await contract_names(session, set().union(*(history.contract_ids for history in histories.values())))
    bounds = (to_slot(period.start), to_slot(period.end))
    figures = {}
    for site_id, history in histories.items():
        (tally,) = tally_parts(history, [bounds])
        row = uptime_row(period, tally) | contract_fields(history.policies, tally.contracts, names, period)
        figures[site_id] = orjson.loads(orjson.dumps(row))
    return figures
