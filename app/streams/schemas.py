from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.streams.break_bounds import Excuse, SeenBy

BREAK: dict[str, Any] = {
    "started_after": "2026-11-24T14:05:00+08:00",
    "started_before": "2026-11-24T14:05:12+08:00",
    "ended_after": "2026-11-24T14:05:30+08:00",
    "ended_before": "2026-11-24T14:05:31+08:00",
    "seconds_min": 18,
    "seconds_max": 31,
    "seen_by": "both",
    "excuse": None,
}


class BreakOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [BREAK]}, from_attributes=True)

    started_after: datetime = Field(description="something still came through then")
    started_before: datetime = Field(description="by then it had begun")
    ended_after: datetime = Field(description="it still lasted then")
    ended_before: datetime = Field(description="by then something came through again")
    seconds_min: int = Field(description="it lasted at least so long", examples=[18])
    seconds_max: int = Field(description="it lasted at most so long", examples=[31])
    seen_by: SeenBy
    excuse: Excuse | None = Field(
        description="why it is not told as the link's; shared: most streams fell silent together; blind: the service "
        "was stopped or could not be reached"
    )


class BreaksOut(BaseModel):
    from_: datetime = Field(alias="from")
    to: datetime
    held_s: int = Field(description="seconds of the period in which a stream was heard", examples=[86_100])
    breaks: int = Field(description="breaks that may lie in the period, without the excused ones", examples=[3])
    excused: int = Field(description="those that are not told as the link's", examples=[0])
    seconds_min: int = Field(description="they lasted together at least so long", examples=[51])
    seconds_max: int = Field(description="they lasted together at most so long", examples=[97])
    items: list[BreakOut] = Field(description="the oldest first")
    truncated: bool = Field(description="there are more: ask for a shorter period")
