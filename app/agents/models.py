from datetime import date
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql import func

from app.postgres.engine import Base, Moment


class AgentKind(StrEnum):
    ROUTEROS = "routeros"
    OPENWRT = "openwrt"
    LINUX = "linux"
    WINDOWS = "windows"
    OWN = "own"  # of somebody's own making: it gets its token alone


class DeviceToken(Base):
    """What a site's agent proves itself with; only the digest of its secret is kept. Without a site: our own beat."""

    __tablename__ = "device_token"

    id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id"), index=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    kind: Mapped[AgentKind | None]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    created_by: Mapped[str]
    used_at: Mapped[Moment | None]  # when an agent first came with it; the tokens before it were good until then
    revoked_at: Mapped[Moment | None]
    revoked_by: Mapped[str | None]


class Enrolment(Base):
    """A code that a technician types at the site; only its digest is kept."""

    __tablename__ = "enrolment"

    id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), index=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    created_by: Mapped[str]
    expires_at: Mapped[Moment]
    used_at: Mapped[Moment | None]  # when the script was first fetched
    fetches: Mapped[int] = mapped_column(server_default="0")
    withdrawn_at: Mapped[Moment | None]
    device_token_id: Mapped[int | None] = mapped_column(ForeignKey("device_token.id"))  # of the script fetched last


class Device(Base):
    """What is known of a site's agent from its last push: one narrow row each, made with the first one."""

    __tablename__ = "device"

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    heard_at: Mapped[Moment]  # when the last push came
    boot: Mapped[str | None]  # null while it has said none that can be read
    booted_at: Mapped[Moment | None]  # by its uptime
    seq: Mapped[int | None] = mapped_column(BigInteger)
    agent: Mapped[str | None]  # what it says it is, for example "openwrt/1"
    clients: Mapped[int | None]
    clock_offset_s: Mapped[float | None]  # our clock less its own
    waiting: Mapped[int | None]  # readings that it still keeps
    measures: Mapped[bool | None]  # false: its last row says that nothing could be sent, its ping cannot run
    dropped: Mapped[int | None]  # readings that it had no room to keep, since its boot
    accepted: Mapped[int] = mapped_column(BigInteger)
    duplicates: Mapped[int] = mapped_column(BigInteger)
    rejected: Mapped[int] = mapped_column(BigInteger)
    last_rejection: Mapped[str | None]  # its code
    last_rejected_at: Mapped[Moment | None]
    two_agents_at: Mapped[Moment | None]  # when last a push came of a boot that another had followed already
    token_id: Mapped[int | None] = mapped_column(ForeignKey("device_token.id"))  # that its last push came with


class PushTraffic(Base):
    """What a site's pushes came to in a month (WITA), as it is metered: bodies, headers and handshakes."""

    __tablename__ = "push_traffic"

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    month: Mapped[date] = mapped_column(primary_key=True)  # its first day
    requests: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)
