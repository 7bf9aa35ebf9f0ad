from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticKnownError

from app.core.errors import Fault
from app.core.validation import SLUG, FaultError, as_text, reject_nul
from app.profiles import Technology
from app.registry import vantage_lists
from app.registry.models import Level, Lifecycle, LinkRole, PowerSource, Presence, SiteKind, State, Venue
from app.registry.vantage_lists import MOST_VANTAGES
from app.registry.vocabulary import MAX_NAME, fold
from app.web.problem_schemas import FaultOut
from probes.contract import ProbeKind
from probes.policy import canonical_host


def _stringify_id(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _number_or_name(value: Any, number: ValidatorFunctionWrapHandler) -> Any:
    """Let names through as they are: `references` knows them."""
    if not isinstance(value, str) or value.strip().isdecimal():
        return number(value)
    if len(value) > vantage_lists.MAX_TEXT:
        raise PydanticKnownError("string_too_long", {"max_length": vantage_lists.MAX_TEXT})
    return value.strip()


Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), AfterValidator(reject_nul)
]
Note = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000), AfterValidator(reject_nul)
]
Ident = Annotated[
    Text, BeforeValidator(_stringify_id), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]})
]
Host = Annotated[Text, AfterValidator(canonical_host)]
NumberOrName = Annotated[
    int,
    Field(ge=0, le=MOST_VANTAGES - 1),
    WrapValidator(_number_or_name),
    PlainSerializer(lambda each: each, return_type=Any),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": MOST_VANTAGES - 1},
                {"type": "string", "maxLength": vantage_lists.MAX_TEXT},
            ]
        }
    ),
]
Vantages = Annotated[list[NumberOrName], Field(min_length=1, max_length=MOST_VANTAGES)]
Mbps = Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)]

EXAMPLE: dict[str, Any] = {
    "village_code": "64.02.05.2003",
    "name": "Kantor Desa Muara Badak Ulu",
    "host": "198.51.100.20",
    "technology": "fiber",
    "provider": "telkom-wms",
    "probe": "icmp",
    "service_no": "4700001-0021",
    "latitude": -0.3617,
    "longitude": 117.4391,
    "venue": "kantor_desa",
    "power_source": "pln",
    "bandwidth_down_mbps": 50,
}


OUT_EXAMPLE: dict[str, Any] = {
    "id": 512,
    "code": "64.02.05.2003-01",
    "kind": "access_point",
    "province": "Kalimantan Timur",
    "district": "Kabupaten Kutai Kartanegara",
    "subdistrict": "Muara Badak",
    "village": "Muara Badak Ulu",
    "host_static": True,
    "link_role": "primary",
    "location_note": None,
    "ssid": None,
    "public_hours": None,
    "presence": "always",
    "vantages": [0],
    "power_hours": None,
    "bandwidth_up_mbps": None,
    "port": None,
    "url": None,
    "speed_url": None,
    "speed_budget_mb": None,
    "parent_id": None,
    "contract_id": None,
    "device_model": None,
    "contact_name": None,
    "contact_phone": None,
    "notes": None,
    "lifecycle": "active",
    "state": "up",
    "since": "2026-11-24T13:06:37Z",
    "last_seen_at": "2026-11-24T13:31:37Z",
    "commissioned_at": "2026-11-24T13:06:37Z",
    "version": 1040,
    "created_at": "2026-11-24T13:06:31.085168Z",
    "updated_at": "2026-11-24T13:06:31.085168Z",
    "warnings": [],
    **EXAMPLE,
}


REGION: dict[str, Any] = {
    "code": "64.02.05.2003",
    "level": "desa_kelurahan",
    "parent_code": "64.02.05",
    "name": "Muara Badak Ulu",
    "type": "desa",
    "latitude": -0.3501,
    "longitude": 117.4212,
    "valid_from": None,
    "valid_to": None,
}
ALIAS: dict[str, Any] = {"code": "64.09.01.2001", "valid_to": "2023-01-01", "note": "Kepmendagri 100.1.1-6117/2022"}


class RegionOut(BaseModel):
    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [REGION]})

    code: str = Field(description="its Kemendagri code, with dots")
    level: Level
    parent_code: str | None
    name: str
    type: str = Field(description="provinsi, kabupaten, kota, kecamatan, desa or kelurahan")
    latitude: float = Field(description="of the region's centroid, not of the village office, in degrees")
    longitude: float = Field(description="of the same centroid")
    valid_from: date | None
    valid_to: date | None = Field(description="exclusive; null: indefinitely")


class AliasOut(BaseModel):
    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [ALIAS]})

    code: str = Field(description="a former code")
    valid_to: date | None = Field(description="first day on which the region has its present code")
    note: str | None = Field(description="by which regulation it changed")


class RegionDetail(RegionOut):
    model_config = ConfigDict(json_schema_extra={"examples": [{**REGION, "aliases": [ALIAS]}]})

    aliases: list[AliasOut] = Field(description="former codes; each of them still finds the region")


def _comparable(alias: str) -> str:
    if not fold(alias):
        raise FaultError(
            Fault("aliases", "no_letters", "{given} has no letter and no digit", values={"given": as_text(alias)})
        )
    return alias


def _distinct(aliases: list[str]) -> list[str]:
    """Keep the first of several spellings of one name."""
    by_name: dict[str, str] = {}
    for alias in aliases:
        by_name.setdefault(fold(alias), alias)
    return list(by_name.values())


Alias = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NAME),
    AfterValidator(reject_nul),
    AfterValidator(_comparable),
]
Aliases = Annotated[
    list[Alias],
    Field(
        max_length=20,
        description="further names of the provider in spreadsheets, in any spelling; no two providers share one",
        examples=[["Telkom", "Indihome"]],
    ),
    AfterValidator(_distinct),
]


class ProviderIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"slug": "orbit", "name": "Orbit", "aliases": ["Telkom Orbit"]}]},
    )

    slug: Annotated[str, Field(pattern=SLUG, max_length=60)]
    name: Text
    aliases: Aliases = []


class ProviderPatch(BaseModel):
    """Only the fields sent change; `aliases` replaces the whole list."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"aliases": ["Telkom", "Indihome"]}]})

    name: Text | None = None
    aliases: Aliases | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        for name in self.model_fields_set:
            if getattr(self, name) is None:
                raise FaultError(Fault(name, "null", "This field cannot be emptied", "Leave it out to keep it"))
        if not self.model_fields_set:
            raise FaultError(Fault("name", "missing", "Nothing changes: give name or aliases"))
        return self


class ProviderOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    slug: str
    name: str
    aliases: list[str] = Field(description="further names in spreadsheets", examples=[["Telkom", "Indihome"]])


class EditableFields(BaseModel):
    """All fields of a site that a caller may set, each optional."""

    model_config = ConfigDict(extra="forbid")

    kind: SiteKind | None = None
    village_code: Annotated[Text, Field(description="Kemendagri code of the village, with dots")] | None = None
    name: Text | None = None
    host: Annotated[Host, Field(description="IP address or DNS name to probe")] | None = None
    host_static: bool | None = Field(None, description="whether the IP address is static")
    technology: Technology | None = None
    provider: Annotated[Text, Field(description="the provider's slug")] | None = None
    service_no: Text | None = None
    link_role: LinkRole | None = None
    venue: Venue | None = None
    location_note: Text | None = None
    latitude: Annotated[float, Field(allow_inf_nan=False)] | None = None
    longitude: Annotated[float, Field(allow_inf_nan=False)] | None = None
    ssid: Text | None = None
    public_hours: Text | None = None
    presence: Presence | None = None
    vantages: Vantages | None = None
    power_source: PowerSource | None = None
    power_hours: Text | None = None
    bandwidth_down_mbps: Mbps | None = None
    bandwidth_up_mbps: Mbps | None = None
    probe: ProbeKind | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    url: Text | None = None
    speed_url: Text | None = None
    speed_budget_mb: int | None = Field(
        None,
        ge=0,
        le=10_000_000,
        description="megabytes that speed tests may use in a month; null: the technology's default; 0: no speed tests",
    )
    parent_id: int | None = Field(None, ge=1, le=2**31 - 1, description="id of the node this site depends on")
    contract_id: int | None = Field(None, ge=1, le=2**31 - 1)
    device_model: Text | None = None
    contact_name: Annotated[Text, Field(description="personal data: never public, never logged")] | None = None
    contact_phone: Annotated[Text, Field(description="personal data: never public, never logged")] | None = None
    notes: Note | None = None
    lifecycle: Lifecycle | None = None


class SiteIn(EditableFields):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    village_code: Annotated[Text, Field(description="Kemendagri code of the village, with dots")]
    technology: Technology
    provider: Annotated[Text, Field(description="the provider's slug")]
    probe: ProbeKind


NEVER_NULL = (
    "kind",
    "village_code",
    "name",
    "host_static",
    "technology",
    "provider",
    "link_role",
    "probe",
    "presence",
    "vantages",
    "lifecycle",
)


class SitePatch(EditableFields):
    """Only the fields sent change; null empties a field that may be empty."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"host": "198.51.100.21"}]})

    @model_validator(mode="after")
    def _never_null(self) -> Self:
        for name in NEVER_NULL:
            if name in self.model_fields_set and getattr(self, name) is None:
                raise FaultError(Fault(name, "null", "This field cannot be emptied", "Leave it out to keep it"))
        return self


class SiteOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [OUT_EXAMPLE]})

    id: int
    code: str = Field(examples=["64.02.05.2003-01"], description="never changes")
    kind: SiteKind
    village_code: str
    province: str | None = None
    district: str | None = None
    subdistrict: str | None = None
    village: str | None = None
    name: str
    host: str | None
    host_static: bool
    technology: Technology
    provider: str
    service_no: str | None
    link_role: LinkRole
    venue: Venue | None
    location_note: str | None
    latitude: float | None
    longitude: float | None
    ssid: str | None
    public_hours: str | None
    presence: Presence
    vantages: list[int]
    power_source: PowerSource | None
    power_hours: str | None
    bandwidth_down_mbps: float | None
    bandwidth_up_mbps: float | None
    probe: ProbeKind
    port: int | None
    url: str | None
    speed_url: str | None
    speed_budget_mb: int | None
    parent_id: int | None
    contract_id: int | None = None
    device_model: str | None
    contact_name: str | None = Field(description="null for callers who may not see contact persons")
    contact_phone: str | None = Field(description="null for callers who may not see contact persons")
    notes: str | None
    lifecycle: Lifecycle
    state: State
    since: datetime
    last_seen_at: datetime | None
    commissioned_at: datetime | None
    version: int = Field(description="opaque; send it back as If-Match")
    created_at: datetime
    updated_at: datetime
    warnings: list[str] = Field([], description="values that are allowed but probably wrong")


WARNING: dict[str, Any] = {
    "field": "latitude",
    "row": None,
    "code": "far_from_village",
    "message": "The position is 41 km from the centre of Muara Badak Ulu",
    "suggestion": "Check the position and the village code",
}


class SiteDryRunOut(BaseModel):
    """What a dry run answers where the site could be written as it was sent; else the problem is the write's own."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"dry_run": True, "warnings": [WARNING]}]})

    dry_run: Literal[True] = Field(description="nothing was written")
    warnings: list[FaultOut] = Field(description="values that are allowed but probably wrong, by field")
