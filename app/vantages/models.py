from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, SmallInteger, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql import func

from app.postgres.engine import Base, Moment


class Vantage(Base):
    """A network from which sites are looked at. Number 0: where `sinyal worker` runs."""

    __tablename__ = "vantage"
    __table_args__ = (CheckConstraint("number BETWEEN 0 AND 8", name="number"),)  # `probes.contract.VANTAGES`

    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(unique=True)  # a slug
    label: Mapped[str]
    version: Mapped[int] = mapped_column(BigInteger, server_default="1")


class VantageHosting(Base):
    """From `started_at` on a vantage stands in the network of this provider; null: in that of none."""

    __tablename__ = "vantage_host"

    vantage: Mapped[int] = mapped_column(SmallInteger, ForeignKey("vantage.number"), primary_key=True)
    started_at: Mapped[Moment] = mapped_column(primary_key=True)
    provider_id: Mapped[int | None] = mapped_column(ForeignKey("provider.id"))


class RegisteredProber(Base):
    """A `sinyal prober` of one vantage, and what it last reported of itself. The worker's own prober has no row.

    The vantage never changes: blocks still in the spool belong to where they were measured.
    """

    __tablename__ = "prober"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)  # a slug
    vantage: Mapped[int] = mapped_column(SmallInteger, ForeignKey("vantage.number"))
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)  # of its token
    created_by: Mapped[str]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    revoked_at: Mapped[Moment | None]
    revoked_by: Mapped[str | None]
    instance: Mapped[str | None]  # drawn by the running process at its start
    started_at: Mapped[Moment | None]  # when that process began, by the clock that it keeps to ours
    seen_at: Mapped[Moment | None]  # last beat or delivery, by our clock: the lease counts from it
    protocol: Mapped[int | None] = mapped_column(SmallInteger)
    version: Mapped[str | None]  # of the program
    address: Mapped[str | None]
    clock_offset_ms: Mapped[int | None]  # our clock minus its machine's
    blind_since: Mapped[Moment | None]  # since when none of its canaries answers
    spooled_readings: Mapped[int | None]  # not delivered yet
    spool_oldest_at: Mapped[Moment | None]  # slot of the oldest of them
    figures: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    readings: Mapped[int] = mapped_column(BigInteger, server_default="0")  # acknowledged since it was created
    rejected_readings: Mapped[int] = mapped_column(BigInteger, server_default="0")
    last_rejection: Mapped[str | None]  # code
    last_rejected_at: Mapped[Moment | None]
    superseded: Mapped[int] = mapped_column(server_default="0")  # processes that another one with its token replaced
    superseded_at: Mapped[Moment | None]


class ProberReceipt(Base):
    """A block that was acknowledged: (prober, boot, seq) identifies it, and one delivered twice counts once."""

    __tablename__ = "prober_receipt"
    __table_args__ = (Index("ix_prober_receipt_received_at", "received_at", postgresql_using="brin"),)

    prober_id: Mapped[int] = mapped_column(ForeignKey("prober.id"), primary_key=True)
    boot: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    received_at: Mapped[Moment]
    checksum: Mapped[int] = mapped_column(BigInteger)  # of the readings as they arrived


class ProberInbox(Base):
    """Acknowledged blocks that no worker has judged yet."""

    __tablename__ = "prober_inbox"
    __table_args__ = (Index("ix_prober_inbox_order", "shard", "id", postgresql_where=text("refused_at IS NULL")),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    prober_id: Mapped[int | None] = mapped_column(ForeignKey("prober.id"))  # null: the leading worker's own
    vantage: Mapped[int] = mapped_column(SmallInteger)
    shard: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    received_at: Mapped[Moment]
    readings: Mapped[int]
    block: Mapped[bytes] = mapped_column(LargeBinary)  # `probes.reading_wire`, by zlib
    refused_at: Mapped[Moment | None]  # when it was set aside because it could not be judged


class ProberSite(Base):
    """Which prober looks at a site for a vantage. Without one: the built-in prober (vantage 0), or nobody yet.

    In vantage 0 a site that has no row is the built-in prober's, too. Only the leading worker writes here.
    """

    __tablename__ = "assignment"
    __table_args__ = (Index("ix_assignment_version", "version"), Index("ix_assignment_prober_id", "prober_id"))

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    vantage: Mapped[int] = mapped_column(SmallInteger, ForeignKey("vantage.number"), primary_key=True)
    prober_id: Mapped[int | None] = mapped_column(ForeignKey("prober.id"))
    since: Mapped[Moment]
    version: Mapped[int] = mapped_column(
        BigInteger
    )  # of the registry's counter: moves and changes of sites in one order
