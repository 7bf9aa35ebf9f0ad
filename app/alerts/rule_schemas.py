from datetime import datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema, model_validator

from app.alerts.channel_schemas import ChannelId, Name, require_given
from app.alerts.models import AlertKind
from app.contracts.term_types import TimeOfDay
from app.core.clock import floor_second, utc_now
from app.core.errors import Fault
from app.core.validation import EXAMPLE_MOMENT, FaultError, read_moment
from app.profiles import Technology
from app.registry.schemas import Text

LONGEST_MUTE = timedelta(days=31)


def _read_muted_until(value: Any, info: ValidationInfo) -> datetime:
    until, field = floor_second(read_moment(info.field_name or "", value)), info.field_name or ""
    if until <= utc_now():
        raise FaultError(Fault(field, "in_the_past", "{given} is over", "Give a later moment", values={"given": value}))
    if until > utc_now() + LONGEST_MUTE:
        raise FaultError(
            Fault(
                field,
                "too_far",
                "A rule is muted for at most {days} days",
                "Give an earlier moment, or delete the rule",
                values={"days": LONGEST_MUTE.days},
            )
        )
    return until


MutedUntil = Annotated[
    datetime,
    BeforeValidator(_read_muted_until),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": [EXAMPLE_MOMENT]}),
]
Kinds = Annotated[list[AlertKind], Field(min_length=1, max_length=len(AlertKind))]
Technologies = Annotated[list[Technology], Field(max_length=len(Technology))]
Providers = Annotated[list[Text], Field(max_length=50)]
ChannelIds = Annotated[list[ChannelId], Field(min_length=1, max_length=50)]
LeastS = Annotated[int, Field(ge=0, le=86_400)]
DegradedHours = Annotated[int, Field(ge=1, le=168)]

KINDS = "what it tells of"
REGION = "region of the sites: the office's, or one within it"
TECHNOLOGIES = "only sites of these technologies; []: all"
PROVIDERS = "only sites of these providers, by slug; []: all"
LEAST_S = "an outage that ends sooner is not announced; in seconds"
DEGRADED_HOURS = "how long a site is degraded before that is announced"
QUIET = "WITA, HH:MM; with the other one. In between nothing is delivered, and at their end one digest is"
POWER = "whether an outage outside of a site's hours with power waits until these begin"
ESCALATE = "to tell an office above what nobody acknowledges, or what spreads"
REMIND_AT = "WITA, HH:MM: each day at that time, until the outage ends or somebody acknowledges it"
MUTED = "until then nothing is delivered; then one digest is; null: it is not muted"


class Escalation(BaseModel):
    """At least one of `after_min` and `beyond_sites`."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"after_min": 60, "beyond_sites": 10, "to": "64"}]}
    )

    after_min: Annotated[int, Field(ge=5, le=10_080)] | None = Field(
        None, description="minutes without acknowledgement"
    )
    beyond_sites: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, description="at once, if an incident has more sites"
    )
    to: Annotated[Text, Field(description="code of the office that is told: one above")] = "64"

    @model_validator(mode="after")
    def _require_any(self) -> Self:
        if self.after_min is None and self.beyond_sites is None:
            raise FaultError(
                Fault(
                    "after_min", "missing", "Neither after_min nor beyond_sites is given", "Give one of them, or both"
                )
            )
        return self


EXAMPLE: dict[str, Any] = {
    "name": "Putus siang",
    "office": "64.02",
    "kinds": ["down", "recovered"],
    "region": "64.02",
    "technologies": [],
    "providers": [],
    "least_s": 120,
    "degraded_hours": 6,
    "quiet_from": "22:00",
    "quiet_to": "06:00",
    "keeps_power_hours": False,
    "escalate": {"after_min": 60, "beyond_sites": 10, "to": "64"},
    "remind_at": "08:00",
    "muted_until": None,
}


class RuleIn(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    name: Name
    office: Annotated[Text, Field(description="code of its region: 64, or a district; default yours")] | None = None
    kinds: Kinds = Field(description=KINDS)
    region: Annotated[Text, Field(description=f"{REGION}; default the office's")] | None = None
    technologies: Technologies = Field([], description=TECHNOLOGIES)
    providers: Providers = Field([], description=PROVIDERS, examples=[["telkom-wms"]])
    channels: ChannelIds | None = Field(
        None,
        description="ids of the office's channels; default all that it has now and that tell no provider",
        examples=[[3]],
    )
    least_s: LeastS = Field(120, description=LEAST_S)
    degraded_hours: DegradedHours = Field(6, description=DEGRADED_HOURS)
    quiet_from: Annotated[TimeOfDay, Field(description=QUIET)] | None = None
    quiet_to: Annotated[TimeOfDay, Field(description=QUIET)] | None = None
    keeps_power_hours: bool = Field(False, description=POWER)
    escalate: Escalation | None = Field(None, description=ESCALATE)
    remind_at: Annotated[TimeOfDay, Field(description=REMIND_AT)] | None = None
    muted_until: MutedUntil | None = Field(None, description=MUTED)


class RulePatch(BaseModel):
    """Only given fields change; null empties those that may be empty."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"quiet_from": "21:00", "quiet_to": "05:30", "muted_until": None}]},
    )

    name: Name | None = None
    kinds: Annotated[Kinds, Field(description=KINDS)] | None = None
    region: Annotated[Text, Field(description=REGION)] | None = None
    technologies: Annotated[Technologies, Field(description=TECHNOLOGIES)] | None = None
    providers: Annotated[Providers, Field(description=PROVIDERS, examples=[["telkom-wms"]])] | None = None
    channels: Annotated[ChannelIds, Field(description="ids of the office's channels", examples=[[3]])] | None = None
    least_s: Annotated[LeastS, Field(description=LEAST_S, examples=[120])] | None = None
    degraded_hours: Annotated[DegradedHours, Field(description=DEGRADED_HOURS, examples=[6])] | None = None
    quiet_from: Annotated[TimeOfDay, Field(description=QUIET)] | None = None
    quiet_to: Annotated[TimeOfDay, Field(description=QUIET)] | None = None
    keeps_power_hours: Annotated[bool, Field(description=POWER)] | None = None
    escalate: Escalation | None = Field(None, description=ESCALATE)
    remind_at: Annotated[TimeOfDay, Field(description=REMIND_AT)] | None = None
    muted_until: MutedUntil | None = Field(None, description=MUTED)

    @model_validator(mode="before")
    @classmethod
    def _require_same_office(cls, body: Any) -> Any:
        if isinstance(body, dict) and "office" in body:
            raise FaultError(
                Fault("office", "scope_stays", "The office of a rule cannot be changed", "Delete it and create another")
            )
        return body

    @model_validator(mode="after")
    def _never_null(self) -> Self:
        require_given(
            self,
            "name",
            "kinds",
            "region",
            "technologies",
            "providers",
            "channels",
            "least_s",
            "degraded_hours",
            "keeps_power_hours",
        )
        return self


class RuleOut(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": 5,
                    **EXAMPLE,
                    "office_name": "Kabupaten Kutai Kartanegara",
                    "region_name": "Kabupaten Kutai Kartanegara",
                    "channels": [3],
                    "muted": False,
                    "created_at": "2026-11-20T02:00:00Z",
                    "created_by": "ana",
                    "version": 13,
                }
            ]
        }
    )

    id: int
    name: str
    office: str = Field(description="code of the office's region")
    office_name: str = Field(description="name of that region")
    kinds: list[AlertKind] = Field(description=KINDS)
    region: str = Field(description=REGION)
    region_name: str = Field(description="name of that region")
    technologies: list[Technology] = Field(description=TECHNOLOGIES)
    providers: list[str] = Field(description=PROVIDERS)
    channels: list[int] = Field(description="ids of the channels that it tells through")
    least_s: int = Field(description=LEAST_S)
    degraded_hours: int = Field(description=DEGRADED_HOURS)
    quiet_from: str | None = Field(description=QUIET)
    quiet_to: str | None = Field(description=QUIET)
    keeps_power_hours: bool = Field(description=POWER)
    escalate: Escalation | None = Field(description=ESCALATE)
    remind_at: str | None = Field(description=REMIND_AT)
    muted_until: datetime | None = Field(description=MUTED, examples=["2026-11-25T06:00:00+08:00"])
    muted: bool = Field(description="whether it is muted now")
    created_at: datetime
    created_by: str
    version: int = Field(description="opaque; send it back as If-Match")
