"""`GET /registry/checks`: what may be wrong in the registry, with a suggestion for each finding."""

from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Header
from pydantic import BaseModel, ConfigDict, Field

from app.core import i18n
from app.registry import findings, regions
from app.registry.checks import Check, Severity
from app.registry.findings import RegistryFinding
from app.registry.params import RegionCode
from app.web.deps import Reader, Session
from app.web.pagination import Page, cursor_codec
from app.web.params import Cursor, Limit, row_id
from app.web.problem_details import problems

router = APIRouter(prefix="/registry", tags=["registry"])

BY_SORT_KEY = cursor_codec(
    lambda text: int(text == "1"),
    str,
    lambda text: Check(text).value,
    lambda text: row_id(text) if text != "0" else 0,
)


FINDING: dict[str, Any] = {
    "check": "duplicate_host",
    "severity": "warning",
    "site_id": 512,
    "code": "64.02.05.2003-01",
    "name": "Kantor Desa Muara Badak Ulu",
    "village_code": "64.02.05.2003",
    "village": "Muara Badak Ulu",
    "district": "Kabupaten Kutai Kartanegara",
    "message": "198.51.100.20 is also the host of other sites: 64.02.05.2004-01",
    "detail": {"host": "198.51.100.20", "sites": 2, "others": ["64.02.05.2004-01"]},
    "suggestion": "Check which site really uses it, and correct or retire the others",
}
CHECKS: dict[str, Any] = {
    "items": [FINDING],
    "next_cursor": None,
    "counts": {"duplicate_host": 2, "no_contract": 0},
    "districts": [
        {"code": "64.02", "name": "Kabupaten Kutai Kartanegara", "counts": {"duplicate_host": 2}},
    ],
}


class FindingOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [FINDING]})

    check: Check
    severity: Severity = Field(description="warning: correct it; hint: it may be correct as it is")
    site_id: int | None = Field(description="null for a village without a site")
    code: str | None
    name: str | None
    village_code: str
    village: str | None
    district: str | None
    message: str
    detail: dict[str, Any] = Field(
        description="values of the message; `sites`: how many sites are concerned, `others`: those in your scope"
    )
    suggestion: str | None


class DistrictOut(BaseModel):
    code: str = Field(description="Kemendagri code of the kabupaten or kota")
    name: str | None
    counts: dict[Check, int] = Field(description="findings by check")


class ChecksOut(Page[FindingOut]):
    model_config = ConfigDict(json_schema_extra={"examples": [CHECKS]})

    counts: dict[Check, int] = Field(description="of all pages together")
    districts: list[DistrictOut] = Field(description="findings by kabupaten or kota")


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
    """What may be wrong in the registry.

    Within your scope: warnings, then hints, each by village.
    """
    after = BY_SORT_KEY.read(cursor)
    rows = await findings.list_findings(
        session, caller=caller, region=region, check=check, after=after, limit=limit + 1
    )
    page, next_cursor = BY_SORT_KEY.page(rows, limit, lambda finding: finding.sort_key)
    by_district = await findings.count_findings(session, caller=caller, region=region, check=check)
    language = i18n.preferred_language(accept_language)
    return {
        "items": [_serialize(finding, language) for finding in page],
        "next_cursor": next_cursor,
        "counts": _totals(by_district, check),
        "districts": [
            {"code": code, "name": regions.names().get(code), "counts": counts} for code, counts in by_district.items()
        ],
    }


def _totals(by_district: dict[str, dict[Check, int]], check: Check | None) -> dict[Check, int]:
    totals: Counter[Check] = Counter()
    for counts in by_district.values():
        totals.update(counts)
    return {each: totals[each] for each in Check if check in {None, each}}


def _serialize(finding: RegistryFinding, language: str) -> dict[str, Any]:
    fault, names, village_code = finding.fault(), regions.names(), finding.village_code
    detail = finding.detail | ({"others": finding.others} if "sites" in finding.detail else {})
    return {
        "check": finding.check,
        "severity": finding.severity,
        "site_id": finding.site_id,
        "code": finding.code,
        "name": finding.name,
        "village_code": village_code,
        "village": names.get(village_code),
        "district": names.get(village_code[:5]),
        "message": i18n.translate(fault.message, fault.values, language=language),
        "detail": detail,
        "suggestion": fault.suggestion and i18n.translate(fault.suggestion, fault.values, language=language),
    }
