from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.alerts.models import (
    AnnouncementKind,
    AnnouncementState,
    DropReason,
    HoldReason,
    NotificationKind,
    NotificationState,
)

CHANNEL: dict[str, Any] = {"id": 3, "name": "Grup jaga Kutai Kartanegara", "service": "webhook"}
EXAMPLE: dict[str, Any] = {
    "id": 812,
    "key": "0d6a3f0e-6f0b-5a56-9a0c-2f7d0f6f5a11",
    "kind": "onset",
    "channel": CHANNEL,
    "office": "64.02",
    "office_name": "Kabupaten Kutai Kartanegara",
    "provider": None,
    "title": "Putus: Kantor Desa Muara Badak Ulu",
    "incidents": 1,
    "incident_ids": [71],
    "state": "accepted",
    "created_at": "2026-11-24T06:05:40Z",
    "settled_at": "2026-11-24T06:05:41Z",
    "attempts": 1,
    "next_attempt_at": None,
    "http_status": 200,
    "receiver_id": None,
    "problem": None,
    "fallback_of": None,
    "acknowledged_at": None,
    "acknowledged_by": None,
}


class ToldChannel(BaseModel):
    """The channel that a message goes through, without where it delivers to."""

    model_config = ConfigDict(json_schema_extra={"examples": [CHANNEL]})

    id: int
    name: str
    service: str = Field(description="`webhook`, or what Apprise calls the service: mailto, tgram, ntfy, …")


class NotificationOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: int
    key: UUID = Field(description="stands in the message: whoever receives it twice knows it by this")
    kind: NotificationKind = Field(description="what it is about")
    channel: ToldChannel = Field(description="the channel that it goes through")
    office: str = Field(description="code of the office's region")
    office_name: str = Field(description="name of that region")
    provider: str | None = Field(description="slug of the provider that it tells; null: it tells the office")
    title: str = Field(description="its first line")
    incidents: int = Field(description="number of incidents that it tells of", examples=[1])
    incident_ids: list[int] = Field(description="of these the first 10", examples=[[71]])
    state: NotificationState = Field(description="how far its delivery is")
    created_at: datetime
    settled_at: datetime | None = Field(description="when its receiver accepted or refused it, or it was given up")
    attempts: int = Field(description="number of attempts to deliver it")
    next_attempt_at: datetime | None = Field(
        description="when it is tried next; null once it is settled", examples=["2026-11-24T06:06:00Z"]
    )
    http_status: int | None = Field(description="of the receiver's last answer, where there is one")
    receiver_id: str | None = Field(description="what its receiver calls it, where that says so", examples=["1812"])
    problem: str | None = Field(description="of the last attempt, if that failed", examples=["HTTP 500"])
    fallback_of: int | None = Field(
        description="id of the notification whose channel failed, and that this one takes over", examples=[811]
    )
    acknowledged_at: datetime | None = Field(
        description="when somebody acknowledged its incidents by its link", examples=["2026-11-24T06:12:30Z"]
    )
    acknowledged_by: str | None = Field(description="who did; null to a provider", examples=["ana"])


class DeliveryOut(BaseModel):
    """One attempt to deliver a notification."""

    started_at: datetime
    took_ms: int = Field(description="how long the receiver took, in ms", examples=[182])
    outcome: NotificationState = Field(description="what came of it; `queued`: it is tried again")
    http_status: int | None = Field(description="of the receiver's answer, where there is one", examples=[200])
    problem: str | None = Field(description="what went wrong, if something did", examples=["HTTP 500"])


DELIVERY: dict[str, Any] = {
    "started_at": "2026-11-24T06:05:40Z",
    "took_ms": 182,
    "outcome": "accepted",
    "http_status": 200,
    "problem": None,
}


class NotificationDetail(NotificationOut):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                EXAMPLE
                | {
                    "text": "Putus sejak 14.05 WITA: Kantor Desa Muara Badak Ulu …",
                    "content": {"kind": "onset", "office": {"code": "64.02", "name": "Kabupaten Kutai Kartanegara"}},
                    "deliveries": [DELIVERY],
                }
            ]
        }
    )

    text: str = Field(description="the message as it is delivered, in the channel's language and form")
    content: dict[str, Any] = Field(description="what it tells, before any wording: as a webhook receives it")
    deliveries: list[DeliveryOut] = Field(description="each attempt to deliver it, the first one first")


class AnnouncementOut(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": 4021,
                    "subject": "incident:71",
                    "incident_id": 71,
                    "kind": "down",
                    "channel": CHANNEL,
                    "office": "64.02",
                    "rule_id": 5,
                    "created_at": "2026-11-24T06:05:10Z",
                    "due_at": "2026-11-24T06:05:40Z",
                    "state": "dropped",
                    "hold_reason": None,
                    "drop_reason": "in_maintenance",
                    "notification_id": None,
                }
            ]
        }
    )

    id: int
    subject: str = Field(description="what it is about: incident:<id>, site:<id>, contract:<id>, channel:<id> …")
    incident_id: int | None = Field(description="id of the incident that it is about, if it is about one")
    kind: AnnouncementKind = Field(description="what was to be told of it")
    channel: ToldChannel = Field(description="the channel that was to be told")
    office: str = Field(description="code of the office's region")
    rule_id: int | None = Field(description="id of the rule that asked for it; null: what was told has to be settled")
    created_at: datetime
    due_at: datetime = Field(description="when it is, or was, due")
    state: AnnouncementState = Field(description="whether it was sent")
    hold_reason: HoldReason | None = Field(description="why it is not due before, or was not", examples=["grouping"])
    drop_reason: DropReason | None = Field(description="why it was not sent; null unless it was dropped")
    notification_id: int | None = Field(description="id of the notification that told it", examples=[812])
