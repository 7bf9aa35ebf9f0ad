"""Days, times of day, percentages and amounts as a contract's terms are written in."""

import re
from datetime import date, time
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from app.core.errors import Fault
from app.core.validation import FaultError
from app.registry.models import Cause


def _parse_day(value: Any, info: ValidationInfo) -> Any:
    try:
        day = date.fromisoformat(value) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value) else date.min
        if 2000 <= day.year <= 2200:
            return day
    except (TypeError, ValueError):
        pass
    raise FaultError(
        Fault(
            info.field_name or "",
            "bad_date",
            "{given} is not a date",
            "Write it like {example}",
            values={"given": str(value)[:40], "example": "2026-11-24"},
        )
    )


def _parse_time_of_day(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str) and re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        return time.fromisoformat(value)
    raise FaultError(
        Fault(
            info.field_name or "",
            "bad_hour",
            "{given} is not a time of day",
            "Write it like {example}",
            values={"given": str(value)[:40], "example": "07:00"},
        )
    )


def _require_three_decimals(value: float, info: ValidationInfo) -> float:
    if round(value, 3) != value:
        raise FaultError(Fault(info.field_name or "", "too_precise", "At most three decimals"))
    return value


def _unique(causes: list[Cause]) -> list[Cause]:
    return sorted(set(causes))


Day = Annotated[date, BeforeValidator(_parse_day)]
TimeOfDay = Annotated[
    time, BeforeValidator(_parse_time_of_day), Field(json_schema_extra={"format": "HH:MM", "examples": ["07:00"]})
]
Percent = Annotated[float, Field(ge=0.001, le=100, allow_inf_nan=False), AfterValidator(_require_three_decimals)]
Causes = Annotated[list[Cause], Field(max_length=len(Cause)), AfterValidator(_unique)]
Seconds = Annotated[int, Field(ge=0, le=86_400)]
Rupiah = Annotated[int, Field(ge=0, le=10**15)]
