from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, DateTime, ForeignKey, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.sql import func

from app.postgres.engine import Base, Moment
from app.registry.models import Provider


class AlertKind(StrEnum):
    """What a rule asks for. `down`: outages of single sites, and shared ones; `shared`: shared ones alone;
    `recovered`: also where the outage was not announced (of one that was, the recovery always is); `degraded`: for
    `degraded_hours`; `never_seen`, `coverage_lost`: no evidence of a site; `budget_spent`: of throughput tests;
    `contract_at_risk`: this month's target is missed or nearly so; `service_unwell`: this service itself; `escalated`:
    what offices below did not acknowledge; `daily_digest`, `weekly_digest`: at 07.30 WITA.
    """

    DOWN = "down"
    SHARED = "shared"
    RECOVERED = "recovered"
    DEGRADED = "degraded"
    NEVER_SEEN = "never_seen"
    COVERAGE_LOST = "coverage_lost"
    BUDGET_SPENT = "budget_spent"
    CONTRACT_AT_RISK = "contract_at_risk"
    SERVICE_UNWELL = "service_unwell"
    ESCALATED = "escalated"
    DAILY_DIGEST = "daily_digest"
    WEEKLY_DIGEST = "weekly_digest"


class AnnouncementKind(StrEnum):
    """What is announced of a subject: an onset, as rules ask for it (`down`, `shared`, `degraded`, `never_seen`,
    `coverage_lost`, `budget_spent`, `contract_at_risk`, `service_unwell`); its end (`recovered`; `withdrawn`: later
    evidence shows that there was none); or that it goes on (`escalated`, `reminder`).
    """

    DOWN = "down"
    SHARED = "shared"
    DEGRADED = "degraded"
    NEVER_SEEN = "never_seen"
    COVERAGE_LOST = "coverage_lost"
    BUDGET_SPENT = "budget_spent"
    CONTRACT_AT_RISK = "contract_at_risk"
    SERVICE_UNWELL = "service_unwell"
    RECOVERED = "recovered"
    WITHDRAWN = "withdrawn"
    ESCALATED = "escalated"
    REMINDER = "reminder"


ONSETS = frozenset(AnnouncementKind) - {
    AnnouncementKind.RECOVERED,
    AnnouncementKind.WITHDRAWN,
    AnnouncementKind.ESCALATED,
    AnnouncementKind.REMINDER,
}


class AnnouncementState(StrEnum):
    """`pending`: due at `due_at`, or held until then; `sent`: part of a notification; `dropped`: see `drop_reason`."""

    PENDING = "pending"
    SENT = "sent"
    DROPPED = "dropped"


class HoldReason(StrEnum):
    """Why an announcement is not due yet: `grouping`, `least_duration`, `quiet_hours`, `muted`, `maintenance`,
    `power_hours`, `blind` (we do not see ourselves).
    """

    GROUPING = "grouping"
    LEAST_DURATION = "least_duration"
    QUIET_HOURS = "quiet_hours"
    MUTED = "muted"
    MAINTENANCE = "maintenance"
    POWER_HOURS = "power_hours"
    BLIND = "blind"


class DropReason(StrEnum):
    """Why an announcement was never sent: `too_short`; `in_maintenance`; `outside_power_hours`; `merged` into a shared
    incident that is announced; `withdrawn`; `flapping`: told as such; `acknowledged`: no reminder or escalation is
    needed; `not_told`: a recovery of what was not announced; `channel_deleted`.
    """

    TOO_SHORT = "too_short"
    IN_MAINTENANCE = "in_maintenance"
    OUTSIDE_POWER_HOURS = "outside_power_hours"
    MERGED = "merged"
    WITHDRAWN = "withdrawn"
    FLAPPING = "flapping"
    ACKNOWLEDGED = "acknowledged"
    NOT_TOLD = "not_told"
    CHANNEL_DELETED = "channel_deleted"


class NotificationKind(StrEnum):
    """`onset`; `update`: more sites, an escalation, a reminder, a recurrence; `recovery`: all of the group; `held`: a
    digest of what was held; `flapping`; `daily_digest`; `weekly_digest`; `test`: by hand; `weekly_test`.
    """

    ONSET = "onset"
    UPDATE = "update"
    RECOVERY = "recovery"
    HELD = "held"
    FLAPPING = "flapping"
    DAILY_DIGEST = "daily_digest"
    WEEKLY_DIGEST = "weekly_digest"
    TEST = "test"
    WEEKLY_TEST = "weekly_test"


class NotificationState(StrEnum):
    """`queued`: not delivered yet; `accepted` by the receiver; `bounced`: refused for good; `dead`: given up after too
    long; `rerouted`: the fallback channel took it over, or, of what waited there, its own did.
    """

    QUEUED = "queued"
    ACCEPTED = "accepted"
    BOUNCED = "bounced"
    DEAD = "dead"
    REROUTED = "rerouted"


class MessageForm(StrEnum):
    """`long`; `short`: for SMS, at most 160 characters in Indonesian."""

    LONG = "long"
    SHORT = "short"


class Channel(Base):
    """Where an office, or a provider that it tells, receives notifications. Target and secret are sealed."""

    __tablename__ = "channel"
    __table_args__ = (
        Index("uq_channel_name", "region_code", "name", unique=True, postgresql_where=text("deleted_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    region_code: Mapped[str] = mapped_column(ForeignKey("region.code"))  # the office's
    provider_id: Mapped[int | None] = mapped_column(ForeignKey("provider.id"))  # told of its own sites alone
    name: Mapped[str]
    service: Mapped[str]  # `webhook`, or a schema of Apprise: mailto, tgram, whatsapp, matrix, ntfy, …
    target: Mapped[bytes]  # the URL, sealed
    target_hint: Mapped[str]  # the URL without what must stay secret
    secret: Mapped[bytes | None]  # of a webhook's signature, sealed
    language: Mapped[str] = mapped_column(server_default="id")
    form: Mapped[MessageForm] = mapped_column(server_default=MessageForm.LONG.value)
    fallback_id: Mapped[int | None] = mapped_column(ForeignKey("channel.id"))
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    created_by: Mapped[str]
    paused_at: Mapped[Moment | None]  # by hand: notifications stay queued
    deleted_at: Mapped[Moment | None]
    failures: Mapped[int] = mapped_column(server_default="0")  # in a row
    retry_at: Mapped[Moment | None]  # while the circuit breaker is open
    accepted_at: Mapped[Moment | None]  # the last one
    problem: Mapped[str | None]  # of the last attempt, if that failed
    version: Mapped[int] = mapped_column(BigInteger)

    provider: Mapped[Provider | None] = relationship(lazy="raise")


class AlertRule(Base):
    """What an office wants to hear of, when, and through which channels. Empty filters match everything."""

    __tablename__ = "alert_rule"
    __table_args__ = (
        Index("uq_alert_rule_name", "region_code", "name", unique=True, postgresql_where=text("deleted_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    region_code: Mapped[str] = mapped_column(ForeignKey("region.code"))  # the office's
    name: Mapped[str]
    kinds: Mapped[list[str]] = mapped_column(ARRAY(Text))  # AlertKind
    within: Mapped[str] = mapped_column(ForeignKey("region.code"))  # the region of the sites: the office's or smaller
    technologies: Mapped[list[str]] = mapped_column(ARRAY(Text))  # Technology
    provider_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    least_s: Mapped[int]  # an outage that ends before is not announced
    degraded_hours: Mapped[int]
    quiet_from: Mapped[int | None]  # this and `quiet_to`: minutes of the day in WITA
    quiet_to: Mapped[int | None]
    keeps_power_hours: Mapped[bool]  # an outage outside of a site's hours with power waits until they begin
    escalate_after_min: Mapped[int | None]  # without acknowledgement, to `escalate_to`
    escalate_beyond_sites: Mapped[int | None]  # at once, if an incident has more sites
    escalate_to: Mapped[str | None] = mapped_column(ForeignKey("region.code"))  # an office above
    remind_at: Mapped[int | None]  # each day while it lasts, at this minute of the day in WITA
    muted_until: Mapped[Moment | None]
    channel_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    created_by: Mapped[str]
    deleted_at: Mapped[Moment | None]
    version: Mapped[int] = mapped_column(BigInteger)


class AlertGroup(Base):
    """Announcements of one channel with one cause, told together: an onset, updates, a recovery.

    `key`: `node:<id>`, `provider:<id>:<kecamatan|district>`, `provider:<id>`, `district:<code>`, `office`, or, for what
    is no outage, the announcement's subject.
    """

    __tablename__ = "alert_group"
    __table_args__ = (Index("ix_alert_group_open", "channel_id", "key", postgresql_where=text("closed_at IS NULL")),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    channel_id: Mapped[int] = mapped_column(ForeignKey("channel.id"))
    key: Mapped[str]
    opened_at: Mapped[Moment] = mapped_column(server_default=func.now())
    notified_at: Mapped[Moment | None]  # the last time
    notifications: Mapped[int] = mapped_column(server_default="0")  # so many so far
    updates: Mapped[int] = mapped_column(server_default="0")  # of growth alone, in a row: the more, the later the next
    sites_told: Mapped[int] = mapped_column(server_default="0")  # as many were named or counted the last time
    seen_version: Mapped[int] = mapped_column(BigInteger, server_default="0")  # of its incidents, when last looked at
    cleared_at: Mapped[Moment | None]  # all recovered, and told so: for REOPEN_WITHIN a recurrence reopens it
    recurred_at: Mapped[list[datetime]] = mapped_column(ARRAY(DateTime(timezone=True)), server_default=text("'{}'"))
    flapping_since: Mapped[Moment | None]
    due_at: Mapped[Moment | None]  # when it is looked at, whatever else happens: whether flapping has ended
    closed_at: Mapped[Moment | None]


# An onset of a condition, without an end: literal in queries, too, so that they find the index.
UNSETTLED = (
    "incident_id IS NULL AND settled_at IS NULL AND state <> 'dropped' AND kind NOT IN ('recovered', 'withdrawn')"
)


class Announcement(Base):
    """One office is to be told one thing through one channel: written in the transaction that made it true.

    `subject`: `incident:<id>`, `site:<id>`, `contract:<id>`, `service:<what>`, `channel:<id>`. `version` tells one
    onset of a subject from the next.
    """

    __tablename__ = "announcement"
    __table_args__ = (
        Index(  # two conditions of one site may have begun, and end, in the same seconds
            "uq_announcement",
            *("subject", "kind", "region_code", "channel_id", "version", text("coalesce(facts ->> 'of', '')")),
            unique=True,
        ),
        Index("ix_announcement_unsettled", "kind", "version", postgresql_where=text(UNSETTLED)),
        Index("ix_announcement_pending", "due_at", postgresql_where=text("state = 'pending'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    subject: Mapped[str]
    incident_id: Mapped[int | None] = mapped_column(ForeignKey("incident.id"), index=True)
    kind: Mapped[AnnouncementKind]
    region_code: Mapped[str] = mapped_column(ForeignKey("region.code"))  # the office's
    channel_id: Mapped[int] = mapped_column(ForeignKey("channel.id"))
    version: Mapped[int] = mapped_column(BigInteger)
    rule_id: Mapped[int | None] = mapped_column(ForeignKey("alert_rule.id"))  # null: none asked, yet it must be told
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    due_at: Mapped[Moment]
    hold_reason: Mapped[HoldReason | None]
    state: Mapped[AnnouncementState] = mapped_column(server_default=AnnouncementState.PENDING.value)
    drop_reason: Mapped[DropReason | None]
    facts: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))  # of a subject that is no incident
    settled_at: Mapped[Moment | None]  # of a condition's onset: when its end was announced
    group_id: Mapped[int | None] = mapped_column(ForeignKey("alert_group.id"), index=True)
    notification_id: Mapped[int | None] = mapped_column(ForeignKey("notification.id"), index=True)


class Notification(Base):
    """One message through one channel, with every attempt to deliver it: the proof of who was told what, and when."""

    __tablename__ = "notification"
    __table_args__ = (
        Index("ix_notification_queued", "channel_id", "next_attempt_at", postgresql_where=text("state = 'queued'")),
        Index("ix_notification_created_at_id", "created_at", "id"),
        Index("ix_notification_fallback_of", "fallback_of", postgresql_where=text("fallback_of IS NOT NULL")),
        Index("ix_notification_channel_id_created_at", "channel_id", "created_at", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    key: Mapped[UUID] = mapped_column(
        index=True
    )  # in each message, also in its fallback's: a receiver drops what it has had
    channel_id: Mapped[int] = mapped_column(ForeignKey("channel.id"))
    region_code: Mapped[str] = mapped_column(ForeignKey("region.code"))  # the office's
    group_id: Mapped[int | None] = mapped_column(ForeignKey("alert_group.id"), index=True)
    kind: Mapped[NotificationKind]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)  # `alerts.content.Content`: what is told, before any wording
    title: Mapped[str]  # this and `text`: the wording, in the channel's language and form
    text: Mapped[str]
    state: Mapped[NotificationState] = mapped_column(server_default=NotificationState.QUEUED.value)
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_attempt_at: Mapped[Moment] = mapped_column(server_default=func.now())
    settled_at: Mapped[Moment | None]  # when its state became final
    receiver_id: Mapped[str | None]  # what the receiver calls it
    http_status: Mapped[int | None]
    problem: Mapped[str | None]
    fallback_of: Mapped[int | None] = mapped_column(ForeignKey("notification.id"))
    acknowledged_at: Mapped[Moment | None]  # by its link
    acknowledged_by: Mapped[str | None]


class DeliveryAttempt(Base):
    """Append-only."""

    __tablename__ = "delivery_attempt"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    notification_id: Mapped[int] = mapped_column(ForeignKey("notification.id"), index=True)
    started_at: Mapped[Moment]
    took_ms: Mapped[int]
    outcome: Mapped[NotificationState]  # `queued`: to be tried again
    http_status: Mapped[int | None]
    problem: Mapped[str | None]


class CourierBeat(Base):
    """The heartbeat of the courier that leads; one row."""

    __tablename__ = "courier_beat"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    beat_at: Mapped[Moment]
    started_at: Mapped[Moment]
