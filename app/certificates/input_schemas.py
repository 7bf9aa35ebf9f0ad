"""What the call for a certificate takes."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from app.core.validation import EXAMPLE_MOMENT, read_moment


def _parse_moment(value: Any) -> datetime | None:
    return None if value is None else read_moment("from", value)


FirstHour = Annotated[
    datetime | None,
    BeforeValidator(_parse_moment),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}], "examples": [EXAMPLE_MOMENT]}
    ),
]


class CertificateIn(BaseModel):
    """Which 24 hours, and which certificate they repeat."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"from": EXAMPLE_MOMENT, "follows": None}]}
    )

    from_: FirstHour = Field(
        None,
        alias="from",
        description="their first full hour (WITA): ahead by 7 days at most, or such that all 24 are over; default the "
        "next full hour",
    )
    follows: int | None = Field(
        None,
        ge=1,
        le=2**31 - 1,
        description="id of the certificate of this site before the cure that this one repeats",
        examples=[3],
    )
