from datetime import date, datetime

from pydantic import BaseModel, Field

from app.agents.device_status import Unheeded
from app.agents.models import AgentKind


class SourceOut(BaseModel):
    address: str = Field(examples=["36.70.1.9"])
    first_at: datetime
    last_at: datetime = Field(description="to about an hour while it lasts")


class DeviceOut(BaseModel):
    site_id: int
    kind: AgentKind | None = Field(description="platform of its script; null without a valid token")
    token_created_at: datetime | None
    token_created_by: str | None
    heard_at: datetime | None = Field(description="when its last push was received; null: never")
    next_expected_at: datetime | None = Field(description="when its next push is due, by its send interval")
    silence_counts: bool = Field(description="whether a missing push would count as an outage")
    silence_ignored: Unheeded | None = Field(
        description="why it would not: the site is not active or not measured by an agent (`not_pushed`); it has never "
        "sent a push (`never_heard`); its last push used a token that is not valid now (`token`); the service is not "
        "proven to receive pushes (`ingest`); fewer than two other sites sent one recently (`few_others`)"
    )
    agent: str | None = Field(examples=["openwrt/1"])
    boot: str | None
    booted_at: datetime | None = Field(description="start of the device, by its uptime")
    seq: int | None = Field(description="last sequence number of its boot")
    clients: int | None
    measures: bool | None = Field(description="false: it sends pushes, but its ping cannot run (`sent` 0)")
    clock_offset_s: float | None = Field(description="our clock minus the device's: positive if the device's is slow")
    waiting: int | None = Field(description="rows still stored on the device")
    dropped: int | None = Field(description="rows discarded for lack of room since its boot")
    accepted: int
    duplicates: int = Field(description="rows received more than once, because a response was lost")
    rejected: int
    last_rejection: str | None = Field(description="rejection code", examples=["no_clock"])
    last_rejected_at: datetime | None
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
    boots_since: datetime | None
    month: date = Field(description="WITA")
    month_requests: int
    month_bytes: int = Field(description="traffic of its pushes, with an estimate for headers and TLS handshakes")


class EnrolmentOut(BaseModel):
    code: str = Field(examples=["K7QX2MRD"], description="installs one agent, until `expires_at`; shown only once")
    expires_at: datetime
    commands: dict[AgentKind, str] = Field(description="the line that installs the agent, by platform")
    card_url: str = Field(description="page to print for the technician")
    status_url: str = Field(description="page that shows at the site whether readings arrive")
    warnings: list[str] = Field([], description="what is allowed but probably a mistake")
