from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema, model_validator

from app.core.clock import floor_second
from app.core.errors import Fault
from app.core.validation import EXAMPLE_MOMENT, FaultError, read_moment
from app.registry.schemas import Note, Text


class Status(StrEnum):
    PLANNED = "planned"
    RUNNING = "running"
    PAST = "past"
    CANCELLED = "cancelled"


def _moment(given: Any, info: ValidationInfo) -> datetime:
    return floor_second(read_moment(info.field_name or "", given))


def _ident(given: Any) -> Any:
    return str(given) if isinstance(given, int) and not isinstance(given, bool) else given


At = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": [EXAMPLE_MOMENT]}),
]
Ident = Annotated[Text, BeforeValidator(_ident), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]})]

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

    started_at: Annotated[At, Field(description="ISO 8601 with offset; cut to the second")]
    ended_at: At
    site: Annotated[Ident, Field(description="id or code")] | None = None
    region: Annotated[Text, Field(description="a Kemendagri code; its whole area")] | None = None
    provider: Annotated[Text, Field(description="the provider's slug")] | None = None
    title: Text
    reason: Annotated[Note, Field(description="needed where a closed month is changed; recorded")] | None = None

    @model_validator(mode="after")
    def _one_scope(self) -> Self:
        given = [name for name in SCOPE if getattr(self, name) is not None]
        if not given:
            raise FaultError(
                Fault(
                    "site",
                    "no_scope",
                    "It says nowhere what is worked on",
                    "Give site, region or provider; the last two together mean both",
                )
            )
        if "site" in given and len(given) > 1:
            raise FaultError(
                Fault(
                    "site",
                    "two_scopes",
                    "A window is for one site, or for a region or provider",
                    "Leave {others} out, or site",
                    values={"others": ", ".join(given[1:])},
                )
            )
        return self


class WindowPatch(BaseModel):
    """Only the fields that are given change. To end a running window early, give its `ended_at`."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"ended_at": "2026-12-02T01:00:00+08:00"}]}
    )

    started_at: At | None = None
    ended_at: At | None = None
    title: Text | None = None
    reason: Annotated[Note, Field(description="needed where a closed month is changed; recorded")] | None = None

    @model_validator(mode="before")
    @classmethod
    def _in_place(cls, given: Any) -> Any:
        for name in SCOPE:
            if isinstance(given, dict) and name in given:
                raise FaultError(
                    Fault(name, "scope_stays", "A window stays where it was planned", "Cancel it and plan another")
                )
        return given

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
                    "created_by": "ana",
                    "created_at": "2026-11-24T03:04:05Z",
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
    region_name: str | None
    provider: str | None
    title: str
    reason: str | None
    status: Status
    sites: int = Field(description="how many sites it covers that are not retired, of those that you see")
    created_by: str
    created_at: datetime
    updated_at: datetime
    cancelled_at: datetime | None
    cancelled_by: str | None
    version: int = Field(description="opaque: send it back as If-Match")
