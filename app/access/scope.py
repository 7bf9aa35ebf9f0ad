"""Who is asking, and how far they reach: the one place that decides it."""

from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ColumnElement, true

from app.access.models import PROVINCIAL, WRITERS, Role, Source
from app.errors import NotAllowed


class Placed(Protocol):
    """Anything that lies in a village and belongs to a provider: a row or its table."""

    village_code: Any
    provider_id: Any


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
        return code == self.region_code or code.startswith(self.region_code + ".")

    def sees(self, village_code: str, provider_id: int) -> bool:
        return self.covers(village_code) and self.provider_id in {None, provider_id}


def visible_to(caller: Caller, table: type[Placed]) -> ColumnElement[bool]:
    """The one filter that keeps rows of others out of every answer."""
    within: ColumnElement[bool] = in_region(table.village_code, caller.region_code)
    if caller.provider_id is not None:
        within = within & (table.provider_id == caller.provider_id)
    return within


def in_region(village_code: Any, code: str) -> ColumnElement[bool]:
    if code == "64":
        return true()
    return (village_code == code) | village_code.startswith(code + ".", autoescape=True)  # type: ignore[no-any-return]


def require_writer(caller: Caller, village_code: str) -> None:
    """Raises NotAllowed: the role only reads, or the village lies outside the caller's region."""
    if not caller.writes:
        raise NotAllowed(f"Role {caller.role.value} only reads")
    require_region(caller, village_code)


def require_region(caller: Caller, code: str) -> None:
    if not caller.covers(code):
        raise NotAllowed(f"Region {code} lies outside your region {caller.region_code}")


def check_grant(role: Role, region_code: str) -> str | None:
    """Why a role cannot be given for a region, or None."""
    if role in PROVINCIAL and region_code != "64":
        return f"role {role.value} is for the whole province (region 64)"
    if role in {Role.DISTRICT_ADMIN, Role.DISTRICT_OPERATOR} and len(region_code) < 5:
        return f"role {role.value} needs a district, for example --region 64.02"
    return None
