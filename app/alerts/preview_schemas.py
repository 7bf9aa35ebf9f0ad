from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.alerts.models import DropReason, HoldReason, NotificationKind

LISTED = 50
ITEM: dict[str, Any] = {
    "at": "2026-11-23T06:05:40Z",
    "kind": "onset",
    "title": "Putus: Kantor Desa Muara Badak Ulu",
    "sites": 1,
    "held": None,
}
DAY: dict[str, Any] = {"day": "2026-11-23", "notifications": 4}


class PreviewedNotification(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [ITEM]})

    at: datetime = Field(description="when it would have been sent", examples=["2026-11-23T06:05:40Z"])
    kind: NotificationKind = Field(description="what it would have been about")
    title: str = Field(description="its first line")
    sites: int = Field(description="number of sites that it would have told of", examples=[1])
    held: HoldReason | None = Field(description="why it would have come only then", examples=["quiet_hours"])


class PreviewedDay(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [DAY]})

    day: date = Field(description="in WITA", examples=["2026-11-23"])
    notifications: int = Field(description="so many, through each of its channels", examples=[4])


class RulePreview(BaseModel):
    """What a rule would have sent through each of its channels, had it been in force; by the ledger as it is now."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "from": "2026-11-17T00:00:00+08:00",
                    "to": "2026-11-24T00:00:00+08:00",
                    "notifications": 11,
                    "items": [ITEM],
                    "days": [DAY],
                    "held": {"quiet_hours": 3},
                    "not_sent": {"too_short": 25},
                }
            ]
        }
    )

    from_: datetime = Field(alias="from")
    to: datetime
    notifications: int = Field(description="how many in all", examples=[11])
    items: list[PreviewedNotification] = Field(description=f"the first {LISTED} of them, oldest first")
    days: list[PreviewedDay] = Field(description="how many on each day")
    held: dict[HoldReason, int] = Field(
        description="announcements that would have waited, by the reason", examples=[{"quiet_hours": 3}]
    )
    not_sent: dict[DropReason, int] = Field(
        description="announcements that would never have been sent, by the reason", examples=[{"too_short": 25}]
    )
