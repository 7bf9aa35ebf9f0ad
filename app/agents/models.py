from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql import func

from app.postgres.engine import Base, Moment


class AgentKind(StrEnum):
    """A device's platform: `routeros`, `openwrt`, `linux`, `windows`; `own`: your own program, with a token alone."""

    ROUTEROS = "routeros"
    OPENWRT = "openwrt"
    LINUX = "linux"
    WINDOWS = "windows"
    OWN = "own"


class DeviceToken(Base):
    """Credential of a site's agent; only the digest of its secret is stored. No site: the worker's ingest heartbeat."""

    __tablename__ = "device_token"

    id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id"), index=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    kind: Mapped[AgentKind | None]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    created_by: Mapped[str]
    used_at: Mapped[Moment | None]  # when an agent first used it, which revoked the tokens before it
    revoked_at: Mapped[Moment | None]
    revoked_by: Mapped[str | None]


class Enrolment(Base):
    """A code that a technician types at the site; only its digest is stored."""

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
    device_token_id: Mapped[int | None] = mapped_column(ForeignKey("device_token.id"))  # of the last script fetched


class Device(Base):
    """What the pushes of a site's agent reported: one narrow row per site, inserted with the first push."""

    __tablename__ = "device"

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    heard_at: Mapped[Moment]  # when the last push was received
    told_s: Mapped[int]  # the interval that its answer told the device
    boot: Mapped[str | None]  # null while no push had a valid one
    booted_at: Mapped[Moment | None]  # by its uptime
    seq: Mapped[int | None] = mapped_column(BigInteger)
    agent: Mapped[str | None]  # name and version, for example "openwrt/1"
    clients: Mapped[int | None]
    clock_offset_s: Mapped[float | None]  # our clock minus its own
    waiting: Mapped[int | None]  # readings still stored on the device
    measures: Mapped[bool | None]  # false: in its last row `sent` is 0, its ping cannot run
    dropped: Mapped[int | None]  # readings discarded for lack of room since its boot
    accepted: Mapped[int] = mapped_column(BigInteger)
    duplicates: Mapped[int] = mapped_column(BigInteger)
    rejected: Mapped[int] = mapped_column(BigInteger)
    last_rejection: Mapped[str | None]  # rejection code
    last_rejected_at: Mapped[Moment | None]
    two_agents_at: Mapped[Moment | None]  # when a boot last sent that another boot had replaced
    unheard_boot_at: Mapped[Moment | None]  # when a boot never heard of before last claimed a time before its arrival
    near_at: Mapped[Moment | None]  # slot of its newest look at what lies near, by its own account (near_look)
    lan: Mapped[bool | None]  # what that look saw; null: not asked
    terminal: Mapped[bool | None]
    carrier: Mapped[bool | None]
    rx_bps: Mapped[int | None] = mapped_column(BigInteger)  # of the interface of its default route, between two pushes
    tx_bps: Mapped[int | None] = mapped_column(BigInteger)
    rates_at: Mapped[Moment | None]  # when it last reported these
    address: Mapped[str | None]  # that the last push came from; kept as long as raw readings
    address_at: Mapped[Moment | None]  # when it was last written to `push_source`
    network_changed_at: Mapped[Moment | None]  # when a push last came from a network that none had come from before
    two_networks_at: Mapped[Moment | None]  # when pushes last alternated between two networks within an hour
    token_id: Mapped[int | None] = mapped_column(ForeignKey("device_token.id"))  # used by its last push


class PushSource(Base):
    """An address that pushes of a site came from, for the province alone; kept as long as raw readings."""

    __tablename__ = "push_source"
    __table_args__ = (  # by the network of a visitor (app/visitors)
        Index(
            "ix_push_source_network",
            text("network(set_masklen(address::inet, CASE WHEN address LIKE '%:%' THEN 48 ELSE 24 END))"),
        ),
    )

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    address: Mapped[str] = mapped_column(primary_key=True)
    first_at: Mapped[Moment]
    last_at: Mapped[Moment]  # written when the address changes, and hourly
