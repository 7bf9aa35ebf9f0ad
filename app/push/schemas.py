from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from app.push.parser import MAX_ROWS, MAX_SENT, MAX_SEQ, MAX_TOKEN
from app.push.rejections import REJECTION_MESSAGES

RTT = {"type": "number", "minimum": 0, "maximum": 60_000}
COUNT = {"type": "integer", "minimum": 0}
UPTIME = {
    "anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}],
    "description": "time since the device started: seconds, or a RouterOS duration such as 1w2d03:04:05",
}
CLOCK = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "number", "minimum": 0}],
    "description": "the device's clock, which need not be right: ISO 8601 with an offset, or seconds since 1970",
}
MEASURED: dict[str, Any] = {
    "boot": {
        "type": "string",
        "pattern": "^[A-Za-z0-9_-]{1,32}$",
        "description": "random, new at each start of the agent",
    },
    "seq": {
        "type": "integer",
        "minimum": 0,
        "maximum": MAX_SEQ,
        "description": "sequence number of the row within its boot",
    },
    "uptime_s": UPTIME,
    "clock": CLOCK,
    "sent": {"type": "integer", "minimum": 0, "maximum": MAX_SENT, "description": "packets sent to the anchors"},
    "rtt_ms": {"type": "array", "items": RTT, "maxItems": MAX_SENT, "description": "round-trip time of each reply"},
    "received": {**COUNT, "description": "number of replies, instead of rtt_ms, with the three fields below"},
    "rtt_min_ms": RTT,
    "rtt_avg_ms": RTT,
    "rtt_max_ms": RTT,
}
SENDER: dict[str, Any] = {
    "clients": {**COUNT, "description": "clients connected to the village's Wi-Fi"},
    "agent": {"type": "string", "maxLength": 60, "description": "name and version of the agent"},
    "waiting": {**COUNT, "description": "rows still stored on the device"},
    "dropped": {**COUNT, "description": "rows discarded for lack of room since this boot"},
    "token": {
        "type": "string",
        "maxLength": MAX_TOKEN,
        "description": "device token, for clients that cannot set headers; the header takes precedence",
    },
}
BODY: dict[str, Any] = {
    "type": "object",
    "description": "One row measured now, or a `batch` of rows with fields beside it that hold at the time of sending. "
    "Unknown fields are ignored.",
    "properties": MEASURED
    | SENDER
    | {
        "sent_at": {**CLOCK, "description": "the device's clock when it sends the batch"},
        "batch": {
            "type": "array",
            "maxItems": MAX_ROWS,
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
    row: int | None = Field(description="index in the batch, from 0; null: the fault is in the fields beside the batch")
    code: str = Field(examples=["too_old"], description=", ".join(REJECTION_MESSAGES))
    message: str


class SpeedTestOut(BaseModel):
    down_bytes: int
    up_bytes: int
    max_s: int = Field(description="time limit of each direction")


class PushOut(BaseModel):
    accepted: int = Field(description="rows newly stored")
    duplicates: int = Field(description="rows received before")
    rejected: list[Rejected] = Field(description="rows not accepted: do not send them again")
    next_s: int = Field(description="seconds until the next push is expected")
    speedtest_grant: str | None = Field(None, description="grant for one speed test at `/speedtest`")
    speedtest: SpeedTestOut | None = None
    server_time: datetime
