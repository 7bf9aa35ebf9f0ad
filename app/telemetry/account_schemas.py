from typing import Annotated, Any

from pydantic import BaseModel, Field, SecretStr

from app.core.moments import WitaMoment
from app.registry.schemas import Text as ShortText
from app.telemetry.schemas import GAP, MOMENT, TelemetryGapOut, body_with_example, with_example

BASE_URL = "https://starlink.com/api"
ACCOUNT: dict[str, Any] = {
    "id": 2,
    "provider": "telkom-wms",
    "name": "Telkomsat Kaltim",
    "base_url": BASE_URL,
    "client_id": "d7a1c0de",
    "sites": 78,
    "answered_at": MOMENT,
    "taken_until": MOMENT,
    "batches": 5760,
    "rows": 898_560,
    "late": 0,
    "bytes": 188_697_600,
    "unassigned": ["ut01000000-00000000-001d3311"],
    "gaps": [GAP],
    "failures": 0,
    "problem": None,
    "retry_at": None,
    "version": 3,
    "created_by": "sari",
    "created_at": MOMENT,
}


class TelemetryAccountIn(BaseModel):
    model_config = body_with_example(
        {name: ACCOUNT[name] for name in ("provider", "name", "base_url", "client_id")} | {"client_secret": "rahasia"}
    )

    provider: ShortText = Field(max_length=100, description="slug of the provider whose terminals it has")
    name: ShortText = Field(max_length=100, description="its name, for people")
    base_url: ShortText = Field(BASE_URL, max_length=200, description="address of the account's API, https")
    client_id: Annotated[str, Field(pattern=r"^[!-~]{1,100}$")] = Field(description="of the service account")
    client_secret: Annotated[SecretStr, Field(min_length=1, max_length=200)] = Field(
        description="of the service account; sealed, never shown", examples=["rahasia"]
    )


class TelemetryAccountPatch(BaseModel):
    model_config = body_with_example({"client_secret": "rahasia"})

    name: ShortText | None = Field(None, max_length=100, description="its name, for people")
    base_url: ShortText | None = Field(
        None, max_length=200, description="address of the account's API, https", examples=[BASE_URL]
    )
    client_id: Annotated[str, Field(pattern=r"^[!-~]{1,100}$")] | None = Field(
        None, description="of the service account", examples=["d7a1c0de"]
    )
    client_secret: Annotated[SecretStr, Field(min_length=1, max_length=200)] | None = Field(
        None, description="of the service account; sealed, never shown", examples=["rahasia"]
    )


class TelemetryAccountOut(BaseModel):
    model_config = with_example(ACCOUNT)

    id: int
    provider: str
    name: str
    base_url: str = Field(description="address of the account's API")
    client_id: str = Field(description="of the service account")
    sites: int = Field(description="sites that have a terminal of it")
    answered_at: WitaMoment | None = Field(description="when it last answered; null: never yet")
    taken_until: WitaMoment | None = Field(description="time of the newest row taken")
    batches: int = Field(description="answers taken")
    rows: int = Field(description="rows in them, of all kinds")
    late: int = Field(description="rows of a time that was taken before, which added nothing")
    bytes: int = Field(description="bytes received, uncompressed")
    unassigned: list[str] = Field(description="terminals of the last answer that belong to no site, 200 at most")
    gaps: list[TelemetryGapOut] = Field(description="times of which rows may be missing, latest first, 20 at most")
    failures: int = Field(description="failed attempts since the last answer", examples=[0])
    problem: str | None = Field(description="why the last attempt failed")
    retry_at: WitaMoment | None = Field(description="when it is asked again after a failure")
    version: int = Field(description="increases with every change of its fields")
    created_by: str
    created_at: WitaMoment
