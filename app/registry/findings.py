"""List and count the findings of the registry's checks, within the caller's scope."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    Select,
    Text,
    and_,
    case,
    func,
    literal,
    select,
    text,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller, in_region, require_region, visible_to
from app.core.errors import Fault
from app.postgres.engine import among
from app.registry import regions
from app.registry.checks import CHECKS, NEVER_SEEN_DAYS, Check, Severity
from app.registry.models import Site

HINTS = sorted(check.value for check, definition in CHECKS.items() if definition.severity is Severity.HINT)

# 0 for a warning and 1 for a hint, village code, check, site id or 0. Warnings come first: there may be hundreds of
# villages without a site.
SortKey = tuple[int, str, str, int]


@dataclass(frozen=True, slots=True)
class RegistryFinding:
    check: Check
    site_id: int | None  # None for a village without a site
    code: str | None
    name: str | None
    village_code: str
    detail: dict[str, Any]
    others: tuple[str, ...]  # codes of further sites concerned, within the caller's scope

    @property
    def severity(self) -> Severity:
        return CHECKS[self.check].severity

    @property
    def sort_key(self) -> SortKey:
        return int(self.severity is Severity.HINT), self.village_code, self.check.value, self.site_id or 0

    def fault(self) -> Fault:
        """Return message and suggestion as templates, with their values."""
        out_of_scope = self.detail.get("sites", 1) - 1 - len(self.others)
        also = ", ".join((*self.others, *([f"+{out_of_scope}"] if out_of_scope else [])))
        village = regions.names().get(self.village_code)
        return replace(
            CHECKS[self.check].fault,
            values=self.detail | {"also": also, "village": village, "days": NEVER_SEEN_DAYS, "id": self.site_id},
        )


async def list_findings(
    session: AsyncSession, *, caller: Caller, region: str | None, check: Check | None, after: SortKey | None, limit: int
) -> list[RegistryFinding]:
    """Return findings in the order of their sort keys. Raises NotAllowed for a region out of scope."""
    findings = _findings(caller, region, check).subquery()
    check_name, site_id = findings.c["check"], func.coalesce(findings.c.site_id, 0)
    sort_key = tuple_(case((check_name.in_(HINTS), 1), else_=0), findings.c.village_code, check_name, site_id)
    query = select(findings).order_by(*sort_key).limit(limit)
    if after is not None:
        query = query.where(sort_key > tuple_(*after))
    rows = (await session.execute(query)).all()
    codes = await _codes(session, {id for row in rows for id in row.others or ()}, caller=caller)
    return [_finding(row, codes) for row in rows]


async def count_findings(
    session: AsyncSession, *, caller: Caller, region: str | None, check: Check | None
) -> dict[str, dict[Check, int]]:
    """Return counts by district code and check, without zeros. Raises NotAllowed for a region out of scope."""
    findings = _findings(caller, region, check).subquery()
    district = func.left(findings.c.village_code, 5).label("district")
    query = select(district, findings.c["check"], func.count().label("findings")).group_by(text("1"), text("2"))
    counts: dict[str, dict[Check, int]] = {}
    for row in await session.execute(query.order_by(text("1"), text("2"))):
        counts.setdefault(row.district, {})[Check(row.check)] = row.findings
    return counts


def _findings(caller: Caller, region: str | None, check: Check | None) -> Select[Any]:
    if region is not None:
        require_region(caller, region)
    results = union_all(*(_results(each) for each in Check if check in {None, each})).subquery()
    village_code = func.coalesce(Site.village_code, results.c.village)
    return (
        select(results, Site.code, Site.name, village_code.label("village_code"))
        .outerjoin(Site, Site.id == results.c.site_id)
        .where(_visible(results.c.village, caller), in_region(village_code, region or caller.region_code))
    )


def _results(check: Check) -> Select[Any]:
    query = text(CHECKS[check].query).columns(site_id=Integer, village=Text, others=ARRAY(Integer), detail=JSONB)
    return select(literal(check.value).label("check"), *query.subquery().c)


def _visible(village: ColumnElement[Any], caller: Caller) -> ColumnElement[bool]:
    """Hide villages without a site from a provider: it would learn where other providers have none."""
    visible = visible_to(caller, Site)
    return visible if caller.provider_id is not None else visible | and_(Site.id.is_(None), village.is_not(None))


async def _codes(session: AsyncSession, ids: Collection[int], *, caller: Caller) -> dict[int, str]:
    query = select(Site.id, Site.code).where(among(Site.id, ids), visible_to(caller, Site)).order_by(Site.code)
    return {row.id: row.code for row in await session.execute(query)}


def _finding(row: Any, codes: dict[int, str]) -> RegistryFinding:
    others = tuple(codes[id] for id in row.others or () if id in codes and id != row.site_id)
    return RegistryFinding(Check(row.check), row.site_id, row.code, row.name, row.village_code, row.detail, others)
