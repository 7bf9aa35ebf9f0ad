from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.vantages.beat import BEAT, MOMENT, PROTOCOL, BeatIn
from app.vantages.delivery import MAX_BLOCKS, MAX_READINGS, REJECTED

DATABASE = "7412345678901234567-00000001"
NUMBERS: dict[str, Any] = {"type": "array", "items": {"type": "integer"}}
BLOCK: dict[str, Any] = {
    "seq": 181,
    "v": 1,
    "key": [7, 9],
    "slot": [1795910400, 1795910401],
    "outcome": [0, 1],
    "sent": [3, 3],
    "received": [3, 0],
    "valid_s": [60, 60],
    "addressed_at": [1795000000000000, 1795000000000000],
    "rtt_us": [21300, 20900, 21100],
    "reason": [0, 0],
    "reasons": [None],
}
DELIVERY: dict[str, Any] = {
    "protocol": PROTOCOL,
    "instance": BEAT["instance"],
    "boot": "b71Xk0",
    "sent_at": MOMENT,
    "beat": BEAT,
    "blocks": [BLOCK],
}
COLUMN_MEANINGS = {
    "key": "id of each reading's site",
    "slot": "the second that it belongs to, since 1970",
    "outcome": "0: ok; 1: timeout; 2: fault",
    "sent": "packets that left the prober",
    "received": "answers in time",
    "valid_s": "seconds for which it speaks",
    "addressed_at": "since when its site has the address that was read, microseconds since 1970",
    "rtt_us": "round trips of all answers, one after the other",
    "reason": "index into `reasons`",
}


def _beat_schema() -> dict[str, Any]:
    """Return the schema of a beat in one piece: no route takes it as a model."""
    schema = BeatIn.model_json_schema()
    spool = schema.pop("$defs")["SpoolIn"]
    schema["properties"]["spool"] = {**spool, "description": schema["properties"]["spool"]["description"]}
    return schema


BEAT_SCHEMA = _beat_schema()
BLOCK_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": list(BLOCK),
    "properties": {
        "seq": {
            "type": "integer",
            "minimum": 0,
            "description": "number of the block within its boot",
            "examples": [181],
        },
        "v": {"type": "integer", "enum": [1], "description": "version of the columns"},
        **{
            name: {**NUMBERS, "description": meaning, "examples": [BLOCK[name]]}
            for name, meaning in COLUMN_MEANINGS.items()
        },
        "reasons": {
            "type": "array",
            "items": {"type": ["string", "null"]},
            "description": "why looks failed, each once",
            "examples": [[None, "blind"]],
        },
    },
    "examples": [BLOCK],
}
DELIVERY_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["protocol", "instance", "boot", "blocks"],
    "properties": {
        "protocol": {"type": "integer", "description": "the protocol that it speaks", "examples": [PROTOCOL]},
        "instance": {"type": "string", "description": "drawn by the process at its start", "examples": ["k3f9Qw"]},
        "boot": {"type": "string", "description": "drawn when the spool was made", "examples": ["b71Xk0"]},
        "sent_at": {"type": "string", "format": "date-time", "description": "when it was sent", "examples": [MOMENT]},
        "beat": {**BEAT_SCHEMA, "description": "how the prober is; with a process's first delivery"},
        "blocks": {
            "type": "array",
            "maxItems": MAX_BLOCKS,
            "items": BLOCK_SCHEMA,
            "description": f"at most {MAX_READINGS} readings in all",
            "examples": [[BLOCK]],
        },
    },
    "examples": [DELIVERY],
}

HEARD: dict[str, Any] = {"server_time": MOMENT, "assignment": 4711, "database": DATABASE, "ack_keep_s": 900}


class BeatOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [HEARD]})

    server_time: str = Field(description="the server's clock, UTC; a prober keeps its slots to it")
    assignment: int = Field(description="newest version of the registry: what to look at may have changed")
    database: str = Field(description="identifier and timeline of the database: another one after a failover")
    ack_keep_s: int = Field(description="for how long to keep acknowledged blocks, to send them again after one")


class RejectedBlockOut(BaseModel):
    seq: int = Field(description="number of the block")
    code: str = Field(description="; ".join(f"`{code}`: {text}" for code, text in REJECTED.items()))
    message: str = Field(description="what is wrong with it, in the caller's language")
    readings: int = Field(description="how many readings it holds")


class ProberDeliveryOut(BeatOut):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "accepted": [181],
                    "duplicates": [180],
                    "changed": [],
                    "rejected": [
                        {"seq": 182, "code": "too_old", "message": REJECTED["too_old"], "readings": 120},
                    ],
                    "not_assigned": 0,
                    **HEARD,
                }
            ]
        }
    )

    accepted: list[int] = Field(description="blocks that are stored now")
    duplicates: list[int] = Field(description="blocks that were stored before")
    changed: list[int] = Field(description="of the duplicates, those that held other readings: the first ones count")
    rejected: list[RejectedBlockOut] = Field(description="blocks that are never taken: drop them")
    not_assigned: int = Field(description="readings dropped, of sites that this vantage was not to look at")
