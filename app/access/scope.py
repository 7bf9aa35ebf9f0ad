"""Callers and their scope: the region, and for provider viewers the provider, that limit what they see and change."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ColumnElement, or_, true

from app.access.models import PROVINCIAL, WRITERS, Role, Source
from app.access.rights import rights_of
from app.core.errors import Fault, NotAllowed

PROVINCE = "64"


class ScopedRow(Protocol):
    """A row, or its table, with a village and a provider."""

    village_code: Any
    provider_id: Any


class Holder(Protocol):
    """Whatever holds a role for a region: a caller, an account, a token, a grant."""

    @property
    def role(self) -> Role: ...
    @property
    def region_code(self) -> str: ...
    @property
    def provider_id(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Grant:
    """A role for a region that is about to be granted to an account or a token."""

    role: Role
    region_code: str
    provider_id: int | None


@dataclass(frozen=True, slots=True)
class Caller:
    token_id: int | None
    name: str
    role: Role
    region_code: str
    provider_id: int | None = None
    account_id: int | None = None
    source: Source = Source.API
    address: str | None = None
    must_change_password: bool = False
    username: str | None = None  # of the account, or of the token's owner
    full_name: str | None = None  # of the account that signed in

    @property
    def who(self) -> str:
        """The actor in the audit log: the username, whichever token was used, else `token <name>`.

        Usernames hold no space, so a token's name cannot pass for one.
        """
        return self.username or (self.name if self.token_id is None else f"token {self.name}")

    @property
    def key(self) -> str:
        """Identifies the token or account, independent of its name."""
        return f"token:{self.token_id}" if self.token_id is not None else f"account:{self.account_id}"

    @property
    def limit_key(self) -> str:
        """What its limits count for: its account, whichever of its tokens and sessions is used; else its token."""
        return self.key if self.account_id is None else f"account:{self.account_id}"

    @property
    def writes(self) -> bool:
        return self.role in WRITERS

    @property
    def sees_contacts(self) -> bool:
        return self.role in WRITERS

    @property
    def sees_addresses(self) -> bool:
        """Where pushes came from, and which canaries we beat, is for the province's own officers alone."""
        return self.role in PROVINCIAL and self.region_code == PROVINCE

    def covers(self, code: str) -> bool:
        return covers(self.region_code, code)

    def sees(self, village_code: str, provider_id: int) -> bool:
        return self.covers(village_code) and self.provider_id in {None, provider_id}


def covers(region_code: str, code: str) -> bool:
    return code == region_code or code.startswith(region_code + ".")


def visible_to(caller: Caller, table: type[ScopedRow]) -> ColumnElement[bool]:
    """The filter that keeps rows outside the caller's scope out of every response."""
    within: ColumnElement[bool] = in_region(table.village_code, caller.region_code)
    if caller.provider_id is not None:
        within = within & (table.provider_id == caller.provider_id)
    return within


def in_region(village_code: Any, code: str) -> ColumnElement[bool]:
    if code == PROVINCE:
        return true()
    return (village_code == code) | village_code.startswith(code + ".", autoescape=True)  # type: ignore[no-any-return]


def in_regions(caller: Caller, village_code: Any, codes: Sequence[str]) -> ColumnElement[bool]:
    """Return the filter by any of these regions. Raises NotAllowed for one outside the caller's."""
    for code in codes:
        require_region(caller, code)
    return or_(*(in_region(village_code, code) for code in codes))


def require_writer(caller: Caller, village_code: str) -> None:
    """Raises NotAllowed for a role that only reads, and for a village outside the caller's region."""
    if not caller.writes:
        raise NotAllowed("Role {role} only reads", values={"role": caller.role.value})
    require_region(caller, village_code)


def require_region(caller: Caller, code: str) -> None:
    if not caller.covers(code):
        raise NotAllowed(
            "Region {given} lies outside your region {own}", values={"given": code, "own": caller.region_code}
        )


def exceeds(holder: Holder, grant: Holder) -> bool:
    """Whether a grant has a right, region or provider that its holder lacks."""
    return not (
        rights_of(grant.role) <= rights_of(holder.role)
        and covers(holder.region_code, grant.region_code)
        and holder.provider_id in {None, grant.provider_id}
    )


def check_grant(grant: Holder) -> list[Fault]:
    """Faults of a role, its region and its provider that do not go together, whoever grants them."""
    faults = []
    values = {"role": grant.role.value}
    if grant.role in PROVINCIAL and grant.region_code != PROVINCE:
        faults.append(
            Fault(
                "region_code",
                "province_role",
                "Role {role} needs the whole province",
                "Give region 64, or one of the district roles",
                values=values,
            )
        )
    if grant.role in {Role.DISTRICT_ADMIN, Role.DISTRICT_OPERATOR} and grant.region_code == PROVINCE:
        faults.append(
            Fault(
                "region_code",
                "district_role",
                "Role {role} needs a district",
                "Give its code, for example 64.02",
                values=values,
            )
        )
    if grant.role is Role.PROVIDER_VIEWER and grant.provider_id is None:
        faults.append(
            Fault("provider", "missing", "Role {role} needs a provider", "Give the provider's slug", values=values)
        )
    if grant.role is not Role.PROVIDER_VIEWER and grant.provider_id is not None:
        faults.append(Fault("provider", "no_provider", "Only role provider_viewer has a provider", "Set it to null"))
    return faults
