from datetime import date, time
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Date,
    ForeignKey,
    Index,
    Numeric,
    SmallInteger,
    Text,
    cast,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, ExcludeConstraint
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship
from sqlalchemy.sql import func

from app.core.clock import today
from app.postgres.engine import Base, Moment
from app.profiles import Technology
from probes.contract import ProbeKind


class Level(StrEnum):
    """`provinsi`, `kabupaten_kota` (district or city), `kecamatan` (subdistrict), `desa_kelurahan` (village)."""

    PROVINSI = "provinsi"
    KABUPATEN_KOTA = "kabupaten_kota"
    KECAMATAN = "kecamatan"
    DESA_KELURAHAN = "desa_kelurahan"


class SiteKind(StrEnum):
    """`access_point`: serves a village; `node`: a tower, POP or gateway that sites hang on, never counted in a region's
    uptime.
    """

    ACCESS_POINT = "access_point"
    NODE = "node"


class Lifecycle(StrEnum):
    """`planned`: not measured yet; `active`: measured; `suspended`: not measured for now; `retired`: for good."""

    PLANNED = "planned"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    RETIRED = "retired"


class LinkRole(StrEnum):
    """`primary`, or `backup`: a second link of the same place."""

    PRIMARY = "primary"
    BACKUP = "backup"


class Venue(StrEnum):
    """`kantor_desa` (village office), `sekolah` (school), `puskesmas` (clinic), `balai` (community hall), `lainnya`
    (other).
    """

    KANTOR_DESA = "kantor_desa"
    SEKOLAH = "sekolah"
    PUSKESMAS = "puskesmas"
    BALAI = "balai"
    LAINNYA = "lainnya"


class PowerSource(StrEnum):
    """`pln` (the grid), `pln_limited` (the grid for part of the day), `genset`, `solar`, `none`."""

    PLN = "pln"
    PLN_LIMITED = "pln_limited"
    GENSET = "genset"
    SOLAR = "solar"
    NONE = "none"


class Presence(StrEnum):
    """`always`: the device at the site is to be on day and night, so its silence may be an outage; `sometimes`: it is
    switched off at times (an office's PC, a school), so its silence proves nothing.
    """

    ALWAYS = "always"
    SOMETIMES = "sometimes"


class Cause(StrEnum):
    """Why a site was down; contracts exclude some causes from downtime.

    `link`: the access link; `provider`: the provider's network; `power`: no electricity; `device`: broken equipment;
    `unplugged`; `billing`: an unpaid bill; `quota`: used up; `weather`; `vandalism`: or theft; `planned`: announced
    work; `monitoring`: our own; `unclassified`: nobody has said yet.
    """

    LINK = "link"
    PROVIDER = "provider"
    POWER = "power"
    DEVICE = "device"
    UNPLUGGED = "unplugged"
    BILLING = "billing"
    QUOTA = "quota"
    WEATHER = "weather"
    VANDALISM = "vandalism"
    PLANNED = "planned"
    MONITORING = "monitoring"
    UNCLASSIFIED = "unclassified"


class FeePer(StrEnum):
    """Whose a monthly fee is. `contract`: all its sites share it by their days; `site`: each has it."""

    CONTRACT = "contract"
    SITE = "site"


class Region(Base):
    __tablename__ = "region"

    code: Mapped[str] = mapped_column(primary_key=True)
    level: Mapped[Level]
    parent_code: Mapped[str | None] = mapped_column(ForeignKey("region.code"), index=True)
    name: Mapped[str]
    type: Mapped[str]
    latitude: Mapped[float]
    longitude: Mapped[float]
    valid_from: Mapped[date | None]
    valid_to: Mapped[date | None]  # exclusive

    @property
    def dissolved(self) -> bool:
        return self.valid_to is not None and self.valid_to <= today()


class RegionAlias(Base):
    """A former code of a region."""

    __tablename__ = "region_alias"

    code: Mapped[str] = mapped_column(primary_key=True)
    region_code: Mapped[str] = mapped_column(ForeignKey("region.code"))
    valid_to: Mapped[date | None]
    note: Mapped[str | None]


class Provider(Base):
    __tablename__ = "provider"

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    aliases: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))  # in spreadsheets
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())


class Contract(Base):
    __tablename__ = "contract"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(unique=True)
    provider_id: Mapped[int] = mapped_column(ForeignKey("provider.id"), index=True)
    valid_from: Mapped[date]
    valid_to: Mapped[date | None]  # exclusive
    version: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())

    provider: Mapped[Provider] = relationship(lazy="raise")
    terms: Mapped[list["ContractTerms"]] = relationship(lazy="raise", order_by="ContractTerms.started_on")


class ContractTerms(Base):
    """In force from `started_on` (a WITA day) until the next terms of the same contract."""

    __tablename__ = "contract_terms"

    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id"), primary_key=True)
    started_on: Mapped[date] = mapped_column(primary_key=True)
    sla_target_pct: Mapped[Decimal] = mapped_column(Numeric(6, 3))
    min_outage_s: Mapped[int]
    excluded_causes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    excuses_parent: Mapped[bool]
    degraded_counts: Mapped[bool] = mapped_column(server_default=text("false"))
    service_from: Mapped[time | None]  # WITA
    service_to: Mapped[time | None]
    bandwidth_down_mbps: Mapped[float | None]
    bandwidth_up_mbps: Mapped[float | None]
    monthly_fee_idr: Mapped[int | None] = mapped_column(BigInteger)
    fee_per: Mapped[FeePer] = mapped_column(server_default=FeePer.CONTRACT.value)
    restitution: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))  # a RestitutionRule
    min_coverage_pct: Mapped[Decimal | None] = mapped_column(Numeric(6, 3))
    recorded_at: Mapped[Moment] = mapped_column(server_default=func.now())
    recorded_by: Mapped[str | None]
    recorded_because: Mapped[str | None]  # the reason of the change


class SiteContract(Base):
    """A site under a contract, from a WITA day up to another; two at a time differ by role. Withdrawn: never was."""

    __tablename__ = "site_contract"
    __table_args__ = (
        ExcludeConstraint(
            ("site_id", "="),
            ("link_role", "="),
            (text("daterange(started_on, ended_on)"), "&&"),
            name="ex_site_contract_overlap",
            using="gist",
            where=text("withdrawn_at IS NULL"),
        ),
        Index("ix_site_contract_contract_id", "contract_id"),
        Index("ix_site_contract_site_id", "site_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id"))
    link_role: Mapped[LinkRole]
    started_on: Mapped[date]
    ended_on: Mapped[date | None]  # exclusive
    monthly_fee_idr: Mapped[int | None] = mapped_column(BigInteger)  # null: as the contract's terms say
    reason: Mapped[str | None]
    recorded_at: Mapped[Moment] = mapped_column(server_default=func.now())
    recorded_by: Mapped[str]
    changed_at: Mapped[Moment | None]
    changed_by: Mapped[str | None]
    withdrawn_at: Mapped[Moment | None]
    version: Mapped[int] = mapped_column(BigInteger)


TODAY = cast(func.timezone("Asia/Makassar", func.now()), Date)


def _of_contract_in_force(column: Any, site_id: Any) -> Any:
    """Map a column of the assignment that is in force today: the primary link's, without one the backup's."""
    row = SiteContract
    in_force = (
        select(column)
        .join(Contract, Contract.id == row.contract_id)
        .where(
            row.site_id == site_id,
            row.withdrawn_at.is_(None),
            func.daterange(row.started_on, row.ended_on).op("@>")(TODAY),
            func.daterange(Contract.valid_from, Contract.valid_to).op("@>")(TODAY),
        )
        .order_by(row.link_role.desc())
        .limit(1)
        .correlate_except(row, Contract)
    )
    return column_property(in_force.scalar_subquery(), deferred=True, raiseload=True, expire_on_flush=False)


def _vantages() -> Mapped[list[int]]:
    return mapped_column(ARRAY(SmallInteger), server_default=text("'{0}'"))


class Site(Base):
    __tablename__ = "site"
    __table_args__ = (
        Index(
            "uq_site_active_address",
            "probe",
            "host",
            text("(CASE WHEN probe = 'icmp' THEN 0 ELSE coalesce(port, 0) END)"),
            unique=True,
            postgresql_where=text("lifecycle = 'active' AND host IS NOT NULL AND probe <> 'push'"),
        ),
        Index("ix_site_village_code", "village_code", postgresql_ops={"village_code": "text_pattern_ops"}),
        Index("ix_site_code", "code", postgresql_ops={"code": "text_pattern_ops"}),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[SiteKind]
    village_code: Mapped[str] = mapped_column(ForeignKey("region.code"))
    name: Mapped[str]
    host: Mapped[str | None]
    host_static: Mapped[bool]
    technology: Mapped[Technology]
    provider_id: Mapped[int] = mapped_column(ForeignKey("provider.id"), index=True)
    service_no: Mapped[str | None]
    link_role: Mapped[LinkRole]
    venue: Mapped[Venue | None]
    location_note: Mapped[str | None]
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    ssid: Mapped[str | None]
    public_hours: Mapped[str | None]
    presence: Mapped[Presence] = mapped_column(server_default=Presence.ALWAYS.value)
    vantages: Mapped[list[int]] = _vantages()  # numbers of those that look at it, its primary first
    power_source: Mapped[PowerSource | None]
    power_hours: Mapped[str | None]
    bandwidth_down_mbps: Mapped[float | None]
    bandwidth_up_mbps: Mapped[float | None]
    probe: Mapped[ProbeKind]
    port: Mapped[int | None]
    url: Mapped[str | None]
    speed_url: Mapped[str | None]
    speed_budget_mb: Mapped[int | None]  # for a month; null: the technology profile's
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("site.id"), index=True)
    device_model: Mapped[str | None]
    contact_name: Mapped[str | None]
    contact_phone: Mapped[str | None]
    notes: Mapped[str | None]
    lifecycle: Mapped[Lifecycle]
    addressed_at: Mapped[Moment]
    version: Mapped[int] = mapped_column(BigInteger, index=True)
    created_at: Mapped[Moment]
    updated_at: Mapped[Moment]

    provider: Mapped[Provider] = relationship(lazy="raise")
    # The contract in force today, and since when: only loaded where a query asks for them (`undefer`).
    contract_id: Mapped[int | None] = _of_contract_in_force(SiteContract.contract_id, id)
    contract_from: Mapped[date | None] = _of_contract_in_force(SiteContract.started_on, id)

    @property
    def configuration(self) -> dict[str, Any]:
        """Return what judging and counting depend on; a change of it starts a new dated configuration."""
        return {name: getattr(self, name) for name in DATED_FIELDS}

    @property
    def address(self) -> tuple[object, ...]:
        """Return where the site is probed; after a change of it the site counts as never seen.

        What its probe does not use is no part of it: an agent pushes from wherever it is, a ping has no port.
        """
        return self.probe, *(getattr(self, name) for name in ADDRESS_FIELDS[self.probe])


ADDRESS_FIELDS = {
    ProbeKind.ICMP: ("host",),
    ProbeKind.TCP: ("host", "port"),
    ProbeKind.HTTP: ("host", "url"),
    ProbeKind.PUSH: (),
}
DATED_FIELDS = (
    "kind",
    "lifecycle",
    "technology",
    "provider_id",
    "parent_id",
    "probe",
    "addressed_at",
    "village_code",
    "speed_budget_mb",
    "presence",
    "public_hours",
    "vantages",
)


class SiteConfiguration(Base):
    """A site's dated configuration: each second is judged and counted by the one in force at the time."""

    __tablename__ = "site_configuration"
    __table_args__ = (
        ExcludeConstraint(
            ("site_id", "="),
            (text("tstzrange(started_at, ended_at)"), "&&"),
            name="ex_site_configuration_overlap",
            using="gist",
        ),
        Index(
            "ix_site_configuration_vantages", "site_id", postgresql_where=text("cardinality(vantages) > 1")
        ),  # the few that several look at
        Index(
            "ix_site_configuration_parent_id", "parent_id", postgresql_where=text("parent_id IS NOT NULL")
        ),  # of a node, the sites behind it at any time
    )

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    started_at: Mapped[Moment] = mapped_column(primary_key=True)
    ended_at: Mapped[Moment | None]
    kind: Mapped[SiteKind] = mapped_column(server_default=SiteKind.ACCESS_POINT.value)
    lifecycle: Mapped[Lifecycle]
    technology: Mapped[Technology]
    provider_id: Mapped[int] = mapped_column(ForeignKey("provider.id"))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("site.id"))
    probe: Mapped[ProbeKind] = mapped_column(server_default=ProbeKind.ICMP.value)
    addressed_at: Mapped[Moment]  # since when it has its present address
    village_code: Mapped[str] = mapped_column(ForeignKey("region.code"))
    speed_budget_mb: Mapped[int | None]
    presence: Mapped[Presence] = mapped_column(server_default=Presence.ALWAYS.value)
    public_hours: Mapped[str | None]
    vantages: Mapped[list[int]] = _vantages()
    version: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))  # the site's, when it began


class State(StrEnum):
    """`up`; `degraded`: it answers, but slowly or with losses; `down`; `unreachable`: the node that it depends on is
    down; `unknown`: no evidence (`unknown_reason`).
    """

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"


class UnknownReason(StrEnum):
    """`never_seen`: it never answered yet; `silent`: its device stopped reporting, which proves nothing; `blind`: we
    could not see; `stopped`: our service did not run; `claimed`: an outage that its device contests.
    """

    NEVER_SEEN = "never_seen"
    SILENT = "silent"
    BLIND = "blind"
    STOPPED = "stopped"
    CLAIMED = "claimed"  # an outage that its device contests: never stored, only counted and shown


class SiteStatus(Base):
    """A site's current status: created at registration, updated as readings are judged."""

    __tablename__ = "site_status"

    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[State]
    unknown_reason: Mapped[UnknownReason | None]
    since: Mapped[Moment]
    evidence_at: Mapped[Moment | None]  # slot of the last reading that supports the state
    valid_s: Mapped[int]
    seen_at: Mapped[Moment | None]  # slot of the last judged reading
    timeouts: Mapped[int] = mapped_column(SmallInteger)
    pending_at: Mapped[Moment | None]  # slot of the first timeout awaiting confirmation
    pending_behind: Mapped[bool] = mapped_column(
        server_default=text("false")
    )  # that timeout was behind a parent that is down
    pending_valid_s: Mapped[int] = mapped_column(server_default=text("0"))  # of that timeout
    last_ok_at: Mapped[Moment | None]
    commissioned_at: Mapped[Moment | None]  # first answer ever
    pooled: Mapped[list[Any]] = mapped_column(
        JSONB, server_default=text("'[]'")
    )  # the judge's window of recent readings, as of the last one that was not judged at once
    window_from: Mapped[Moment | None]  # slot of the present window's first reading
    addressed_at: Mapped[Moment]  # since when it has its present address
    rtt_us: Mapped[int | None]
    loss_pct: Mapped[float | None] = mapped_column(REAL)
    lost_from: Mapped[list[int]] = mapped_column(
        ARRAY(SmallInteger), server_default=text("'{}'")
    )  # vantages that lost the site at the last look, while others had an answer
    shard: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))  # who judges it: see judging.shards
