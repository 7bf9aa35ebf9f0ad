"""Which sites are near the end of this month's data budget: each with what it spent and is expected to spend."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Integer, Numeric, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller, in_region, require_region, visible_to
from app.core.clock import month_of
from app.profiles import Technology, profiles
from app.registry.models import Lifecycle, Site
from app.throughput.budget import MB, month_end, push_bytes
from app.throughput.planner import allowance
from probes.contract import ProbeKind

NEAR_PCT, SPENT_PCT = 80, 100

SPENT = (
    text("""
    SELECT site_id, sum(tests) AS tests, sum(reserved) AS reserved, sum(push) AS push, sum(requests) AS requests,
        sum(visits) AS visits
    FROM (
        SELECT site_id, sum(down_bytes + up_bytes) AS tests, sum(reserved_bytes) AS reserved, 0 AS push, 0 AS requests,
            0 AS visits
        FROM throughput_test WHERE month = :month GROUP BY site_id
        UNION ALL
        SELECT site_id, 0, 0, bytes, requests, 0 FROM push_traffic WHERE month = :month
        UNION ALL
        SELECT site_id, 0, reserved_bytes, 0, 0, bytes FROM visit_traffic WHERE month = :month
    ) p GROUP BY site_id
""")
    .columns(site_id=Integer, tests=Numeric, reserved=Numeric, push=Numeric, requests=BigInteger, visits=Numeric)
    .subquery()
)


@dataclass(frozen=True, slots=True)
class SiteSpending:
    site: Any  # id, code, name, village_code, technology
    budget: int  # bytes, like the others
    tests: int
    push: int
    visits: int
    expected: int  # by the month's end, without further tests

    @property
    def spent(self) -> int:
        return self.tests + self.push + self.visits

    @property
    def spent_pct(self) -> float:
        return _pct(self.spent, self.budget)

    @property
    def expected_pct(self) -> float:
        return _pct(self.expected, self.budget)


async def list_budgets(
    session: AsyncSession, *, caller: Caller, region: str | None, limit: int, now: datetime
) -> dict[str, Any]:
    """Return sums by technology, and the sites that are expected to spend most of their budget. Raises NotAllowed."""
    if region is not None:
        require_region(caller, region)
    visible = visible_to(caller, Site) & in_region(Site.village_code, region or caller.region_code)
    month, budgets = month_of(now), await list_spending(session, visible, now=now)
    budgets.sort(key=lambda budget: (-budget.expected_pct, budget.site.code))
    by_technology: dict[Technology, list[SiteSpending]] = defaultdict(list)
    for budget in budgets:
        by_technology[budget.site.technology].append(budget)
    return {
        "month": month,
        "technologies": [_sum(technology, by_technology[technology]) for technology in sorted(by_technology)],
        "items": [_present(budget) for budget in budgets[:limit]],
    }


async def list_spending(
    session: AsyncSession, visible: ColumnElement[bool] | None = None, *, now: datetime
) -> list[SiteSpending]:
    """Return what active sites spent of this month's budget, by default all of them."""
    month = month_of(now)
    query = (
        select(
            *(Site.id, Site.code, Site.name, Site.village_code, Site.technology, Site.provider_id, Site.probe),
            *(Site.speed_budget_mb, SPENT.c.tests, SPENT.c.reserved, SPENT.c.push, SPENT.c.requests, SPENT.c.visits),
        )
        .outerjoin(SPENT, SPENT.c.site_id == Site.id)
        .where(
            Site.lifecycle == Lifecycle.ACTIVE,
            (Site.probe == ProbeKind.PUSH) | Site.speed_url.is_not(None) | (SPENT.c.visits > 0),
        )
    )
    if visible is not None:
        query = query.where(visible)
    return [_budget(row, month, now) for row in await session.execute(query, {"month": month})]


def _budget(row: Any, month: date, now: datetime) -> SiteSpending:
    allowed = allowance(profiles()[row.technology], row.speed_budget_mb, pushes=row.probe is ProbeKind.PUSH)
    tests, push, requests = int(row.tests or 0), int(row.push or 0), row.requests or 0
    each = push_bytes(push, requests)
    to_come = allowed.pushes_bytes((month_end(month) - now).total_seconds(), each=each)
    visits = int(row.visits or 0)
    expected = tests + push + visits + int(row.reserved or 0) + to_come
    return SiteSpending(row, allowed.monthly_bytes, tests, push, visits, expected)


def _sum(technology: Technology, budgets: Sequence[SiteSpending]) -> dict[str, Any]:
    return {
        "technology": technology,
        "sites": len(budgets),
        "near": sum(NEAR_PCT <= budget.expected_pct <= SPENT_PCT for budget in budgets),
        "over": sum(budget.expected_pct > SPENT_PCT for budget in budgets),
        "budget_mb": _mb(sum(budget.budget for budget in budgets)),
        "spent_mb": _mb(sum(budget.spent for budget in budgets)),
    }


def _present(budget: SiteSpending) -> dict[str, Any]:
    site = budget.site
    return {
        "site_id": site.id,
        **{name: getattr(site, name) for name in ("code", "name", "village_code", "technology")},
        "budget_mb": _mb(budget.budget),
        "spent_mb": _mb(budget.spent),
        "tests_mb": _mb(budget.tests),
        "push_mb": _mb(budget.push),
        "visits_mb": _mb(budget.visits),
        "expected_mb": _mb(budget.expected),
        "spent_pct": round(budget.spent_pct, 3),
        "expected_pct": round(budget.expected_pct, 3),
    }


def _pct(size: int, budget: int) -> float:
    return 100 * size / budget if budget else 100.0 * bool(size)


def _mb(size: int) -> float:
    return round(size / MB, 3)
