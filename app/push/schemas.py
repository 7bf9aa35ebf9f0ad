from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.push.parser import MAX_ROWS, MAX_SENT, MAX_TOKEN
from app.push.rejections import REJECTION_MESSAGES
from app.push.reported_breaks import MAX_BREAKS
from app.push.value_parsers import MAX_EPOCHS, MAX_SEQ
from probes.starlink_terminal import MAX_ANSWER

RTT = {"type": "number", "minimum": 0, "maximum": 60_000, "examples": [21.3]}
COUNT = {"type": "integer", "minimum": 0, "examples": [2]}
UPTIME = {
    "anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}],
    "description": "time since the device started: seconds, or a RouterOS duration such as 1w2d03:04:05",
    "examples": [86400, "1w2d03:04:05"],
}
CLOCK = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "number", "minimum": 0}],
    "description": "the device's clock, which need not be right: ISO 8601 with an offset, or seconds since 1970",
    "examples": ["2026-11-24T06:05:00Z", 1795500300],
}
FLAG = {"type": "integer", "enum": [0, 1], "examples": [1]}
MEASURED: dict[str, Any] = {
    "boot": {
        "type": "string",
        "pattern": "^[A-Za-z0-9_-]{1,32}$",
        "description": "random, new at each start of the agent",
        "examples": ["k3f9"],
    },
    "seq": {
        "type": "integer",
        "minimum": 0,
        "maximum": MAX_SEQ,
        "description": "sequence number of the row within its boot",
        "examples": [181],
    },
    "uptime_s": UPTIME,
    "clock": CLOCK,
    "sent": {
        "type": "integer",
        "minimum": 0,
        "maximum": MAX_SENT,
        "description": "packets sent to the anchors",
        "examples": [3],
    },
    "rtt_ms": {
        "type": "array",
        "items": RTT,
        "maxItems": MAX_SENT,
        "description": "round-trip time of each reply, in ms",
        "examples": [[21.3, 22.0]],
    },
    "received": {**COUNT, "description": "number of replies, instead of rtt_ms, with the three fields below"},
    "rtt_min_ms": {**RTT, "description": "shortest round-trip time, in ms"},
    "rtt_avg_ms": {**RTT, "description": "mean round-trip time, in ms"},
    "rtt_max_ms": {**RTT, "description": "longest round-trip time, in ms"},
    "lan": {**FLAG, "description": "whether the next hop answered, a device of the site; leave it out if not asked"},
    "terminal": {**FLAG, "description": "whether the link's terminal answered, on the site's own network"},
    "carrier": {**FLAG, "description": "whether the interface towards the next hop has a signal"},
}
SENDER: dict[str, Any] = {
    "clients": {**COUNT, "description": "clients connected to the village's Wi-Fi"},
    "agent": {"type": "string", "maxLength": 60, "description": "name and version of the agent"},
    "waiting": {**COUNT, "description": "rows still stored on the device"},
    "dropped": {
        **COUNT,
        "description": "rows since this boot that were not stored, or cannot be dated; "
        "with those of an earlier boot that no push has reported",
    },
    "rx_bps": {**COUNT, "description": "bits a second that the default route's interface received since the last push"},
    "tx_bps": {**COUNT, "description": "bits a second that it sent"},
    "starlink": {
        "type": "string",
        "maxLength": MAX_ANSWER * 4 // 3 + 4,
        "description": "what a Starlink terminal answered to `get_status` (gRPC), in base64; once in 5 minutes",
        "examples": ["AAAAAAji6PoPAhoA"],
    },
    "token": {
        "type": "string",
        "maxLength": MAX_TOKEN,
        "description": "device token, for clients that cannot set headers; the header takes precedence",
        "examples": ["sd-4kq9-x2mk"],
    },
}
SINCE_BOOT: dict[str, Any] = {"type": "number", "minimum": 0, "examples": [86412.3]}
BREAK: dict[str, Any] = {
    "type": "object",
    "properties": {
        "seq": {"type": "integer", "minimum": 0, "description": "numbers the breaks of a boot", "examples": [4]},
        "heard_s": {**SINCE_BOOT, "description": "uptime when something last came through"},
        "from_s": {**SINCE_BOOT, "description": "by then it had begun: the first ping was not answered"},
        "lost_s": {**SINCE_BOOT, "description": "when the last ping was sent that was not answered"},
        "to_s": {**SINCE_BOOT, "description": "by then it was over: something came through again"},
    },
    "required": ["seq", "heard_s", "from_s", "lost_s", "to_s"],
}
BODY: dict[str, Any] = {
    "type": "object",
    "description": "One row measured now, or a `batch` of rows with fields beside it that hold at the time of sending. "
    "Unknown fields are ignored.",
    "properties": MEASURED
    | SENDER
    | {
        "sent_at": {**CLOCK, "description": "the device's clock when it sends the batch"},
        "epochs": {
            "type": "object",
            "maxProperties": MAX_EPOCHS,
            "additionalProperties": {"type": "number", "minimum": 0},
            "description": "by boot: when its uptime was 0, in seconds since 1970, computed from `server_time` in an "
            "answer of the service during that boot. Rows of these boots are dated by it",
            "examples": [{"k3f9": 1795413902.4}],
        },
        "breaks": {
            "type": "array",
            "maxItems": MAX_BREAKS,
            "description": "breaks of the link that the device saw while it held a stream (`/stream`), by its uptime. "
            "(boot, seq) is the identity of one",
            "items": BREAK,
            "examples": [[{"seq": 4, "heard_s": 86380, "from_s": 86391.4, "lost_s": 86410.2, "to_s": 86411.6}]],
        },
        "batch": {
            "type": "array",
            "maxItems": MAX_ROWS,
            "description": "rows measured since the last push, oldest first",
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


PUSHED: dict[str, Any] = {
    "accepted": 1,
    "duplicates": 0,
    "rejected": [{"row": 0, "code": "too_old", "message": "The row is older than 30 days"}],
    "next_s": 300,
    "speedtest_grant": "q3Vn0x2LhTzA",
    "speedtest": {"down_bytes": 8_900_000, "up_bytes": 2_900_000, "max_s": 10},
    "server_time": "2026-11-24T06:05:02Z",
}


class Rejected(BaseModel):
    row: int | None = Field(description="index in the batch, from 0; null: the fault is in the fields beside the batch")
    code: str = Field(description=f"why, one of: {', '.join(REJECTION_MESSAGES)}")
    message: str


class SpeedTestOut(BaseModel):
    down_bytes: int = Field(description="bytes to download, at most")
    up_bytes: int = Field(description="bytes to upload, at most")
    max_s: int = Field(description="time limit of each direction, in s")


class PushOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [PUSHED]})

    accepted: int = Field(description="rows newly stored")
    duplicates: int = Field(description="rows received before")
    rejected: list[Rejected] = Field(description="rows not accepted: do not send them again")
    next_s: int = Field(description="seconds until the next push is expected")
    speedtest_grant: str | None = Field(None, description="grant for one speed test at `/speedtest`")
    speedtest: SpeedTestOut | None = Field(None, description="size and time limit of that test")
    server_time: datetime = Field(description="the service's clock")
