from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.incidents.schemas import INCIDENT, IncidentOut

EXAMPLE: dict[str, Any] = {
    "notification": 812,
    "title": "Putus: Sambakungan, Kec. Gunung Tabur, Kab. Berau",
    "office": "64.03",
    "office_name": "Kabupaten Berau",
    "created_at": "2026-11-24T13:31:40Z",
    "expires_at": "2026-12-01T13:31:40Z",
    "acknowledged_at": None,
    "acknowledged_by": None,
    "total": 1,
    "elsewhere": 0,
    "incidents": [INCIDENT | {"status": "open", "acknowledged_at": None, "acknowledged_by": None, "ended_at": None}],
}


class AcknowledgementOut(BaseModel):
    """What a message's link is to acknowledge."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    notification: int | None = Field(description="id of the notification; null where it lies beyond your scope")
    title: str | None = Field(description="its first line; null where it lies beyond your scope")
    office: str = Field(description="code of the region of the office that was told")
    office_name: str = Field(description="name of that region")
    created_at: datetime
    expires_at: datetime = Field(description="when the link ends", examples=["2026-12-01T13:31:40Z"])
    acknowledged_at: datetime | None = Field(
        description="when the link was used; null: not yet", examples=["2026-11-24T13:32:05Z"]
    )
    acknowledged_by: str | None = Field(description="name of who used it; null to a provider", examples=["ana"])
    total: int = Field(description="number of incidents within your scope that last and that nobody handles")
    elsewhere: int = Field(description="number of further ones of the notification, beyond your scope")
    incidents: list[IncidentOut] = Field(description="of those within your scope the first 50, the newest first")


class AcknowledgeIn(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"expected_count": None}]})

    expected_count: int | None = Field(
        None,
        ge=0,
        le=1_000_000,
        description="`total` as you read it: if other incidents joined since, nothing is done (412)",
        examples=[1],
    )
