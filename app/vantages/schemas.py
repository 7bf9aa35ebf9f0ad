from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.core.errors import Fault
from app.core.moments import WitaMoment
from app.core.validation import SLUG, FaultError, reject_direction, reject_nul
from probes.contract import Outcome

MOST_VANTAGES = 8  # beside the one of the worker
MOMENT = "2026-11-24T14:05:00+08:00"

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40, pattern=SLUG)]
Label = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    AfterValidator(reject_nul),
    AfterValidator(reject_direction),
]

VANTAGE: dict[str, Any] = {
    "number": 1,
    "name": "telkom",
    "label": "Jaringan Telkom, Samarinda",
    "provider": "telkom-wms",
    "version": 1,
}
SITE_VANTAGE: dict[str, Any] = {
    "vantage": 1,
    "name": "telkom",
    "label": "Jaringan Telkom, Samarinda",
    "is_primary": False,
    "is_hosted": False,
    "decides": True,
    "last_look_at": MOMENT,
    "outcome": "ok",
    "rtt_ms": 23.157,
    "lost_since": None,
}
PROBER: dict[str, Any] = {
    "id": 2,
    "name": "samarinda-1",
    "vantage": 1,
    "vantage_name": "telkom",
    "live": True,
    "sites": 1_038,
    "seen_at": MOMENT,
    "started_at": MOMENT,
    "blind_since": None,
    "clock_offset_ms": 12,
    "spooled_readings": 0,
    "spool_oldest_at": None,
    "readings": 1_494_720,
    "rejected_readings": 0,
    "last_rejection": None,
    "last_rejected_at": None,
    "superseded": 0,
    "superseded_at": None,
    "protocol": 1,
    "version": "0.1.0",
    "address": "198.51.100.7",
    "figures": {"sites": 1038},
    "created_by": "sari",
    "created_at": MOMENT,
    "revoked_at": None,
    "revoked_by": None,
}


class VantageIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": VANTAGE["name"], "label": VANTAGE["label"]}]}
    )

    name: Name = Field(description="short name, as sites name it")
    label: Label = Field(description="which network it is, for people")
    provider: Annotated[str, StringConstraints(max_length=100), AfterValidator(reject_nul)] | None = Field(
        None,
        description="slug of the provider in whose network it stands; null: in that of none; left out: as before",
        examples=["telkom-wms"],
    )


class VantageOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [VANTAGE]})

    number: int = Field(description="0: where the service's own worker runs; else 1 to 8", examples=[1])
    name: str = Field(description="short name, as sites name it")
    label: str = Field(description="which network it is, for people")
    provider: str | None = Field(
        description="the provider in whose network it stands: of that provider's sites it does not decide the state "
        "while any other vantage can see them"
    )
    version: int = Field(description="increases with every change of it")


class SiteVantageOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [SITE_VANTAGE]})

    vantage: int = Field(description="its number", examples=[1])
    name: str | None = Field(description="short name of the vantage; null: nobody named it yet")
    label: str | None = Field(description="which network it is, for people")
    is_primary: bool = Field(description="whether latency is what it reads")
    is_hosted: bool = Field(description="whether it stands at the site's own provider")
    decides: bool = Field(description="whether its looks decide the state now: it can see, and no provider hosts it")
    last_look_at: WitaMoment | None = Field(description="slot of its last look; null: none in six hours")
    outcome: Outcome | None = Field(description="of that look, as it is judged")
    rtt_ms: float | None = Field(description="its median round trip")
    lost_since: WitaMoment | None = Field(
        description="slot of the first look of those it lost since its last answer, of the last six hours; null: it "
        "answered"
    )


class SiteVantagesOut(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"site_id": 512, "code": "64.02.05.2003-01", "items": [SITE_VANTAGE]}]}
    )

    site_id: int
    code: str
    items: list[SiteVantageOut] = Field(description="its vantages, the primary first")


class ProberIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": PROBER["name"], "vantage": "telkom"}]}
    )

    name: Name = Field(description="name of its machine, or of its place")
    vantage: Name = Field(description="name of the vantage that it probes for; it never changes")


class ProberPatch(BaseModel):
    """Only the fields that are sent change."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "samarinda-2"}]})

    name: Name | None = Field(None, description="name of its machine, or of its place")

    @model_validator(mode="after")
    def _never_null(self) -> Self:
        if "name" in self.model_fields_set and self.name is None:
            raise FaultError(Fault("name", "null", "This field cannot be emptied", "Leave it out to keep it"))
        return self


class ProberOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [PROBER]})

    id: int
    name: str = Field(description="name of its machine, or of its place")
    vantage: int = Field(description="number of the vantage that it probes for", examples=[1])
    vantage_name: str = Field(description="name of the vantage")
    live: bool = Field(description="whether it was heard in the last 30 s")
    sites: int = Field(description="sites assigned to it")
    seen_at: WitaMoment | None = Field(description="when it was last heard; null: never yet")
    started_at: WitaMoment | None = Field(description="when its process began")
    blind_since: WitaMoment | None = Field(description="since when none of its canaries answers")
    clock_offset_ms: int | None = Field(description="the server's clock minus its machine's, as it measured")
    spooled_readings: int | None = Field(description="readings that it could not deliver yet")
    spool_oldest_at: WitaMoment | None = Field(description="slot of the oldest of them")
    readings: int = Field(description="readings acknowledged since it was created")
    rejected_readings: int = Field(description="readings of blocks that were rejected")
    last_rejection: str | None = Field(description="code of the last rejection")
    last_rejected_at: WitaMoment | None = Field(description="when a block was last rejected")
    superseded: int = Field(
        description="messages of processes that another one with its token had replaced, within an hour: more than one "
        "or two mean that the token was copied"
    )
    superseded_at: WitaMoment | None = Field(description="when that last happened")
    protocol: int | None = Field(description="the protocol that it speaks")
    version: str | None = Field(description="of its program")
    address: str | None = Field(description="that it was last heard from; for the province alone")
    figures: dict[str, float] | None = Field(description="what it counts, by name; for the province alone")
    created_by: str | None = Field(description="who created it; for the province alone")
    created_at: WitaMoment
    revoked_at: WitaMoment | None
    revoked_by: str | None = Field(description="who revoked it; for the province alone")


class ProberMade(ProberOut):
    model_config = ConfigDict(json_schema_extra={"examples": [PROBER | {"token": "sp-Qw3k…"}]})

    token: str | None = Field(
        None, description="its secret, shown once; null where a request was repeated", examples=["sp-Qw3kV8mX2"]
    )
