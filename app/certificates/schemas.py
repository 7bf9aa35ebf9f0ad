"""The data set of a certificate: one line's 24 hours as one value, frozen once done."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.availability.contract_schemas import VERDICT, ContractVerdict
from app.certificates.figure_schemas import (
    FIGURES,
    PART,
    SPEED,
    TEST,
    TOTAL,
    CertificateTest,
    CertifiedPart,
    CertifiedSpeed,
    LineFigures,
    LineTotal,
)
from app.certificates.verdicts import CertificateResult, Obstacle
from app.core.moments import WitaMoment
from app.profiles import Technology

FORMAT = "sinyal-certificate-1"
SITE: dict[str, Any] = {
    "id": 512,
    "code": "64.02.05.2003-01",
    "name": "Kantor Desa Muara Badak Ulu",
    "village_code": "64.02.05.2003",
    "village": "Muara Badak Ulu",
    "subdistrict": "Muara Badak",
    "district": "Kabupaten Kutai Kartanegara",
    "service_no": "4700001-0021",
    "technology": "fiber",
    "provider": "telkom-wms",
    "provider_name": "Telkom WMS",
}
RESULTS: dict[str, Any] = {"availability": "fails", "latency": "meets", "download": "meets", "upload": "meets"}
METHOD: dict[str, Any] = {
    "version": "sertifikat-1",
    "based_on": "Metode v1",
    "least_coverage_pct": 90,
    "speed_of_contract_pct": 80,
    "tests_pct": 80,
    "least_tests": 5,
    "looks_pct": 95,
    "least_looks": 500,
    "limit_ms": 100,
}
FOLLOWS: dict[str, Any] = {
    "number": "SP-2026-10-0003",
    "from": "2026-10-20T06:00:00+08:00",
    "to": "2026-10-21T06:00:00+08:00",
    "results": RESULTS,
}
ASKED: dict[str, Any] = {"at": "2026-11-23T15:20:11+08:00", "beforehand": True}
DATA: dict[str, Any] = {
    "format": FORMAT,
    "method": METHOD,
    "site": SITE,
    "asked": ASKED,
    "others_30_days": 1,
    "follows": FOLLOWS,
    "as_of": "2026-11-25T06:03:00+08:00",
    "settled_until": "2026-11-25T06:00:00+08:00",
    "simulated": False,
    "obstacles": [],
    "availability": {**PART, "result": "fails"},
    "latency": PART,
    "download": SPEED,
    "upload": SPEED,
    "contract": VERDICT,
    "total": TOTAL,
    "hours": [FIGURES],
    "tests": [TEST],
}


class CertifiedSite(BaseModel):
    """The line: as its site was at the end of the 24 hours."""

    model_config = ConfigDict(json_schema_extra={"examples": [SITE]})

    id: int = Field(description="id of the site", examples=[512])
    code: str = Field(description="its code", examples=[SITE["code"]])
    name: str = Field(description="its name", examples=[SITE["name"]])
    village_code: str = Field(description="Kemendagri code of its village", examples=[SITE["village_code"]])
    village: str = Field(description="its village", examples=[SITE["village"]])
    subdistrict: str = Field(description="its kecamatan", examples=[SITE["subdistrict"]])
    district: str = Field(description="its kabupaten or kota", examples=[SITE["district"]])
    service_no: str | None = Field(description="the provider's number of the line", examples=[SITE["service_no"]])
    technology: Technology = Field(description="its technology", examples=["fiber"])
    provider: str = Field(description="the provider's slug", examples=["telkom-wms"])
    provider_name: str = Field(description="the provider's name", examples=["Telkom WMS"])


class CertificateMethod(BaseModel):
    """The numbers that the certificate judges by."""

    model_config = ConfigDict(json_schema_extra={"examples": [METHOD]})

    version: str = Field(description="version of the certificate's method", examples=["sertifikat-1"])
    based_on: str = Field(description="the published method whose numbers these are", examples=["Metode v1"])
    least_coverage_pct: int = Field(description="share of the time that has to be known", examples=[90])
    speed_of_contract_pct: int = Field(description="what a test has to reach of the contract's speed", examples=[80])
    tests_pct: int = Field(description="share of tests that have to", examples=[80])
    least_tests: int = Field(description="fewer results say nothing", examples=[5])
    looks_pct: int = Field(description="share of looks that have to be within the limit", examples=[95])
    least_looks: int = Field(description="fewer say nothing", examples=[500])
    limit_ms: int = Field(description="the technology's limit, in ms", examples=[100])


class CertificateAsked(BaseModel):
    """When it was asked for."""

    model_config = ConfigDict(json_schema_extra={"examples": [ASKED]})

    at: WitaMoment = Field(description="when it was asked for", examples=[ASKED["at"]])
    beforehand: bool = Field(description="before its 24 hours began; if not, these were chosen once they were known")


class FollowedCertificate(BaseModel):
    """The certificate before the cure that this one repeats."""

    model_config = ConfigDict(json_schema_extra={"examples": [FOLLOWS]})

    number: str = Field(description="its number", examples=[FOLLOWS["number"]])
    from_: WitaMoment = Field(alias="from", description="start of its 24 hours", examples=[FOLLOWS["from"]])
    to: WitaMoment = Field(description="their end", examples=[FOLLOWS["to"]])
    results: dict[str, CertificateResult] = Field(description="what came of each part", examples=[RESULTS])


class CertificateData(BaseModel):
    """All that a certificate says."""

    model_config = ConfigDict(json_schema_extra={"examples": [DATA]})

    format: str = Field(description="version of this data set's form", examples=[FORMAT])
    method: CertificateMethod = Field(description="by what it is judged")
    site: CertifiedSite = Field(description="the line")
    asked: CertificateAsked = Field(description="when it was asked for")
    others_30_days: int = Field(
        description="certificates of this site that began within the 30 days before: so that nobody shows the one of "
        "many that suits",
        examples=[1],
    )
    follows: FollowedCertificate | None = Field(description="the one that it repeats after a cure", examples=[FOLLOWS])
    as_of: WitaMoment = Field(description="when it was frozen", examples=[DATA["as_of"]])
    settled_until: WitaMoment = Field(description="up to when its states were settled then", examples=[DATA["as_of"]])
    simulated: bool = Field(description="whether any of it was simulated: then it is of no effect")
    obstacles: list[Obstacle] = Field(description="why nothing is proven; empty: each part is judged", examples=[[]])
    availability: CertifiedPart = Field(description="against the contract's target")
    latency: CertifiedPart = Field(description="looks within the technology's limit")
    download: CertifiedSpeed = Field(description="tests against the contract's speed")
    upload: CertifiedSpeed = Field(description="the same, the other way")
    contract: ContractVerdict | None = Field(
        description="what the contract of its provider counts of these 24 hours; null: none, or several",
        examples=[VERDICT],
    )
    total: LineTotal = Field(description="all 24 hours")
    hours: list[LineFigures] = Field(description="each hour")
    tests: list[CertificateTest] = Field(description="each speed test that was due")

    @property
    def results(self) -> dict[str, CertificateResult]:
        return {name: getattr(self, name).result for name in RESULTS}
