from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema, model_validator

from app.core.clock import floor_second
from app.core.errors import Fault
from app.core.validation import EXAMPLE_MOMENT, FaultError, read_moment
from app.registry.schemas import Ident, Note, Text


class WindowStatus(StrEnum):
    """`planned`: it has not begun; `running`; `past`; `cancelled`: as if it had never been planned."""

    PLANNED = "planned"
    RUNNING = "running"
    PAST = "past"
    CANCELLED = "cancelled"


def _parse_moment(value: Any, info: ValidationInfo) -> datetime:
    return floor_second(read_moment(info.field_name or "", value))


WindowMoment = Annotated[
    datetime,
    BeforeValidator(_parse_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": [EXAMPLE_MOMENT]}),
]

SCOPE = ("site", "region", "provider")
EXAMPLE: dict[str, Any] = {
    "started_at": "2026-12-01T22:00:00+08:00",
    "ended_at": "2026-12-02T02:00:00+08:00",
    "region": "64.02.05",
    "provider": "telkom-wms",
    "title": "Penggantian kabel utama",
}


class WindowIn(BaseModel):
    """For one site; or for a region, a provider, or a provider within a region."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    started_at: Annotated[WindowMoment, Field(description="ISO 8601 with offset; truncated to seconds")]
    ended_at: WindowMoment = Field(description="its end, exclusive")
    site: Ident | None = Field(None, description="id or code", examples=["64.02.05.2003-01"])
    region: Annotated[Text, Field(description="a Kemendagri code; includes everything below that region")] | None = None
    provider: Annotated[Text, Field(description="the provider's slug")] | None = None
    title: Text
    reason: Annotated[Note, Field(description="required if it begins, or changes, in the past; recorded")] | None = None

    @model_validator(mode="after")
    def _require_one_scope(self) -> Self:
        named = [name for name in SCOPE if getattr(self, name) is not None]
        if not named:
            raise FaultError(
                Fault(
                    "site",
                    "no_scope",
                    "No site, region or provider is given",
                    "Give site, region or provider; region and provider may be combined",
                )
            )
        if "site" in named and len(named) > 1:
            raise FaultError(
                Fault(
                    "site",
                    "two_scopes",
                    "A window is for one site, or for a region or provider",
                    "Leave {others} out, or site",
                    values={"others": ", ".join(named[1:])},
                )
            )
        return self


class WindowPatch(BaseModel):
    """Only given fields change. To end a running window early, set its `ended_at`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"ended_at": "2026-12-02T01:00:00+08:00", "reason": "Selesai lebih cepat"}]},
    )

    started_at: WindowMoment | None = None
    ended_at: WindowMoment | None = None
    title: Text | None = None
    reason: Annotated[Note, Field(description="required if it begins, or changes, in the past; recorded")] | None = None

    @model_validator(mode="before")
    @classmethod
    def _require_same_scope(cls, body: Any) -> Any:
        for name in SCOPE:
            if isinstance(body, dict) and name in body:
                raise FaultError(
                    Fault(name, "scope_stays", "The scope of a window cannot be changed", "Cancel it and plan another")
                )
        return body

    @model_validator(mode="after")
    def _never_null(self) -> Self:
        for name in ("started_at", "ended_at", "title"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise FaultError(Fault(name, "null", "This field cannot be emptied", "Leave it out to keep it"))
        return self


class WindowOut(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": 4,
                    **EXAMPLE,
                    "started_at": "2026-12-01T14:00:00Z",
                    "ended_at": "2026-12-01T18:00:00Z",
                    "duration_s": 14_400,
                    "site": None,
                    "site_id": None,
                    "region_name": "Muara Badak",
                    "reason": None,
                    "status": "planned",
                    "sites": 9,
                    "overrun_sites": 0,
                    "overrun_s": 0,
                    "created_by": "ana",
                    "created_at": "2026-11-24T03:04:05Z",
                    "announced_at": "2026-11-24T03:04:05Z",
                    "announced_late": False,
                    "updated_at": "2026-11-24T03:04:05Z",
                    "cancelled_at": None,
                    "cancelled_by": None,
                    "version": 1042,
                }
            ]
        }
    )

    id: int
    started_at: datetime
    ended_at: datetime
    duration_s: int
    site: str | None = Field(description="the site's code")
    site_id: int | None
    region: str | None
    region_name: str | None = Field(description="name of that region")
    provider: str | None
    title: str
    reason: str | None
    status: WindowStatus
    sites: int = Field(description="sites that it covers, of those that you see, without retired ones")
    overrun_sites: int = Field(description="of these, those that went down within it and stayed down beyond its end")
    overrun_s: int = Field(description="by how many seconds at most, up to now; this time counts")
    created_by: str | None = Field(description="username of who created it; null to a provider")
    created_at: datetime
    announced_at: datetime = Field(
        description="when it was created, or last came to cover time that was over already",
        examples=["2026-11-24T03:04:05Z"],
    )
    announced_late: bool = Field(
        description="whether part of it was over when it was announced: its provider knew of an outage already",
        examples=[False],
    )
    updated_at: datetime
    cancelled_at: datetime | None
    cancelled_by: str | None = Field(description="username of who cancelled it; null to a provider", examples=["ana"])
    version: int = Field(description="opaque; send it back as If-Match")


PREVIEW: dict[str, Any] = {
    "sites": 9,
    "outages": 0,
    "duration_s": 14_400,
    "announced_late": False,
    "reason_required": False,
}


class WindowPreview(BaseModel):
    """What a window would do, before it is planned."""

    model_config = ConfigDict(json_schema_extra={"examples": [PREVIEW]})

    sites: int = Field(description="sites that it would cover, of those that you see, without retired ones")
    outages: int = Field(description="known outages of these that it would cover, wholly or in part")
    duration_s: int
    announced_late: bool = Field(description="whether a part of it is over already")
    reason_required: bool = Field(description="whether it needs a reason, as it changes what counts already")
