from typing import Any

from sqlalchemy import BigInteger, ForeignKey, LargeBinary
from sqlalchemy.dialects.postgresql import INT8MULTIRANGE
from sqlalchemy.orm import Mapped, mapped_column

from app.postgres.engine import Base, Moment


class PushReceipt(Base):
    """Which rows of a boot came: (site, boot, seq) is a row's identity, and twice sent is once counted."""

    __tablename__ = "push_receipt"

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    boot: Mapped[str] = mapped_column(primary_key=True)
    seen: Mapped[Any] = mapped_column(INT8MULTIRANGE)  # the seqs
    booted_at: Mapped[Moment | None]  # by its uptime
    first_at: Mapped[Moment]
    last_at: Mapped[Moment]  # without an index: an update then touches none


class PushInbox(Base):
    """What came and was acknowledged, until the worker takes it in. Without a site: our own beat."""

    __tablename__ = "push_inbox"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id"))
    received_at: Mapped[Moment]
    rows: Mapped[bytes] = mapped_column(LargeBinary)  # JSON, see app/push/inbox.py
    refused_at: Mapped[Moment | None]  # it could not be taken in, and waits aside
