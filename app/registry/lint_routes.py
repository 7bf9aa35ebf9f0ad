from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Header
from pydantic import BaseModel, Field

from app.core import i18n
from app.registry import lint, regions
from app.registry.lint import Check, Finding, Severity
from app.registry.params import RegionCode
from app.web.deps import Reader, Session
from app.web.pagination import Page, cursor_codec
from app.web.params import Cursor, Limit, row_id
from app.web.problem_details import problems

router = APIRouter(prefix="/registry", tags=["registry"])

BY_PLACE = cursor_codec(
    lambda text: int(text == "1"),
    str,
    lambda text: Check(text).value,
    lambda text: row_id(text) if text != "0" else 0,
)


class FindingOut(BaseModel):
    check: Check
    severity: Severity = Field(description="warning: put it right; hint: it may well be as it should")
    site_id: int | None = Field(description="null for a village without a site")
    code: str | None
    name: str | None
    village_code: str
    village: str | None
    district: str | None
    message: str
    detail: dict[str, Any] = Field(
        description="the figures of the message; `sites`: so many it concerns, `others`: those of them in your scope"
    )
    suggestion: str | None


class DistrictOut(BaseModel):
    code: str
    name: str | None
    counts: dict[Check, int]


class ChecksOut(Page[FindingOut]):
    counts: dict[Check, int] = Field(description="of all pages together")
    districts: list[DistrictOut]


@router.get("/checks", response_model=ChecksOut, responses=problems(403))
async def check_registry(
    session: Session,
    caller: Reader,
    region: RegionCode = None,
    check: Check | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    accept_language: Annotated[str | None, Header()] = None,
) -> dict[str, Any]:
    """What is probably wrong in the registry within your scope: the warnings, then the hints, village by village."""
    after = BY_PLACE.read(cursor)
    found = await lint.list_findings(session, caller=caller, region=region, check=check, after=after, limit=limit + 1)
    counts = await lint.count_findings(session, caller=caller, region=region, check=check)
    page, next_cursor = BY_PLACE.page(found, limit, lambda finding: finding.place)
    spoken = i18n.preferred_language(accept_language)
    total: Counter[Check] = Counter()
    for of_district in counts.values():
        total.update(of_district)
    return {
        "items": [_present(finding, spoken) for finding in page],
        "next_cursor": next_cursor,
        "counts": {one: total[one] for one in Check if check in {None, one}},
        "districts": [{"code": code, "name": regions.names().get(code), "counts": of} for code, of in counts.items()],
    }


def _present(finding: Finding, spoken: str) -> dict[str, Any]:
    told, names, code = finding.told(), regions.names(), finding.village_code
    detail = finding.detail | ({"others": finding.others} if "sites" in finding.detail else {})
    return {
        "check": finding.check,
        "severity": finding.severity,
        "site_id": finding.site_id,
        "code": finding.code,
        "name": finding.name,
        "village_code": code,
        "village": names.get(code),
        "district": names.get(code[:5]),
        "message": i18n.translate(told.message, told.values, language=spoken),
        "detail": detail,
        "suggestion": told.suggestion and i18n.translate(told.suggestion, told.values, language=spoken),
    }
