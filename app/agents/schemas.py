from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.agents.device_status import Unheeded
from app.agents.models import AgentKind

DEVICE: dict[str, Any] = {
    "site_id": 512,
    "kind": "openwrt",
    "token_created_at": "2026-11-01T02:00:00Z",
    "token_created_by": "ana",
    "heard_at": "2026-11-24T06:05:02Z",
    "next_expected_at": "2026-11-24T06:10:02Z",
    "silence_counts": True,
    "silence_ignored": None,
    "agent": "openwrt/1",
    "boot": "k3f9",
    "booted_at": "2026-11-23T06:00:02Z",
    "seq": 182,
    "clients": 14,
    "measures": True,
    "clock_offset_s": 0.4,
    "waiting": 0,
    "dropped": 0,
    "accepted": 33_120,
    "duplicates": 5,
    "rejected": 1,
    "last_rejection": "no_clock",
    "last_rejected_at": "2026-11-02T11:20:00Z",
    "near_at": "2026-11-24T06:04:59Z",
    "lan": True,
    "terminal": True,
    "carrier": True,
    "rx_bps": 1_840_000,
    "tx_bps": 212_000,
    "rates_at": "2026-11-24T06:05:02Z",
    "two_agents_at": None,
    "unheard_boot_at": None,
    "network_changed_at": "2026-11-12T03:00:00Z",
    "two_networks_at": None,
    "sources": [
        {"address": "36.70.1.9", "first_at": "2026-11-12T03:00:00Z", "last_at": "2026-11-24T06:00:00Z"},
    ],
    "boots": 3,
    "boots_since": "2026-11-16T22:10:00Z",
    "month": "2026-11-01",
    "month_requests": 6_624,
    "month_bytes": 21_400_000,
}
ENROLMENT: dict[str, Any] = {
    "code": "K7QX2MRD",
    "expires_at": "2026-12-01T06:00:00Z",
    "commands": {"linux": "curl -sS -d 'kind=linux&code=K7QX2MRD' 'https://sinyal.example/enrol' | sudo sh"},
    "card_url": "https://sinyal.example/enrol?page=card#K7QX2MRD",
    "status_url": "https://sinyal.example/enrol#K7QX2MRD",
    "warnings": [],
}


class SourceOut(BaseModel):
    address: str = Field(description="IP address")
    first_at: datetime = Field(description="when a push first came from it")
    last_at: datetime = Field(description="to about an hour while it lasts")


class DeviceOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [DEVICE]})

    site_id: int
    kind: AgentKind | None = Field(description="platform of its script; null without a valid token")
    token_created_at: datetime | None = Field(description="when its present token was issued")
    token_created_by: str | None = Field(description="username of who issued that token")
    heard_at: datetime | None = Field(description="when its last push was received; null: never")
    next_expected_at: datetime | None = Field(description="when its next push is due, by its send interval")
    silence_counts: bool = Field(description="whether a missing push would count as an outage")
    silence_ignored: Unheeded | None = Field(description="why it would not; null: it would")
    agent: str | None = Field(description="name and version of its agent")
    boot: str | None = Field(description="random, new at each start of the agent")
    booted_at: datetime | None = Field(description="start of the device, by its uptime")
    seq: int | None = Field(description="last sequence number of its boot")
    clients: int | None = Field(description="clients connected to the village's Wi-Fi at its last push")
    measures: bool | None = Field(description="false: it sends pushes, but its ping cannot run (`sent` 0)")
    clock_offset_s: float | None = Field(description="our clock minus the device's: positive if the device's is slow")
    waiting: int | None = Field(description="rows still stored on the device")
    dropped: int | None = Field(description="rows discarded for lack of room since its boot")
    accepted: int = Field(description="rows stored so far")
    duplicates: int = Field(description="rows received more than once, because a response was lost")
    rejected: int = Field(description="rows not accepted so far")
    last_rejection: str | None = Field(description="rejection code")
    last_rejected_at: datetime | None = Field(description="when a row was last rejected; null: never")
    near_at: datetime | None = Field(
        description="slot of its newest look at what lies near; this and what it saw: by its own account"
    )
    lan: bool | None = Field(description="whether the next hop answered, a device of the site; null: not asked")
    terminal: bool | None = Field(description="whether the link's terminal answered; null: not asked")
    carrier: bool | None = Field(description="whether its interface towards the next hop has a signal; null: not asked")
    rx_bps: int | None = Field(description="bits a second that its interface received between two pushes")
    tx_bps: int | None = Field(description="bits a second that its interface sent between two pushes")
    rates_at: datetime | None = Field(description="when it last reported these rates")
    two_agents_at: datetime | None = Field(
        description="when a boot last sent that another boot had replaced: two devices use the same token"
    )
    unheard_boot_at: datetime | None = Field(
        description="when a boot that had never been heard of last claimed a time in which the site was not heard"
    )
    network_changed_at: datetime | None = Field(
        description="when a push last came from a network (/16, IPv6 /32) that none had come from before"
    )
    two_networks_at: datetime | None = Field(
        description="when its pushes last alternated between two networks within an hour"
    )
    sources: list[SourceOut] | None = Field(
        description="the addresses that its pushes came from, kept as long as raw readings, the latest first; null "
        "for all but the province's admins and operators"
    )
    boots: int = Field(description="boots in the last 8 days")
    boots_since: datetime | None = Field(description="when the first of those boots was heard of")
    month: date = Field(description="WITA")
    month_requests: int = Field(description="its pushes in that month")
    month_bytes: int = Field(description="traffic of its pushes, with an estimate for headers and TLS handshakes")


class EnrolmentOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [ENROLMENT]})

    code: str = Field(description="installs one agent, until `expires_at`; shown only once")
    expires_at: datetime
    commands: dict[AgentKind, str] = Field(description="the line that installs the agent, by platform")
    card_url: str = Field(description="page to print for the technician")
    status_url: str = Field(description="page that shows at the site whether readings arrive")
    warnings: list[str] = Field([], description="what is allowed but probably a mistake")
