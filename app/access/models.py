from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, column_property, mapped_column
from sqlalchemy.sql import func

from app.postgres.engine import Base, Moment


class Role(StrEnum):
    """`province_admin`, `province_operator`; `district_admin`, `district_operator`: within their district; `viewer`:
    reads; `provider_viewer`: reads its provider's own sites. Admins also manage accounts and tokens.
    """

    PROVINCE_ADMIN = "province_admin"
    PROVINCE_OPERATOR = "province_operator"
    DISTRICT_ADMIN = "district_admin"
    DISTRICT_OPERATOR = "district_operator"
    VIEWER = "viewer"
    PROVIDER_VIEWER = "provider_viewer"


WRITERS = frozenset({Role.PROVINCE_ADMIN, Role.PROVINCE_OPERATOR, Role.DISTRICT_ADMIN, Role.DISTRICT_OPERATOR})
ADMINS = frozenset({Role.PROVINCE_ADMIN, Role.DISTRICT_ADMIN})
PROVINCIAL = frozenset({Role.PROVINCE_ADMIN, Role.PROVINCE_OPERATOR})


class Source(StrEnum):
    """Where a change came from: `api`; `cli`: the command line; `import`: a spreadsheet."""

    API = "api"
    CLI = "cli"
    IMPORT = "import"


class Audited(StrEnum):
    """The kind of object that an audit entry is about: `account`, `token`, `provider`, `contract`, `site_contract` (a
    site's days under a contract), `site`, `file` (an import), `contacts` (their export), `maintenance`, `incident`,
    `channel` and `rule` (of alerts), `sample` (sites drawn for the published method), `review` (a decision of one),
    `report` (a berita acara), `certificate` (of a line's 24 hours), `telemetry_account` (of a provider), `vantage`
    (that sites are looked at from), `prober` (of one).
    """

    ACCOUNT = "account"
    TOKEN = "token"  # noqa: S105  # no secret
    PROVIDER = "provider"
    CONTRACT = "contract"
    SITE_CONTRACT = "site_contract"
    SITE = "site"
    FILE = "file"
    CONTACTS = "contacts"
    MAINTENANCE = "maintenance"
    INCIDENT = "incident"
    CHANNEL = "channel"
    RULE = "rule"
    SAMPLE = "sample"
    REVIEW = "review"
    REPORT = "report"
    CERTIFICATE = "certificate"
    TELEMETRY_ACCOUNT = "telemetry_account"
    VANTAGE = "vantage"
    PROBER = "prober"


class Account(Base):
    """A person, who signs in with a password and owns tokens."""

    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)  # in lower case
    name: Mapped[str]
    password_hash: Mapped[str]
    role: Mapped[Role]
    region_code: Mapped[str] = mapped_column(ForeignKey("region.code"))
    provider_id: Mapped[int | None] = mapped_column(ForeignKey("provider.id"))
    must_change_password: Mapped[bool]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    password_changed_at: Mapped[Moment] = mapped_column(server_default=func.now())
    last_signed_in_at: Mapped[Moment | None]
    disabled_at: Mapped[Moment | None]
    version: Mapped[int] = mapped_column(BigInteger)


class SavedView(Base):
    """A filter of the list of sites with a name, of an account or of a token without one (`Caller.limit_key`)."""

    __tablename__ = "saved_view"
    __table_args__ = (UniqueConstraint("owner", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]
    name: Mapped[str]
    query: Mapped[str]


class SignIn(Base):
    """A console session; only the digest of its cookie is stored."""

    __tablename__ = "sign_in"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    address: Mapped[str | None]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    seen_at: Mapped[Moment] = mapped_column(server_default=func.now())
    expires_at: Mapped[Moment]
    ended_at: Mapped[Moment | None]


class SignInFailure(Base):
    """Recent failed sign-ins by subject (`login_throttle.FailureLimit`)."""

    __tablename__ = "sign_in_failure"

    subject: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    last_at: Mapped[Moment]


class Token(Base):
    """An API token; only the digest of its secret is stored. One without an account was created on the command line."""

    __tablename__ = "token"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    digest: Mapped[bytes] = mapped_column(unique=True)
    role: Mapped[Role]
    region_code: Mapped[str] = mapped_column(ForeignKey("region.code"))
    provider_id: Mapped[int | None] = mapped_column(ForeignKey("provider.id"))
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"), index=True)
    created_at: Mapped[Moment]
    created_by: Mapped[str | None]
    expires_at: Mapped[Moment | None]
    revoked_at: Mapped[Moment | None]
    revoked_by: Mapped[str | None]
    last_used_at: Mapped[Moment | None]


class CredentialKind(StrEnum):
    TOKEN = "token"  # noqa: S105  # a kind, no secret
    SESSION = "session"


class StreamTicket(Base):
    """Opens one stream within a minute; `credential` is the digest of the token or session that requested it."""

    __tablename__ = "stream_ticket"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    kind: Mapped[CredentialKind]
    credential: Mapped[bytes]
    expires_at: Mapped[Moment]


class Audit(Base):
    """An entry of the audit log; a trigger refuses updates and deletes."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_object", "object", "object_id"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at: Mapped[Moment] = mapped_column(server_default=func.now(), index=True)
    account_id: Mapped[int | None]
    token_id: Mapped[int | None] = mapped_column()
    token_name: Mapped[str | None] = column_property(
        select(Token.name).where(Token.id == token_id).scalar_subquery()  # tokens are never deleted
    )
    source: Mapped[Source] = mapped_column(server_default=Source.API.value)
    address: Mapped[str | None]  # the client's
    actor: Mapped[str]  # `Caller.who`
    action: Mapped[str]
    object: Mapped[str]  # an `Audited`
    object_id: Mapped[str]
    region_code: Mapped[str | None]  # null: a matter of the province
    reason: Mapped[str | None]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
