from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, text
from sqlalchemy.dialects.postgresql import INT8MULTIRANGE
from sqlalchemy.orm import Mapped, mapped_column

from app.postgres.engine import Base, Moment


class PushReceipt(Base):
    """Which rows of a boot were received: (site, boot, seq) identifies a row, and a row sent twice counts once."""

    __tablename__ = "push_receipt"

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    boot: Mapped[str] = mapped_column(primary_key=True)
    seen: Mapped[Any] = mapped_column(INT8MULTIRANGE)  # received sequence numbers
    booted_at: Mapped[Moment | None]  # by its uptime
    first_at: Mapped[Moment]
    last_at: Mapped[Moment]  # not indexed, so that an update touches no index


class PushInbox(Base):
    """Acknowledged pushes that the worker has not processed yet. Without a site: the worker's ingest heartbeat."""

    __tablename__ = "push_inbox"
    __table_args__ = (Index("ix_push_inbox_order", "is_backlog", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id"))
    received_at: Mapped[Moment]
    rows: Mapped[bytes] = mapped_column(LargeBinary)  # JSON, see app/push/inbox.py
    address: Mapped[str | None]  # that the push came from
    boot: Mapped[str | None]
    is_backlog: Mapped[bool] = mapped_column(server_default=text("false"))  # of a time in which nobody heard the device
    refused_at: Mapped[Moment | None]  # when it was set aside because it could not be processed
