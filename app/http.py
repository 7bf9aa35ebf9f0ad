"""What every route shares: the transaction, the caller, pages."""

import asyncio
import base64
import binascii
import difflib
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Header, Path, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import store as access
from app.access.rights import HOLDERS, WHO, Right
from app.access.scope import Caller
from app.database import transaction
from app.errors import Fault, Invalid, NotAllowed, NotFound, NotSignedIn
from app.problems import AWAY, NO_TOKEN
from app.validation import MESSAGES

CALLER_TTL_S, LOOK_UP_S = 5.0, 2.0
MAX_LIMIT = 1000

T = TypeVar("T")


async def open_session(request: Request) -> AsyncIterator[AsyncSession]:
    async with transaction(request.app.state.sessions) as session:
        yield session


Session = Annotated[AsyncSession, Depends(open_session, scope="function")]

bearer = HTTPBearer(auto_error=False, description="A token of `sinyal token create`")


class Callers:
    """Callers by their token's digest, remembered for a few seconds so that polling costs no look-up."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[float, Caller]] = {}

    async def get(self, request: Request, secret: str) -> Caller:
        key, now = access.digest(secret), time.monotonic()
        until, caller = self._known.get(key, (0.0, None))
        if caller is None:
            caller = await self._read(request, secret)
        elif until < now:
            caller = await self._read_again(request, secret, caller)
        else:
            request.state.known_until = until
            return caller
        if len(self._known) > 10_000:
            self._known.clear()
        request.state.known_until = now + CALLER_TTL_S
        self._known[key] = (now + CALLER_TTL_S, caller)
        return caller

    async def _read(self, request: Request, secret: str) -> Caller:
        async with transaction(request.app.state.sessions) as session:
            return await access.get_caller(session, secret)

    async def _read_again(self, request: Request, secret: str, known: Caller) -> Caller:
        """While the database is away nobody can be revoked there either: dashboards go on seeing how states age."""
        try:
            async with asyncio.timeout(LOOK_UP_S):
                return await self._read(request, secret)
        except AWAY:
            return known
        except NotSignedIn:
            self._known.pop(access.digest(secret), None)
            raise


async def signed_in(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> Caller:
    if credentials is None:
        raise NotSignedIn(NO_TOKEN)
    caller: Caller = await request.app.state.callers.get(request, credentials.credentials)
    return replace(caller, address=request.client.host if request.client else None)


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
            faults.append(Fault(
                name, "unknown_parameter", "There is no parameter {given}",
                "Did you mean {near}?" if near else "Parameters here: {known}",
                values={"given": name[:40], "near": near and near[0], "known": ", ".join(known)},
            ))  # fmt: skip
        elif times > 1:
            faults.append(Fault(name, "repeated", "This parameter is given more than once", "Give it once"))
    for name, value in (*request.path_params.items(), *request.query_params.items()):
        if "\0" in value:
            faults.append(Fault(name, "nul", MESSAGES["nul"], "Take it out"))
    if faults:
        raise Invalid(*faults)


class Allowed:
    """A route's policy: who may call it at all. How far a caller reaches is for the stores to say."""

    def __init__(self, right: Right) -> None:
        self.right = right

    async def __call__(self, caller: Annotated[Caller, Depends(signed_in)]) -> Caller:
        """Raises NotAllowed."""
        if caller.role not in HOLDERS[self.right]:
            raise NotAllowed(f"Role {caller.role.value} does not do this: {WHO[self.right]}")
        return caller


def open_to_all() -> None:
    """The policy of a route that needs no caller."""


Reader = Annotated[Caller, Depends(Allowed(Right.READ))]
Writer = Annotated[Caller, Depends(Allowed(Right.WRITE))]
Provincial = Annotated[Caller, Depends(Allowed(Right.PROVINCE))]
Admin = Annotated[Caller, Depends(Allowed(Right.ADMINISTER))]
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
        raise NotFound(f"There is no {id[:60]} within your scope") from None


RowId = Annotated[int, Depends(path_id)]


def read_version(if_match: str | None) -> int | None:
    if if_match is None or if_match == "*":
        return None
    text = if_match.removeprefix("W/").strip('"')
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise Invalid(Fault("If-Match", "bad_version", "{given} is not a version", "Send back `version` as you got it",
                            values={"given": if_match[:40]}))  # fmt: skip
    return int(text)
