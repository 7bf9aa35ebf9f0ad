from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from app.postgres.engine import Base, Moment


class KeptUpload(Base):
    """A file that was tried and waits for its confirmation: one an account, for an hour (`kept_uploads`)."""

    __tablename__ = "kept_upload"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)  # what a crash loses is chosen again

    owner: Mapped[str] = mapped_column(primary_key=True)  # `Caller.limit_key`
    id: Mapped[str]
    name: Mapped[str]
    digest: Mapped[str]
    content: Mapped[bytes]
    kept_at: Mapped[Moment] = mapped_column(server_default=func.now())
