from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from app.core.errors import Fault
from app.core.validation import FaultError, read_moment
from app.core.words import Words
from app.incidents.models import Happening, IncidentKind, IncidentStatus
from app.incidents.must_act import Actor
from app.incidents.near_schemas import NEAR, NearStretchOut
from app.measurements.schemas import OutageEvidence
from app.measurements.simulated_past import MarksSimulatedPast
from app.profiles import Technology
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
    "village": "Sambakungan",
    "subdistrict": "Gunung Tabur",
    "district": "Kabupaten Berau",
    "provider": "indihome",
    "technology": "fiber",
    "contract_number": "027/SPK/DISKOMINFO/2026",
    **BOUNDS,
    "evidence": "central",
    "refuted_at": None,
    "refuted_s": 0,
    "refuted_signs": [],
    "refuted_from": None,
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
    "must_act": "power",
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
NOTE: dict[str, Any] = {"id": 9, "at": "2026-11-24T13:32:40Z", "by": "Ana"}
NOTE |= {"office": "64.03", "audience": None, "text": "PLN padam, genset menyala"}
EVENT: dict[str, Any] = {
    "at": "2026-11-24T13:32:05Z",
    "by": "Ana",
    "kind": "changed",
    "site_id": None,
    "before": {"status": "open"},
    "after": {"status": "acknowledged"},
}
TICKET: dict[str, Any] = {
    "provider": "indihome",
    "provider_name": "IndiHome",
    "sites": 1,
    "text": {"id": "Penyedia : IndiHome\nGangguan : 71", "en": "Provider : IndiHome\nIncident : 71"},
}


def _moment(value: object) -> object:
    return None if value is None else read_moment("reported_at", value)


class IncidentPatch(BaseModel):
    """Only the fields that are sent change; null clears one."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"status": "acknowledged", "assignee": "Teknisi Berau"}]}
    )

    status: IncidentStatus | None = Field(None, description="acknowledged or open; the others follow from the evidence")
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

    text: Note = Field(description="the note")
    audience: Text | None = Field(
        None,
        description="slug of a provider with a site in the incident that may read it too; null: offices alone",
        examples=["iconplus"],
    )


class OutageBounds(BaseModel):
    last_ok_at: datetime | None = Field(description="last answer before the outage")
    started_at: datetime = Field(description="slot of the first loss")
    confirmed_at: datetime | None = Field(description="slot of the loss that confirmed the outage")
    ended_at: datetime | None = Field(description="slot of the first answer after it; null while there is none")
    first_ok_after: datetime | None = Field(
        description="by when that answer had come at the latest: later than ended_at where packets of it were lost"
    )
    duration_s: int | None = Field(description="from started_at to ended_at; null while the outage lasts")
    duration_min_s: int | None = Field(description="proven by losses: a contract's min_outage_s is compared with it")
    duration_max_s: int | None = Field(description="from the last answer before the outage to the first after it")


class MemberOut(OutageBounds):
    id: int
    code: str
    name: str
    village_code: str = Field(description="this, provider, technology and contract: as of when the outage began")
    village: str | None
    subdistrict: str | None = Field(description="kecamatan")
    district: str | None = Field(description="kabupaten or kota")
    provider: str = Field(description="slug")
    technology: Technology
    contract_number: str | None = Field(
        description="of two links' contracts the primary link's first; a provider sees its own"
    )
    evidence: OutageEvidence
    refuted_at: datetime | None = Field(
        description="when a push of its own device first claimed that it had been well; the outage stays (docs/push.md)"
    )
    refuted_s: int = Field(description="how much of the outage its device claims: no part of duration_min_s")
    refuted_signs: list[str] = Field(
        description="registry checks that its pushes raised since the outage began: `network_changed`, `two_networks`, "
        "`two_agents`, `unheard_boot`"
    )
    refuted_from: str | None = Field(
        description="the address of that push; kept as long as raw readings, null for all but the province's admins "
        "and operators"
    )


class IncidentOut(OutageBounds, MarksSimulatedPast):
    model_config = ConfigDict(json_schema_extra={"examples": [INCIDENT]})

    id: int
    kind: IncidentKind
    status: IncidentStatus
    sites: list[MemberOut] = Field(description="sites in your scope; a site that went down twice appears twice")
    children: int = Field(description="active sites that depend on its nodes and are unreachable with them")
    cause: Cause | None
    cause_hint: Cause | None = Field(description="suggested by the evidence; a person confirms")
    must_act: Actor = Field(description="who has to act, by the cause, else by what is suggested")
    cause_confirmed_by: str | None = Field(description="name of who set the cause")
    assignee: str | None = Field(description="null to a provider, as are the names of who acknowledged and confirmed")
    ticket_no: str | None = Field(description="null to a provider that is not the only one concerned")
    reported_at: datetime | None
    opened_at: datetime = Field(description="when the service opened the incident")
    acknowledged_at: datetime | None = Field(description="when somebody took it over")
    acknowledged_by: str | None = Field(description="name of who took it over")
    merged_into: int | None = Field(description="id of the incident that it was merged into")
    version: int = Field(description="opaque: send it back as If-Match")


class NoteOut(BaseModel):
    model_config = ConfigDict(from_attributes=True, validate_by_name=True, json_schema_extra={"examples": [NOTE]})

    id: int
    at: datetime
    by: str
    office: str = Field(validation_alias="region_code", description="region code of the office that wrote it")
    audience: str | None = Field(description="the provider that it was written for too; null: for offices alone")
    text: str = Field(description="the note")


class EventOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    at: datetime
    by: str | None = Field(description="null: changed by the evidence; always null to a provider")
    kind: Happening
    site_id: int | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class IncidentDetail(IncidentOut):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{**INCIDENT, "near": [NEAR], "notes": [NOTE], "events": [EVENT]}]}
    )

    near: list[NearStretchOut] = Field(
        description="what the sites' own devices saw near themselves while nothing beyond answered, oldest first, of "
        "up to 50 outages; kept as long as raw readings"
    )
    notes: list[NoteOut] = Field(
        description="of your office and those above and below it, to a provider those written for it; includes those "
        "of incidents merged into it"
    )
    events: list[EventOut] = Field(description="every change, oldest first")


class IncidentTicketOut(BaseModel):
    """What to write to one provider of an incident."""

    model_config = ConfigDict(json_schema_extra={"examples": [TICKET]})

    provider: str = Field(description="slug of the provider that the ticket is for")
    provider_name: str = Field(description="the name of that provider")
    sites: int = Field(description="outages of its sites in the incident; the text names the first 50")
    text: Words = Field(
        description="plain text: service numbers, places, bounds of the outages in WITA, durations and evidence",
        examples=[TICKET["text"]],
    )


class TicketsOut(BaseModel):
    """One ticket for each provider that has a site in the incident."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [TICKET]}]})

    items: list[IncidentTicketOut]
