"""What the calls of certificates answer; the data set itself is in `schemas`."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.certificates.models import CertificateStatus
from app.certificates.schemas import DATA, RESULTS, CertificateData
from app.certificates.verdicts import CertificateResult
from app.core.moments import WitaMoment

CERTIFICATE: dict[str, Any] = {
    "id": 4,
    "site_id": 512,
    "code": "64.02.05.2003-01",
    "name": "Kantor Desa Muara Badak Ulu",
    "from": "2026-11-24T06:00:00+08:00",
    "to": "2026-11-25T06:00:00+08:00",
    "status": "done",
    "number": "SP-2026-11-0004",
    "follows_id": 3,
    "results": RESULTS,
    "sha256": "5d41402abc4b2a76b9719d911017c592ae3f1b0c2f8f4f6a0f6b9a1d2c3e4f50",
    "method": "sertifikat-1",
    "verify_code": "q7T1cV9xZk2LmA4s",
    "requested_at": "2026-11-23T15:20:11+08:00",
    "requested_by": "ana",
    "done_at": "2026-11-25T06:03:00+08:00",
}


class CertificateOut(BaseModel):
    """A certificate without its data set."""

    model_config = ConfigDict(json_schema_extra={"examples": [CERTIFICATE]})

    id: int = Field(description="its id", examples=[4])
    site_id: int = Field(description="id of the site", examples=[512])
    code: str = Field(description="the site's code", examples=[CERTIFICATE["code"]])
    name: str = Field(description="the site's name", examples=[CERTIFICATE["name"]])
    from_: WitaMoment = Field(alias="from", description="start of its 24 hours", examples=[CERTIFICATE["from"]])
    to: WitaMoment = Field(description="their end, exclusive", examples=[CERTIFICATE["to"]])
    status: CertificateStatus = Field(description="running or done", examples=["done"])
    number: str | None = Field(description="given once it is done", examples=["SP-2026-11-0004"])
    follows_id: int | None = Field(description="id of the certificate that it repeats after a cure", examples=[3])
    results: dict[str, CertificateResult] | None = Field(
        description="what came of `availability`, `latency`, `download`, `upload`; null while it runs",
        examples=[RESULTS],
    )
    sha256: str | None = Field(
        description="data hash: SHA-256 over the SHA-256 of its files", examples=[CERTIFICATE["sha256"]]
    )
    method: str | None = Field(description="version of the method", examples=["sertifikat-1"])
    verify_code: str = Field(description="opens the public page that verifies it", examples=["q7T1cV9xZk2LmA4s"])
    requested_at: WitaMoment = Field(description="when it was asked for", examples=[CERTIFICATE["requested_at"]])
    requested_by: str = Field(description="by whom", examples=["ana"])
    done_at: WitaMoment | None = Field(description="when it was frozen", examples=[CERTIFICATE["done_at"]])


class CertificateWhole(CertificateOut):
    """A certificate with its data set."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**CERTIFICATE, "data": DATA}]})

    data: CertificateData | None = Field(description="its figures; null while it runs")
