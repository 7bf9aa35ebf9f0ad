"""Who is asking, and how far they reach: the one place that decides it."""

from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ColumnElement, true

from app.access.models import PROVINCIAL, WRITERS, Role, Source
from app.access.rights import rights_of
from app.core.errors import Fault, NotAllowed

PROVINCE = "64"


class ScopedRow(Protocol):
    """Anything that lies in a village and belongs to a provider: a row or its table."""

    village_code: Any
    provider_id: Any


class Holder(Protocol):
    """Anyone or anything that holds a role for a region: a caller, an account, a token, or what one is to become."""

    @property
    def role(self) -> Role: ...
    @property
    def region_code(self) -> str: ...
    @property
    def provider_id(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Grant:
    """A role for a region, as it is about to be given."""

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

    @property
    def who(self) -> str:
        """Whom an act is put down to: the person, by whichever token. There is no space in a username, so nothing
        else passes for one: not the name that somebody gave to a token."""
        return self.username or (self.name if self.token_id is None else f"token {self.name}")

    @property
    def key(self) -> str:
        """Who it is, whatever the name."""
        return f"token:{self.token_id}" if self.token_id is not None else f"account:{self.account_id}"

    @property
    def writes(self) -> bool:
        return self.role in WRITERS

    @property
    def sees_contacts(self) -> bool:
        return self.role in WRITERS

    def covers(self, code: str) -> bool:
        return covers(self.region_code, code)

    def sees(self, village_code: str, provider_id: int) -> bool:
        return self.covers(village_code) and self.provider_id in {None, provider_id}


def covers(region_code: str, code: str) -> bool:
    return code == region_code or code.startswith(region_code + ".")


def visible_to(caller: Caller, table: type[ScopedRow]) -> ColumnElement[bool]:
    """The one filter that keeps rows of others out of every answer."""
    within: ColumnElement[bool] = in_region(table.village_code, caller.region_code)
    if caller.provider_id is not None:
        within = within & (table.provider_id == caller.provider_id)
    return within


def in_region(village_code: Any, code: str) -> ColumnElement[bool]:
    if code == PROVINCE:
        return true()
    return (village_code == code) | village_code.startswith(code + ".", autoescape=True)  # type: ignore[no-any-return]


def require_writer(caller: Caller, village_code: str) -> None:
    """Raises NotAllowed: the role only reads, or the village lies outside the caller's region."""
    if not caller.writes:
        raise NotAllowed("Role {role} only reads", values={"role": caller.role.value})
    require_region(caller, village_code)


def require_region(caller: Caller, code: str) -> None:
    if not caller.covers(code):
        raise NotAllowed(
            "Region {given} lies outside your region {own}", values={"given": code, "own": caller.region_code}
        )


def exceeds(holder: Holder, given: Holder) -> bool:
    """The one rule of giving: no right, region or provider beyond one's own."""
    return not (
        rights_of(given.role) <= rights_of(holder.role)
        and covers(holder.region_code, given.region_code)
        and holder.provider_id in {None, given.provider_id}
    )


def check_grant(given: Holder) -> list[Fault]:
    """What makes no sense of a role, its region and its provider, whoever gives it."""
    faults = []
    values = {"role": given.role.value}
    if given.role in PROVINCIAL and given.region_code != PROVINCE:
        faults.append(
            Fault(
                "region_code",
                "province_role",
                "Role {role} is for the whole province",
                "Give region 64, or one of the district roles",
                values=values,
            )
        )
    if given.role in {Role.DISTRICT_ADMIN, Role.DISTRICT_OPERATOR} and given.region_code == PROVINCE:
        faults.append(
            Fault(
                "region_code",
                "district_role",
                "Role {role} needs a district",
                "Give its code, for example 64.02",
                values=values,
            )
        )
    if given.role is Role.PROVIDER_VIEWER and given.provider_id is None:
        faults.append(
            Fault("provider", "missing", "Role {role} needs a provider", "Give the provider's slug", values=values)
        )
    if given.role is not Role.PROVIDER_VIEWER and given.provider_id is not None:
        faults.append(
            Fault("provider", "no_provider", "A provider goes with role provider_viewer only", "Set it to null")
        )
    return faults
