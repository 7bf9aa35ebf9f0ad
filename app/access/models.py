from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql import func

from app.database import Base, Moment


class Role(StrEnum):
    PROVINCE_ADMIN = "province_admin"
    PROVINCE_OPERATOR = "province_operator"
    DISTRICT_ADMIN = "district_admin"
    DISTRICT_OPERATOR = "district_operator"
    VIEWER = "viewer"
    PROVIDER_VIEWER = "provider_viewer"


WRITERS = frozenset({Role.PROVINCE_ADMIN, Role.PROVINCE_OPERATOR, Role.DISTRICT_ADMIN, Role.DISTRICT_OPERATOR})
ADMINS = frozenset({Role.PROVINCE_ADMIN, Role.DISTRICT_ADMIN})
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


class Audit(Base):
    """Who changed what, and why: append-only, the database refuses anything else."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at: Mapped[Moment] = mapped_column(server_default=func.now(), index=True)
    token_id: Mapped[int | None]
    actor: Mapped[str]
    action: Mapped[str]
    object: Mapped[str]
    object_id: Mapped[str]
    region_code: Mapped[str | None]  # null: a matter of the province
    reason: Mapped[str | None]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
