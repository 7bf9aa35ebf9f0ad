"""What every route shares: the transaction, the policy, pages."""

import base64
import binascii
import difflib
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Header, Path, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.rights import HOLDERS, REFUSALS, Right
from app.access.scope import Caller
from app.core.errors import Fault, Invalid, NewPasswordNeeded, NotAllowed, NotFound
from app.core.validation import MESSAGES
from app.postgres.engine import transaction
from app.web.auth import signed_in

MAX_LIMIT = 1000

T = TypeVar("T")


async def open_session(request: Request) -> AsyncIterator[AsyncSession]:
    async with transaction(request.app.state.sessions) as session:
        yield session


Session = Annotated[AsyncSession, Depends(open_session, scope="function")]


def _query_names(dependant: Dependant) -> list[str]:
    own = [parameter.alias for parameter in dependant.query_params]
    return own + [name for below in dependant.dependencies for name in _query_names(below)]


def check_parameters(request: Request) -> None:
    """Raises Invalid for a parameter that does not exist, comes twice, or holds a NUL (PostgreSQL knows none)."""
    route = request.scope.get("route")
    known = _query_names(route.dependant) if isinstance(route, APIRoute) else []
    faults = []
    for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
        near = difflib.get_close_matches(name, known, 1)
        if name not in known:
            faults.append(
                Fault(
                    name,
                    "unknown_parameter",
                    "There is no parameter {given}",
                    "Did you mean {near}?" if near else "Parameters here: {known}",
                    values={"given": name[:40], "near": near and near[0], "known": ", ".join(known)},
                )
            )
        elif times > 1:
            faults.append(Fault(name, "repeated", "This parameter is given more than once", "Give it once"))
    for name, value in (*request.path_params.items(), *request.query_params.items()):
        if "\0" in value:
            faults.append(Fault(name, "nul", MESSAGES["nul"], "Take it out"))
    if faults:
        raise Invalid(*faults)


class Allowed:
    """A route's policy: who may call it at all. How far a caller reaches is for the stores to say."""

    def __init__(self, right: Right, *, with_initial_password: bool = False) -> None:
        self.right = right
        self.with_initial_password = with_initial_password

    async def __call__(self, caller: Annotated[Caller, Depends(signed_in)]) -> Caller:
        """Raises NotAllowed; NewPasswordNeeded while the caller's password is one that somebody else knows."""
        if caller.must_change_password and not self.with_initial_password:
            raise NewPasswordNeeded
        if caller.role not in HOLDERS[self.right]:
            raise NotAllowed(REFUSALS[self.right], values={"role": caller.role.value})
        return caller


def open_to_all() -> None:
    """The policy of a route that needs no caller."""


Reader = Annotated[Caller, Depends(Allowed(Right.READ))]
Writer = Annotated[Caller, Depends(Allowed(Right.WRITE))]
Provincial = Annotated[Caller, Depends(Allowed(Right.PROVINCE))]
Admin = Annotated[Caller, Depends(Allowed(Right.ADMINISTER))]
SignedIn = Annotated[Caller, Depends(Allowed(Right.READ, with_initial_password=True))]  # about the caller's own sign-in
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="how many items a page holds")]
IfMatch = Annotated[str | None, Header(description="the `version` that you saw")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before")]


class Page(BaseModel, Generic[T]):
    items: list[T]
    next_cursor: str | None = Field(None, description="null at the end")


def next_page(rows: Sequence[T], limit: int, key: str) -> dict[str, Any]:
    """A page out of limit + 1 rows; the cursor holds the last row's key."""
    more = len(rows) > limit
    items = rows[:limit]
    return {"items": items, "next_cursor": write_cursor(getattr(items[-1], key)) if more else None}


def write_cursor(key: object) -> str:
    return base64.urlsafe_b64encode(str(key).encode()).decode().rstrip("=")


def read_cursor(cursor: str | None, *, kind: Callable[[str], Any] = str) -> Any:
    if cursor is None:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        if "\0" in text:
            raise ValueError
        return kind(text)
    except (binascii.Error, ValueError, OverflowError):
        raise Invalid(
            Fault("cursor", "bad_cursor", "This cursor is not one of ours", "Start again without it")
        ) from None


def row_id(text: str) -> int:
    """For a cursor over ids, or an id in a path. Raises ValueError."""
    found = int(text)
    if not 0 < found < 2**31:
        raise ValueError(text)
    return found


def path_id(id: Annotated[str, Path(description="an integer", examples=["7"])]) -> int:
    """What no row can have for its id is not there: 404, like any other that is unknown."""
    try:
        return row_id(id)
    except ValueError:
        raise NotFound("There is no {given} within your scope", values={"given": id[:60]}) from None


RowId = Annotated[int, Depends(path_id)]


def read_version(if_match: str | None) -> int | None:
    if if_match is None or if_match == "*":
        return None
    text = if_match.removeprefix("W/").strip('"')
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise Invalid(
            Fault(
                "If-Match",
                "bad_version",
                "{given} is not a version",
                "Send back `version` as you got it",
                values={"given": if_match[:40]},
            )
        )
    return int(text)
