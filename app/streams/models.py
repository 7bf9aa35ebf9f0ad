from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.postgres.engine import Base, Moment
from app.streams.break_bounds import Excuse, SeenBy


class StreamSpan(Base):
    """A stretch in which a device's lines came as they were due. Kept as long as raw readings."""

    __tablename__ = "stream_span"

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    started_at: Mapped[Moment] = mapped_column(primary_key=True)
    ended_at: Mapped[Moment]  # when its last line came; not indexed, so that an update touches no index
    beat_s: Mapped[int]  # something crossed the link at least so often


class StreamBreak(Base):
    """One witness's account of a break; what server and device saw of the same one is merged when it is read."""

    __tablename__ = "stream_break"
    __table_args__ = (
        UniqueConstraint("site_id", "boot", "seq", name="uq_stream_break_site_id_boot_seq"),
        Index("ix_stream_break_site_id_ended_before", "site_id", "ended_before"),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    seen_by: Mapped[SeenBy]
    started_after: Mapped[Moment]
    started_before: Mapped[Moment]
    ended_after: Mapped[Moment]
    ended_before: Mapped[Moment]
    heard_at: Mapped[Moment]  # when the service learned of it
    excuse: Mapped[Excuse | None]
    boot: Mapped[str | None]  # with `seq` the identity of what a device reported
    seq: Mapped[int | None] = mapped_column(BigInteger)
