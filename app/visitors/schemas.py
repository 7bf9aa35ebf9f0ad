from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.core.moments import WitaMoment
from app.visitors.models import VisitNetwork
from app.visitors.result_parser import (
    MAX_AGE_MS,
    MAX_LOST,
    MAX_OFFLINE_S,
    MAX_ROWS,
    MAX_RTT_MS,
    MAX_SAMPLES,
    MAX_SEQ,
    MAX_TRANSFER_BYTES,
    MAX_TRANSFER_MS,
    REJECTED,
)
from app.visitors.speed_offer import SpeedRefusal

SITE: dict[str, Any] = {
    "code": "64.02.05.2003-01",
    "name": "Kantor Desa Muara Badak Ulu",
    "village": "Muara Badak Ulu",
    "district": "Kabupaten Kutai Kartanegara",
}
TOKEN = "eyJpIjoxNzk1NTAwMzAwfQ.q3Vn0x2LhTzA"  # noqa: S105  # no token: an example
VISITOR = "9f86d081884c7d659a2feaa0c55ad015"


class VisitedSiteOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [SITE]})

    code: str
    name: str
    village: str | None
    district: str | None


class FoundSitesOut(BaseModel):
    sites: list[VisitedSiteOut] = Field(description="at most 5", examples=[[SITE]])
    by: str = Field(description="how they were found: `code` or `network`", examples=["code"])


class VisitIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"code": SITE["code"], "visitor": VISITOR}]}
    )

    code: str = Field(min_length=1, max_length=30, description="the site's code, as it is printed")
    visitor: Annotated[
        str,
        StringConstraints(pattern=r"^[0-9a-f]{32}$"),
        Field(description="128 random bits in hex that the browser keeps; stored as a digest only, another each month"),
    ]


class SpeedOut(BaseModel):
    """The sizes of a speed test, to be told before it is agreed to."""

    down_bytes: int = Field(description="bytes to download, at most", examples=[18_455_088])
    up_bytes: int = Field(description="bytes to upload, at most", examples=[6_151_696])
    max_s: int = Field(description="time limit of each direction, in s", examples=[10])
    total_kb: int = Field(description="what it costs at most, in kilobytes", examples=[25_000])


class VisitOut(BaseModel):
    visit: str = Field(description="token of the visit, for its transfers and results", examples=[TOKEN])
    site: VisitedSiteOut = Field(description="the access point that is measured")
    network: VisitNetwork
    speed: SpeedOut | None = Field(description="null: the speed is not tested now, see `speed_refused`")
    speed_refused: SpeedRefusal | None
    every_s: int = Field(description="seconds between two measurements of an open page", examples=[300])
    expires_at: WitaMoment = Field(description="until when the token is taken", examples=["2026-11-25T14:05:00+08:00"])
    server_time: WitaMoment = Field(description="the service's clock", examples=["2026-11-24T14:05:00+08:00"])


class UploadOut(BaseModel):
    bytes: int = Field(description="bytes received", examples=[6_151_696])
    ms: int = Field(description="by the server's clock, in ms", examples=[4_810])


REJECTED_ROW: dict[str, Any] = {"row": 0, "code": "missing", "message": "seq is missing"}


class RejectedResult(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [REJECTED_ROW]})

    row: int = Field(description="index in `results`, from 0")
    code: str = Field(description=f"why, one of: {', '.join(REJECTED)}")
    message: str


class ResultsOut(BaseModel):
    accepted: int = Field(description="rows newly stored", examples=[1])
    duplicates: int = Field(description="rows received before", examples=[0])
    rejected: list[RejectedResult] = Field(description="rows not accepted: do not send them again")
    server_time: datetime = Field(description="the service's clock", examples=["2026-11-24T06:05:02Z"])


def _whole(most: int, description: str, example: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": 0, "maximum": most, "description": description, "examples": [example]}


TRANSFER: dict[str, Any] = {
    "type": ["object", "null"],
    "required": ["bytes", "ms"],
    "properties": {
        "bytes": _whole(MAX_TRANSFER_BYTES, "bytes that were timed", 9_000_000),
        "ms": {
            "type": "number",
            "minimum": 1,
            "maximum": MAX_TRANSFER_MS,
            "description": "their time by the page's clock, in ms",
            "examples": [7_200.5],
        },
    },
}
RESULT: dict[str, Any] = {
    "type": "object",
    "required": ["seq", "age_ms"],
    "properties": {
        "seq": _whole(MAX_SEQ, "number of the result, never used twice by a visitor", 41),
        "age_ms": _whole(MAX_AGE_MS, "how long ago it was measured, in ms, when it is sent", 850),
        "rtt_ms": {
            "type": "array",
            "maxItems": MAX_SAMPLES,
            "items": {"type": "number", "minimum": 0, "maximum": MAX_RTT_MS, "examples": [41.5]},
            "description": "round trips of /visits/echo, in ms",
            "examples": [[41.5, 39.9, 44.0]],
        },
        "lost": _whole(MAX_LOST, "round trips without an answer", 0),
        "offline_s": _whole(MAX_OFFLINE_S, "how long the page had no answer before, in s", 0),
        "down": {**TRANSFER, "description": "the download; null: none"},
        "up": {**TRANSFER, "description": "the upload; null: none"},
    },
}
RESULTS_BODY: dict[str, Any] = {
    "type": "object",
    "description": "Results of a page, oldest first. Unknown fields are ignored.",
    "required": ["visit", "results"],
    "properties": {
        "visit": {"type": "string", "description": "token of the visit", "examples": [TOKEN]},
        "results": {"type": "array", "maxItems": MAX_ROWS, "items": RESULT, "description": "what was measured"},
    },
    "examples": [{"visit": TOKEN, "results": [{"seq": 41, "age_ms": 850, "rtt_ms": [41.5, 39.9, 44.0], "lost": 0}]}],
}
