from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql import func

from app.postgres.engine import Base, Moment
from app.witnesses.kinds import WitnessKind
from probes.telemetry import LinkState


class TelemetryKind(StrEnum):
    """`starlink_terminal`: the dish, which the site's agent asks on its own network; `starlink_account`: the provider's
    account at Starlink; `snmp`: one interface of a router.
    """

    STARLINK_TERMINAL = "starlink_terminal"
    STARLINK_ACCOUNT = "starlink_account"
    SNMP = "snmp"


class SnmpVersion(StrEnum):
    """`v2c`: a community, not encrypted; `v3`: a user with authentication, encrypted if it has a `priv_key`."""

    V2C = "v2c"
    V3 = "v3"


class GapReason(StrEnum):
    """`lost_answer`: an answer was given, or may have been, and did not arrive; `expired`: it was not asked for longer
    than the provider keeps its rows.
    """

    LOST_ANSWER = "lost_answer"
    EXPIRED = "expired"


class TelemetryAccount(Base):
    """A service account of a provider, whose read index moves with every answer: `asked_at` is set while one is due."""

    __tablename__ = "telemetry_account"

    id: Mapped[int] = mapped_column(primary_key=True)
    provider_id: Mapped[int] = mapped_column(ForeignKey("provider.id"))
    name: Mapped[str] = mapped_column(unique=True)
    base_url: Mapped[str]
    client_id: Mapped[str]
    secret: Mapped[bytes] = mapped_column(LargeBinary)  # sealed
    asked_at: Mapped[Moment | None]
    answered_at: Mapped[Moment | None]
    taken_until: Mapped[Moment | None]  # time of the newest row taken
    batches: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    rows: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    late: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))  # of a time that was taken already
    bytes: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    unassigned: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))  # terminals of no site
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    problem: Mapped[str | None]
    retry_at: Mapped[Moment | None]
    version: Mapped[int] = mapped_column(BigInteger)
    created_by: Mapped[str]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())


class TelemetrySource(Base):
    """Where a site's telemetry of one kind comes from, and what it said last. Of a terminal: made by its first push."""

    __tablename__ = "telemetry_source"
    __table_args__ = (
        UniqueConstraint("site_id", "kind"),
        UniqueConstraint("account_id", "device_id"),
        CheckConstraint("(kind = 'starlink_account') = (account_id IS NOT NULL)", name="account"),
        CheckConstraint("(kind = 'snmp') = (host IS NOT NULL AND secret IS NOT NULL)", name="snmp"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    kind: Mapped[TelemetryKind]
    witness: Mapped[WitnessKind]
    account_id: Mapped[int | None] = mapped_column(ForeignKey("telemetry_account.id"))
    device_id: Mapped[str | None]  # of an account's terminal
    host: Mapped[str | None]
    port: Mapped[int | None]
    interface: Mapped[int | None]  # ifIndex
    interface_name: Mapped[str | None]  # as it was first read: an index may come to mean another interface
    snmp_version: Mapped[SnmpVersion | None]
    secret: Mapped[bytes | None] = mapped_column(LargeBinary)  # sealed
    last_key: Mapped[str | None]  # of the last push: a repeated one adds nothing
    said_at: Mapped[Moment | None]
    read_at: Mapped[Moment | None]
    next_at: Mapped[Moment | None]
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    problem: Mapped[str | None]
    created_by: Mapped[str | None]  # None: by a push
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())


class TelemetryStretch(Base):
    """A run of answers that said the same, at most `widest_gap_s` apart. It stays when its source is removed."""

    __tablename__ = "telemetry_stretch"
    __table_args__ = (Index("ix_telemetry_stretch_seen_at", "seen_at"),)

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    kind: Mapped[TelemetryKind] = mapped_column(primary_key=True)
    started_at: Mapped[Moment] = mapped_column(primary_key=True)
    seen_at: Mapped[Moment]
    witness: Mapped[WitnessKind]
    state: Mapped[LinkState]
    cause: Mapped[str | None]
    samples: Mapped[int]
    widest_gap_s: Mapped[int]
    booted_at: Mapped[Moment | None]  # by the device's uptime
    alerts: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))  # all that it had
    figures: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))  # of the last answer
    heard_at: Mapped[Moment]  # when the first answer reached us


class TelemetryGap(Base):
    """A time of an account of which rows may be missing; without `ended_at`: until the next rows come."""

    __tablename__ = "telemetry_gap"
    __table_args__ = (Index("ix_telemetry_gap_account_id_started_at", "account_id", "started_at"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("telemetry_account.id", ondelete="CASCADE"))
    started_at: Mapped[Moment]
    ended_at: Mapped[Moment | None]
    reason: Mapped[GapReason]
    found_at: Mapped[Moment]


class TelemetryDisagreement(Base):
    """A time in which a terminal or provider said otherwise than the ledger: recounted, and kept as the ledger is."""

    __tablename__ = "telemetry_disagreement"
    __table_args__ = (Index("ix_telemetry_disagreement_ended_at", "ended_at"),)

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    kind: Mapped[TelemetryKind] = mapped_column(primary_key=True)
    started_at: Mapped[Moment] = mapped_column(primary_key=True)
    ended_at: Mapped[Moment]
    witness: Mapped[WitnessKind]
    said: Mapped[LinkState]
