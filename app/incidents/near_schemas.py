from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.core.words import Words
from app.registry.models import Cause

NEAR: dict[str, Any] = {
    "site_id": 512,
    "started_at": "2026-11-24T13:31:24Z",
    "ended_at": "2026-11-24T13:35:24Z",
    "looks": 5,
    "lan": True,
    "terminal": False,
    "carrier": True,
    "speaks_for": "device",
    "text": {"id": "gateway menjawab, terminal tidak", "en": "the gateway answered, the terminal did not"},
}


class NearStretchOut(BaseModel):
    """What a site's device saw near itself in lost looks in a row, by its own account."""

    model_config = ConfigDict(json_schema_extra={"examples": [NEAR]})

    site_id: int
    started_at: datetime = Field(description="slot of the first of these looks")
    ended_at: datetime = Field(description="slot of the last of these looks")
    looks: int = Field(description="how many looks saw the same", examples=[5])
    lan: bool | None = Field(description="whether the next hop answered, a device of the site; null: not asked")
    terminal: bool | None = Field(description="whether the link's terminal answered; null: not asked")
    carrier: bool | None = Field(description="whether its interface towards the next hop had a signal; null: not asked")
    speaks_for: Cause | None = Field(
        description="`link`, `device` or `unplugged`; null: it does not tell, as what never answers before either",
        examples=["device"],
    )
    text: Words = Field(description="the same in words", examples=[NEAR["text"]])
