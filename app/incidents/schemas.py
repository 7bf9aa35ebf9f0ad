from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from app.core.errors import Fault
from app.core.validation import FaultError, read_moment
from app.incidents.models import Happening, Kind, Status
from app.measurements.schemas import Evidence
from app.measurements.simulated_past import MarksSimulatedPast
from app.registry.models import Cause
from app.registry.schemas import Note, Text

BOUNDS: dict[str, Any] = {
    "last_ok_at": "2026-11-24T13:30:24Z",
    "started_at": "2026-11-24T13:31:24Z",
    "confirmed_at": "2026-11-24T13:31:34Z",
    "ended_at": "2026-11-24T13:36:14Z",
    "first_ok_after": "2026-11-24T13:36:14Z",
    "duration_s": 290,
    "duration_min_s": 280,
    "duration_max_s": 350,
}
SITE: dict[str, Any] = {
    "id": 512,
    "code": "64.03.06.2006-01",
    "name": "Sambakungan",
    "village_code": "64.03.06.2006",
    **BOUNDS,
    "evidence": "central",
}
INCIDENT: dict[str, Any] = {
    "id": 71,
    "kind": "single",
    "status": "resolved",
    "sites": [SITE],
    "children": 0,
    **BOUNDS,
    "cause": "power",
    "cause_hint": None,
    "cause_confirmed_by": "Ana",
    "assignee": "Teknisi Berau",
    "ticket_no": "T-2026-118",
    "reported_at": "2026-11-24T13:33:00Z",
    "opened_at": "2026-11-24T13:31:37Z",
    "acknowledged_at": "2026-11-24T13:32:05Z",
    "acknowledged_by": "Ana",
    "merged_into": None,
    "version": 143,
}
NOTE: dict[str, Any] = {"id": 9, "at": "2026-11-24T13:32:40Z", "by": "Ana", "text": "PLN padam, genset menyala"}
EVENT: dict[str, Any] = {
    "at": "2026-11-24T13:32:05Z",
    "by": "Ana",
    "kind": "changed",
    "site_id": None,
    "before": {"status": "open"},
    "after": {"status": "acknowledged"},
}


def _moment(given: object) -> object:
    return None if given is None else read_moment("reported_at", given)


class IncidentPatch(BaseModel):
    """Only the fields that are given change; null empties one."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"status": "acknowledged", "assignee": "Teknisi Berau"}]}
    )

    status: Status | None = Field(None, description="acknowledged or open; the rest follows from the evidence")
    cause: Cause | None = None
    assignee: Text | None = None
    ticket_no: Text | None = None
    reported_at: Annotated[datetime, BeforeValidator(_moment)] | None = Field(
        None, description="when it was reported to the provider"
    )

    @field_validator("status", "cause")
    @classmethod
    def _never_null(cls, value: object, info: ValidationInfo) -> object:
        if value is None:
            raise FaultError(
                Fault(
                    str(info.field_name),
                    "null",
                    "This field cannot be emptied",
                    "Set it to unclassified" if info.field_name == "cause" else "Leave it out to keep it",
                )
            )
        return value


class NoteIn(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": NOTE["text"]}]})

    text: Note


class Bounds(BaseModel):
    last_ok_at: datetime | None = Field(description="the last answer before it")
    started_at: datetime = Field(description="slot of the first loss")
    confirmed_at: datetime | None = Field(description="slot of the loss that made it certain")
    ended_at: datetime | None = Field(description="slot of the first answer; null while no answer is known")
    first_ok_after: datetime | None
    duration_s: int | None = Field(description="from started_at to ended_at; null while it lasts")
    duration_min_s: int | None = Field(description="what is proven by losses: what counts for a contract")
    duration_max_s: int | None = Field(description="from the last answer before it to the first after it")


class MemberOut(Bounds):
    id: int
    code: str
    name: str
    village_code: str
    evidence: Evidence


class IncidentOut(Bounds, MarksSimulatedPast):
    model_config = ConfigDict(json_schema_extra={"examples": [INCIDENT]})

    id: int
    kind: Kind
    status: Status
    sites: list[MemberOut] = Field(description="those that you may see; twice if a site went down twice")
    children: int = Field(description="active sites that hang on its nodes: they are unreachable with them")
    cause: Cause | None
    cause_hint: Cause | None = Field(description="what the evidence suggests; a person confirms")
    cause_confirmed_by: str | None
    assignee: str | None
    ticket_no: str | None
    reported_at: datetime | None
    opened_at: datetime = Field(description="when this service opened it")
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    merged_into: int | None = Field(description="the incident that took it over")
    version: int = Field(description="opaque: send it back as If-Match")


class NoteOut(BaseModel):
    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [NOTE]})

    id: int
    at: datetime
    by: str
    text: str


class EventOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    at: datetime
    by: str | None = Field(description="null: the evidence itself")
    kind: Happening
    site_id: int | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class IncidentDetail(IncidentOut):
    model_config = ConfigDict(json_schema_extra={"examples": [{**INCIDENT, "notes": [NOTE], "events": [EVENT]}]})

    notes: list[NoteOut] = Field(description="those of incidents that were merged into it too")
    events: list[EventOut]
