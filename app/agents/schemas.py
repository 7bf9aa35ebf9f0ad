from datetime import date, datetime

from pydantic import BaseModel, Field

from app.agents.models import AgentKind
from app.agents.silence_status import Unheeded


class DeviceOut(BaseModel):
    site_id: int
    kind: AgentKind | None = Field(description="what its script was made for; null without a token that is good")
    token_created_at: datetime | None
    token_created_by: str | None
    heard_at: datetime | None = Field(description="when its last push came; null: none ever did")
    next_expected_at: datetime | None = Field(description="when its next push is due, at the pace it was told last")
    silence_counts: bool = Field(description="whether a push that does not come would say that the site is down")
    silence_ignored: Unheeded | None = Field(
        description="why it would not: the site is not active or not measured by an agent (`not_pushed`), or was never "
        "heard; its last push did not come with a token that is good now (`token`); it is not proven that we could "
        "hear it (`ingest`), or fewer than two others were heard lately (`few_others`)"
    )
    agent: str | None = Field(examples=["openwrt/1"])
    boot: str | None
    booted_at: datetime | None = Field(description="by its uptime")
    seq: int | None = Field(description="the last of its boot")
    clients: int | None
    measures: bool | None = Field(description="false: it reports, but its ping cannot run (`sent` 0)")
    clock_offset_s: float | None = Field(description="our clock less its own: positive where its own is slow")
    waiting: int | None = Field(description="rows that it still keeps")
    dropped: int | None = Field(description="rows that it had no room for, since its start")
    accepted: int
    duplicates: int = Field(description="rows that came again: their first answer was lost")
    rejected: int
    last_rejection: str | None = Field(description="its code", examples=["no_clock"])
    last_rejected_at: datetime | None
    two_agents_at: datetime | None = Field(
        description="when last a push came of a start that another had followed: two devices have the same token"
    )
    boots: int = Field(description="starts in the last 8 days")
    boots_since: datetime | None
    month: date = Field(description="WITA")
    month_requests: int
    month_bytes: int = Field(description="of its pushes, headers and TLS handshakes included by estimate")
