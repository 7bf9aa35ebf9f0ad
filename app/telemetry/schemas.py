from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from app.core.moments import WitaMoment
from app.registry.schemas import Ident
from app.registry.schemas import Text as ShortText
from app.telemetry.models import GapReason, SnmpVersion, TelemetryKind
from app.witnesses.kinds import WitnessKind
from probes.telemetry import LinkState

DEVICE = "ut01000000-00000000-006d6312"
MOMENT, LATER = "2026-11-24T14:05:00+08:00", "2026-11-24T14:35:00+08:00"
FIGURES: dict[str, Any] = {"drop_rate": 0.0, "latency_ms": 41.0, "obstruction": 0.0101, "uptime_s": 349_213}
SOURCE: dict[str, Any] = {
    "kind": "starlink_account",
    "witness": "provider",
    "account": 2,
    "account_name": "Telkomsat Kaltim",
    "device_id": DEVICE,
    "host": None,
    "port": None,
    "interface": None,
    "interface_name": None,
    "version": None,
    "every_s": 15,
    "said_at": MOMENT,
    "read_at": MOMENT,
    "state": "up",
    "cause": None,
    "alerts": ["pop_change"],
    "booted_at": "2026-11-20T13:04:47+08:00",
    "figures": FIGURES,
    "failures": 0,
    "problem": None,
    "created_by": "sari",
}
STRETCH: dict[str, Any] = {
    "kind": "starlink_account",
    "witness": "provider",
    "state": "up",
    "cause": None,
    "started_at": MOMENT,
    "seen_at": LATER,
    "answers": 121,
    "widest_gap_s": 15,
    "booted_at": "2026-11-20T13:04:47+08:00",
    "alerts": ["pop_change"],
    "figures": FIGURES,
    "heard_at": MOMENT,
}
GAP: dict[str, Any] = {"started_at": MOMENT, "ended_at": LATER, "reason": "lost_answer"}
DISAGREEMENT: dict[str, Any] = {
    "kind": "starlink_account",
    "witness": "provider",
    "said": "up",
    "measured": "down",
    "started_at": MOMENT,
    "ended_at": LATER,
}
SNMP: dict[str, Any] = {
    "host": "198.51.100.20",
    "port": 161,
    "interface": 3,
    "at_provider": False,
    "version": "v3",
    "user": "pantau",
    "auth": "sha256",
    "auth_key": "kunci yang panjang",
    "priv_key": "kunci lain yang panjang",
}


def with_example(example: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [example]})


def body_with_example(example: dict[str, Any]) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})


class SnmpAuth(StrEnum):
    """`sha`: HMAC-SHA-1; `sha256`: HMAC-SHA-256."""

    SHA = "sha"
    SHA256 = "sha256"


Key = Annotated[SecretStr, Field(min_length=8, max_length=100)]
DeviceId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{4,60}$")]


class AccountSourceIn(BaseModel):
    model_config = body_with_example({"account": 2, "device_id": DEVICE})

    account: Annotated[Ident, Field(max_length=100)] = Field(
        description="id or name of the account, which is of the site's own provider"
    )
    device_id: DeviceId = Field(description="the terminal's id, as the account names it (`DeviceId`)")


class SnmpIn(BaseModel):
    """Without a community or keys, those that it has are kept."""

    model_config = body_with_example(SNMP)

    host: ShortText = Field(max_length=253, description="address or name of the router")
    port: int = Field(161, ge=1, le=65_535, description="UDP port")
    interface: int = Field(ge=1, lt=2**31, description="index of the interface (ifIndex)")
    at_provider: bool = Field(
        False, description="true: the provider's end of the line (`provider`); false: the site's router (`terminal`)"
    )
    version: SnmpVersion = Field(description="version of SNMP")
    community: Annotated[SecretStr, Field(min_length=1, max_length=100)] | None = Field(
        None, description="of v2c; sealed, never shown", examples=["rahasia"]
    )
    user: Annotated[str, Field(pattern=r"^[ -~]{1,32}$")] | None = Field(None, description="of v3")
    auth: SnmpAuth = Field(SnmpAuth.SHA256, description="how v3 authenticates")
    auth_key: Key | None = Field(None, description="of v3; sealed, never shown")
    priv_key: Key | None = Field(None, description="of v3, AES-128; sealed; without one nothing is encrypted")


class TelemetrySourceOut(BaseModel):
    """Where a site's telemetry comes from, and what it said last."""

    model_config = with_example(SOURCE)

    kind: TelemetryKind
    witness: WitnessKind = Field(description="whose word it is")
    account: int | None = Field(description="id of the account; null: it has none")
    account_name: str | None = Field(description="its account's name")
    device_id: str | None = Field(description="the terminal's id at the account")
    host: str | None
    port: int | None
    interface: int | None = Field(description="index of the interface (ifIndex)")
    interface_name: str | None = Field(description="name of the interface when it was first read")
    version: SnmpVersion | None = Field(description="version of SNMP")
    every_s: int = Field(description="seconds between two answers")
    said_at: WitaMoment | None = Field(description="time of the last answer; null: none came yet")
    read_at: WitaMoment | None = Field(description="when it reached this service")
    state: LinkState | None = Field(description="what it said last; null: nothing yet")
    cause: str | None = Field(description="why the link is down, in the device's own words")
    alerts: list[str] = Field(description="the device's alerts since it has said so")
    booted_at: WitaMoment | None = Field(description="when the device started, by its uptime")
    figures: dict[str, Any] = Field(description="figures of the last answer")
    failures: int = Field(description="failed attempts since the last answer", examples=[0])
    problem: str | None = Field(description="why the last attempt failed")
    created_by: str | None = Field(description="username of who registered it; null: the site's agent sends it")


class TelemetryStretchOut(BaseModel):
    """A run of answers that said the same."""

    model_config = with_example(STRETCH)

    kind: TelemetryKind
    witness: WitnessKind = Field(description="whose word it is")
    state: LinkState = Field(description="what was said")
    cause: str | None = Field(description="why the link is down, in the device's own words")
    started_at: WitaMoment = Field(description="time of the first answer")
    seen_at: WitaMoment = Field(description="time of the last answer")
    answers: int = Field(description="how many answers said so")
    widest_gap_s: int = Field(description="longest time between two of them, in s")
    booted_at: WitaMoment | None = Field(description="when the device started, by its uptime")
    alerts: list[str] = Field(description="the device's alerts in that time")
    figures: dict[str, Any] = Field(description="figures of the last answer")
    heard_at: WitaMoment = Field(description="when the first answer reached this service")


class TelemetryGapOut(BaseModel):
    """A time of which an account's rows may be missing."""

    model_config = with_example(GAP)

    started_at: WitaMoment = Field(description="time of the newest row before")
    ended_at: WitaMoment | None = Field(description="time of the first row after it; null: none came yet")
    reason: GapReason = Field(description="why they may be missing")


class TelemetryDisagreementOut(BaseModel):
    """A time in which it said otherwise than this service measured: what was measured counts."""

    model_config = with_example(DISAGREEMENT)

    kind: TelemetryKind
    witness: WitnessKind = Field(description="whose word it is")
    said: LinkState = Field(description="what it said")
    measured: LinkState = Field(description="what this service measured")
    started_at: WitaMoment = Field(description="start of the time in common")
    ended_at: WitaMoment = Field(description="end of the time in common")


class SiteTelemetryOut(BaseModel):
    model_config = with_example(
        {
            "sources": [SOURCE],
            "from": MOMENT,
            "to": LATER,
            "stretches": [STRETCH],
            "gaps": [GAP],
            "disagreements": [DISAGREEMENT],
        }
    )

    sources: list[TelemetrySourceOut] = Field(description="where it comes from")
    from_: datetime = Field(alias="from")
    to: datetime
    stretches: list[TelemetryStretchOut] = Field(description="what was said in the period, latest first, 500 at most")
    gaps: list[TelemetryGapOut] = Field(description="times of which rows of its account may be missing, latest first")
    disagreements: list[TelemetryDisagreementOut] = Field(
        description="where it differs from what was measured, latest first"
    )
