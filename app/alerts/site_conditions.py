"""Find sites that are degraded for hours, were never seen, are not seen any more, or have spent their data budget."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.condition import Condition, Finding
from app.alerts.matching import MemberFacts
from app.alerts.models import AnnouncementKind
from app.core.clock import midnight, month_of
from app.core.freshness import hold_sql
from app.throughput import month_budgets

NEVER_SEEN_AFTER = timedelta(hours=24)
COVERAGE_LOST_AFTER = timedelta(hours=6)  # in which we could see
MB = 1_000_000

FRESH = f"(st.evidence_at + {hold_sql('st.valid_s')} >= :now)"
SITES = f"""
    SELECT s.id, s.village_code, s.technology, s.provider_id, st.state, st.unknown_reason, st.loss_pct, st.rtt_us,
        st.evidence_at, coalesce({FRESH}, false) AS fresh, {{since}} AS since, {{holds}} AS holds
    FROM site s JOIN site_status st ON st.site_id = s.id
    WHERE s.lifecycle = 'active' AND (({{holds}}) OR s.id = ANY(:known))
"""
# A stretch of no evidence does not end it, only an answer as it should be or an outage does.
DEGRADED = text(
    SITES.format(
        since="""(SELECT min(g.started_at) FROM state_segment g WHERE g.site_id = s.id AND g.state = 'degraded'
            AND g.started_at > coalesce((SELECT max(o.started_at) FROM state_segment o
                WHERE o.site_id = s.id AND o.state IN ('up', 'down', 'unreachable')), '-infinity'))""",
        holds="st.state = 'degraded'",
    )
)
NEVER_SEEN = text(
    SITES.format(
        since="""greatest(st.addressed_at, (SELECT max(c.started_at) FROM site_configuration c
            WHERE c.site_id = s.id AND c.lifecycle = 'active' AND NOT EXISTS (SELECT 1 FROM site_configuration p
                WHERE p.site_id = c.site_id AND p.ended_at = c.started_at AND p.lifecycle = 'active')))""",
        holds="st.state = 'unknown' AND st.unknown_reason = 'never_seen'",
    )
)
LOST_SINCE = "CASE WHEN st.state = 'unknown' THEN st.since ELSE st.evidence_at + make_interval(secs => st.valid_s) END"
COVERAGE_LOST = text(
    SITES.format(
        since=LOST_SINCE,
        holds=f"""(CASE WHEN st.state = 'unknown' THEN st.unknown_reason IN ('silent', 'stopped') ELSE NOT {FRESH} END)
            AND {LOST_SINCE} <= :lost_before AND s.presence = 'always'""",
    )
)
BLIND = text("""
    SELECT lower(r) AS started_at, upper(r) AS ended_at FROM (
        SELECT unnest(range_agg(tstzrange(started_at, ended_at))) AS r FROM blind
        WHERE ended_at > :since AND started_at < :now AND started_at < ended_at AND reason <> 'mass_outage'
    ) merged
""")


async def find_degraded(session: AsyncSession, known: Collection[str], *, now: datetime) -> Finding:
    """`facts`: loss_pct, rtt_ms (null: unknown), hours. Over once it answers as it should; an outage leaves it open."""
    rows = await _sites(session, DEGRADED, known, now)

    def facts(row: Any) -> dict[str, Any]:
        return {
            "loss_pct": None if row.loss_pct is None else round(row.loss_pct, 1),
            "rtt_ms": None if row.rtt_us is None else round(row.rtt_us / 1000, 1),
            "hours": (now - row.since) // timedelta(hours=1),
        }

    holding = (row for row in rows if row.holds and row.fresh and row.since is not None)
    conditions = [_condition(AnnouncementKind.DEGRADED, row, row.since, facts(row)) for row in holding]
    return Finding(conditions, _ended(known, rows, lambda row: row.fresh and row.state == "up"))


async def find_never_seen(session: AsyncSession, known: Collection[str], *, now: datetime) -> Finding:
    """`facts`: hours. Active for a day in which we could see, and it never answered from its present address."""
    rows = await _sites(session, NEVER_SEEN, known, now)
    return await _unseen(session, AnnouncementKind.NEVER_SEEN, known, rows, NEVER_SEEN_AFTER, now)


async def find_coverage_lost(session: AsyncSession, known: Collection[str], *, now: datetime) -> Finding:
    """`facts`: last_seen_at, reason (silent, stopped), hours. Nothing is known of it for hours, and we could see."""
    rows = await _sites(session, COVERAGE_LOST, known, now)
    return await _unseen(session, AnnouncementKind.COVERAGE_LOST, known, rows, COVERAGE_LOST_AFTER, now)


async def find_budget_spent(session: AsyncSession, known: Collection[str], *, now: datetime) -> Finding:
    """`facts`: budget_mb, spent_mb, month (2026-11). Over when the budget is raised; another month is another one."""
    month, since = month_of(now), midnight(month_of(now))
    spendings = [each for each in await month_budgets.list_spending(session, now=now) if each.spent > each.budget]
    conditions = [
        _condition(
            AnnouncementKind.BUDGET_SPENT,
            each.site,
            since,
            {
                "budget_mb": round(each.budget / MB, 1),
                "spent_mb": round(each.spent / MB, 1),
                "month": f"{month:%Y-%m}",
            },
        )
        for each in spendings
    ]
    over = set(known) - {condition.subject for condition in conditions}
    return Finding(conditions, dict.fromkeys(over, AnnouncementKind.RECOVERED))


async def _sites(session: AsyncSession, statement: Any, known: Collection[str], now: datetime) -> Sequence[Any]:
    """Return the active sites of which it may hold, and the known ones."""
    ids = [int(subject.removeprefix("site:")) for subject in known]
    values = {"now": now, "known": ids} | (
        {"lost_before": now - COVERAGE_LOST_AFTER} if statement is COVERAGE_LOST else {}
    )
    return (await session.execute(statement, values)).all()


async def _unseen(
    session: AsyncSession,
    kind: AnnouncementKind,
    known: Collection[str],
    rows: Sequence[Any],
    after: timedelta,
    now: datetime,
) -> Finding:
    """Leave out the time in which we ourselves could not see. Over once there is evidence, whatever it says."""
    due = [row for row in rows if row.holds and row.since is not None and now - row.since >= after]
    blind = await _blind(session, min((row.since for row in due), default=now), now)
    conditions = [
        _condition(
            kind,
            row,
            row.since,
            {
                "last_seen_at": row.evidence_at and row.evidence_at.isoformat(),
                "reason": row.unknown_reason or "silent",
                "hours": (now - row.since) // timedelta(hours=1),
            },
        )
        for row in due
        if now - row.since - _overlap(blind, row.since, now) >= after
    ]
    return Finding(conditions, _ended(known, rows, lambda row: row.fresh and row.state != "unknown"))


async def _blind(session: AsyncSession, since: datetime, now: datetime) -> Sequence[Any]:
    return () if since >= now else (await session.execute(BLIND, {"since": since, "now": now})).all()


def _overlap(ranges: Iterable[Any], start: datetime, end: datetime) -> timedelta:
    parts = (min(each.ended_at, end) - max(each.started_at, start) for each in ranges)
    return sum((part for part in parts if part > timedelta()), timedelta())


def _condition(kind: AnnouncementKind, row: Any, since: datetime, facts: dict[str, Any]) -> Condition:
    member = MemberFacts(row.village_code, row.technology, row.provider_id)
    return Condition(kind, f"site:{row.id}", since, facts, frozenset({member}))


def _ended(known: Collection[str], rows: Iterable[Any], is_over: Callable[[Any], bool]) -> dict[str, AnnouncementKind]:
    """Return the known subjects that recovered; `withdrawn` are those out of service, of which there is no row."""
    by_subject = {f"site:{row.id}": row for row in rows}
    ended = {}
    for subject in known:
        if (row := by_subject.get(subject)) is None:
            ended[subject] = AnnouncementKind.WITHDRAWN
        elif is_over(row):
            ended[subject] = AnnouncementKind.RECOVERED
    return ended
