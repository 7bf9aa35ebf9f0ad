from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from app.core.moments import WitaMoment
from app.core.validation import read_moment
from app.registry.models import Presence
from app.registry.schemas import Text

SINCE, REASON = "2026-11-10T08:00:00+08:00", "Komputer kantor, dimatikan tiap sore sejak dipasang"
Since = Annotated[
    datetime,
    BeforeValidator(lambda value: read_moment("from", value)),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class PresenceIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"presence": "sometimes", "from": SINCE, "reason": REASON}]}
    )

    presence: Presence
    since: Since = Field(alias="from", description="since when it has been so, within the time of single readings")
    reason: Text = Field(description="why the past is corrected; recorded, and read by providers: name nobody")


EXAMPLE: dict[str, Any] = {"site_id": 512, "code": "64.02.05.2003-01", "presence": "sometimes", "from": SINCE}


class PresenceOut(BaseModel):
    """Since when a site's device has been present as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]}, populate_by_name=True)

    site_id: int
    code: str
    presence: Presence
    since: WitaMoment = Field(alias="from", description="since when")
