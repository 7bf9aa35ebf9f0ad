from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from app.push.parser import LARGEST_SEQ, MOST_ROWS, MOST_SENT
from app.push.rejections import REJECTED

RTT = {"type": "number", "minimum": 0, "maximum": 60_000}
COUNT = {"type": "integer", "minimum": 0}
UPTIME = {
    "anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}],
    "description": "since the device started: seconds, or as RouterOS writes it, 1w2d03:04:05",
}
CLOCK = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "number", "minimum": 0}],
    "description": "by the device's clock, right or wrong: ISO 8601 with an offset, or seconds since 1970",
}
MEASURED: dict[str, Any] = {
    "boot": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,32}$", "description": "drawn at each start of the agent"},
    "seq": {"type": "integer", "minimum": 0, "maximum": LARGEST_SEQ, "description": "counts the boot's rows"},
    "uptime_s": UPTIME,
    "clock": CLOCK,
    "sent": {"type": "integer", "minimum": 0, "maximum": MOST_SENT, "description": "packets to its anchors"},
    "rtt_ms": {"type": "array", "items": RTT, "maxItems": MOST_SENT, "description": "one for each answer"},
    "received": {**COUNT, "description": "instead of rtt_ms, with the three below"},
    "rtt_min_ms": RTT,
    "rtt_avg_ms": RTT,
    "rtt_max_ms": RTT,
}
SENDER: dict[str, Any] = {
    "clients": {**COUNT, "description": "who is on the village's Wi-Fi"},
    "agent": {"type": "string", "maxLength": 60, "description": "what it is, and of which version"},
    "waiting": {**COUNT, "description": "rows that it still keeps"},
    "dropped": {**COUNT, "description": "rows that it had no room for, since its start"},
    "token": {"type": "string", "description": "for clients that cannot set headers; the header wins"},
}
BODY: dict[str, Any] = {
    "type": "object",
    "description": "One row, measured now; or a `batch` of them, and beside it what is at the moment of sending. "
    "Fields that are not named here are ignored.",
    "properties": MEASURED
    | SENDER
    | {
        "sent_at": {**CLOCK, "description": "the device's clock when it sends a batch"},
        "batch": {
            "type": "array",
            "maxItems": MOST_ROWS,
            "items": {
                "type": "object",
                "properties": MEASURED,
                "required": ["seq", "sent"],
            },
        },
    },
}
BEAT = {"boot": "k3f9", "seq": 181, "uptime_s": 86400, "sent": 3, "rtt_ms": [21.3, 22.0], "clients": 14}
BATCH = {
    "boot": "k3f9",
    "uptime_s": "1d00:05:00",
    "sent_at": "2026-11-24T06:05:00Z",
    "agent": "openwrt/1",
    "waiting": 0,
    "batch": [
        {"seq": 181, "uptime_s": "1d00:03:59", "sent": 3, "rtt_ms": [21.3, 22.0, 21.8]},
        {
            "seq": 182,
            "uptime_s": "1d00:04:59",
            "sent": 3,
            "received": 2,
            "rtt_min_ms": 20,
            "rtt_avg_ms": 21,
            "rtt_max_ms": 22,
        },
    ],
}
BODY["examples"] = [BEAT, BATCH]
EXAMPLES = {"beat": {"summary": "one row, now", "value": BEAT}, "batch": {"summary": "several", "value": BATCH}}


class Rejected(BaseModel):
    row: int | None = Field(description="the first is 0; null: what is wrong stands beside the batch")
    code: str = Field(examples=["too_old"], description=", ".join(REJECTED))
    message: str


class SpeedTestOut(BaseModel):
    down_bytes: int
    up_bytes: int
    max_s: int = Field(description="of either direction")


class PushOut(BaseModel):
    accepted: int = Field(description="rows that are kept from now on")
    duplicates: int = Field(description="rows that had come already")
    rejected: list[Rejected] = Field(description="rows that are not taken: do not send them again")
    next_s: int = Field(description="send again after so many seconds")
    speedtest_grant: str | None = Field(None, description="for `/speedtest`, once")
    speedtest: SpeedTestOut | None = None
    server_time: datetime
