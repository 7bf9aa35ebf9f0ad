from datetime import date
from typing import Any

from sqlalchemy import ForeignKeyConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.postgres.engine import Base, Moment


class OpenDataEdition(Base):
    """A version of a month's datasets: never changed once it is there, but for when it was last compared."""

    __tablename__ = "open_data_edition"

    month: Mapped[date] = mapped_column(primary_key=True)  # its first day
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    published_at: Mapped[Moment]
    sha256: Mapped[str]  # of the datasets' files: `DataFiles.sha256`
    reason: Mapped[str | None]  # why there is another version; null for the first one
    terms: Mapped[dict[str, Any]] = mapped_column(JSONB)  # what was published then, by whom, under which licence
    checked_at: Mapped[Moment]  # when the figures were last compared with it


class OpenDataFile(Base):
    """A file of an edition, as it was published."""

    __tablename__ = "open_data_file"
    __table_args__ = (
        ForeignKeyConstraint(["month", "version"], ["open_data_edition.month", "open_data_edition.version"]),
    )

    month: Mapped[date] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str]
    size: Mapped[int]  # bytes
    body: Mapped[bytes]
