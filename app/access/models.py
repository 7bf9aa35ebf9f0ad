from enum import StrEnum

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, Moment


class Role(StrEnum):
    PROVINCE_ADMIN = "province_admin"
    PROVINCE_OPERATOR = "province_operator"
    DISTRICT_ADMIN = "district_admin"
    DISTRICT_OPERATOR = "district_operator"
    VIEWER = "viewer"
    PROVIDER_VIEWER = "provider_viewer"


WRITERS = frozenset({Role.PROVINCE_ADMIN, Role.PROVINCE_OPERATOR, Role.DISTRICT_ADMIN, Role.DISTRICT_OPERATOR})
PROVINCIAL = frozenset({Role.PROVINCE_ADMIN, Role.PROVINCE_OPERATOR})


class Token(Base):
    """An API token; only the digest of its secret is kept."""

    __tablename__ = "token"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    digest: Mapped[bytes] = mapped_column(unique=True)
    role: Mapped[Role]
    region_code: Mapped[str] = mapped_column(ForeignKey("region.code"))
    provider_id: Mapped[int | None] = mapped_column(ForeignKey("provider.id"))
    created_at: Mapped[Moment]
    expires_at: Mapped[Moment | None]
    revoked_at: Mapped[Moment | None]
    last_used_at: Mapped[Moment | None]
