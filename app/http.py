"""What every route shares: the transaction, the caller, pages, and problem details (RFC 9457)."""

import asyncio
import base64
import binascii
import time
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

import orjson
import structlog
from asyncpg import CannotConnectNowError, PostgresConnectionError
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.exceptions import HTTPException

from app import language
from app.access import store as access
from app.access.scope import Caller
from app.database import transaction
from app.errors import Fault, Invalid, NotSignedIn, Problem, Unavailable
from app.validation import MESSAGES, faults_of

log = structlog.get_logger()

CALLER_TTL_S, LOOK_UP_S = 5.0, 2.0
PASSING = ("08", "53", "57", "40P01", "40001")  # connection, resources, operator; deadlock: all worth another try
AWAY = (OperationalError, InterfaceError, PoolTimeout, OSError, PostgresConnectionError,
        CannotConnectNowError)  # fmt: skip
DEFAULT_LIMIT, MAX_LIMIT = 100, 1000
TYPE_BASE = "https://sinyal-desa.id/problems/"

ProblemResponses = dict[int | str, dict[str, Any]]


class FaultOut(BaseModel):
    field: str = Field(examples=["village_code"])
    row: int | None = Field(None, description="the row of a batch or a file, where there is one")
    code: str = Field(examples=["unknown_village"])
    message: str = Field(examples=["There is no village 64.02.05.9999 in Kalimantan Timur"])
    suggestion: str | None = None


class ProblemOut(BaseModel):
    """RFC 9457 problem details. `type` and every `code` are stable; `message` and `suggestion` are translated."""

    type: str = Field(examples=[TYPE_BASE + "invalid"])
    title: str
    status: int
    detail: str | None = None
    errors: list[FaultOut] = []


def problems(*statuses: int) -> ProblemResponses:
    """For a route's `responses`: the problems it answers with."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}
    return {status: {"description": "Problem", "content": content} for status in (401, 422, *statuses)}


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
            return caller
        if len(self._known) > 10_000:
            self._known.clear()
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
        raise NotSignedIn("Send the header Authorization: Bearer <token>")
    return await request.app.state.callers.get(request, credentials.credentials)  # type: ignore[no-any-return]


def refuse_nul(request: Request) -> None:
    """PostgreSQL knows no NUL, and no parameter of ours means one."""
    for name, value in (*request.path_params.items(), *request.query_params.multi_items()):
        if "\0" in value:
            raise Invalid(Fault(name, "nul", MESSAGES["nul"], "Take it out"))


SignedIn = Annotated[Caller, Depends(signed_in)]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="how many items a page holds")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before")]


T = TypeVar("T")


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
    """For a cursor over ids."""
    found = int(text)
    if not 0 < found < 2**31:
        raise ValueError(text)
    return found


class ProblemResponse(Response):
    media_type = "application/problem+json"


def answer(request: Request, problem: Problem) -> Response:
    spoken = language.preferred(request.headers.get("accept-language"))
    body: dict[str, Any] = {
        "type": TYPE_BASE + problem.type,
        "title": problem.title,
        "status": problem.status,
    }
    if problem.detail is not None:
        body["detail"] = problem.detail
    body["errors"] = [_spoken(fault, spoken) for fault in problem.faults]
    headers = {"Content-Language": spoken}
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if problem.status == 503:
        headers["Retry-After"] = "5"
    return ProblemResponse(orjson.dumps(body | problem.extra, default=str), problem.status, headers)


def _spoken(fault: Fault, spoken: str) -> dict[str, Any]:
    out = {
        "field": fault.field, "row": fault.row, "code": fault.code,
        "message": language.translate(fault.message, fault.values, language=spoken),
        "suggestion": None,
    }  # fmt: skip
    if fault.suggestion is not None:
        out["suggestion"] = language.translate(fault.suggestion, fault.values, language=spoken)
    return out


def _body_fields(request: Request) -> list[str]:
    """The names that the route's body knows, for a did-you-mean."""
    route = request.scope.get("route")
    bodies = route.dependant.body_params if isinstance(route, APIRoute) else []
    return [name for body in bodies for name in getattr(body.field_info.annotation, "model_fields", ())]


class NoSuchPath(Problem):
    status, type, title = 404, "no-such-address", "There is no such address"


class NoSuchMethod(Problem):
    status, type, title = 405, "no-such-method", "This address does not know that method"


class BadRequest(Problem):
    status, type, title = 400, "bad-request", "The request cannot be read"


NAMED: dict[int, type[Problem]] = {404: NoSuchPath, 405: NoSuchMethod}


def install(app: FastAPI) -> None:
    """Every failure leaves as a problem; what is ours to mend is logged without the request's content."""

    @app.exception_handler(Problem)
    async def _problem(request: Request, error: Problem) -> Response:
        return answer(request, error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        return answer(request, Invalid(*faults_of(error.errors(), fields=_body_fields(request))))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        problem = NAMED.get(error.status_code, BadRequest)()
        problem.status = error.status_code
        response = answer(request, problem)
        response.headers.update(error.headers or {})
        return response

    async def _away(request: Request, error: Exception) -> Response:
        log.warning("database_away", path=request.url.path, error=type(error).__name__)
        return answer(request, Unavailable())

    for kind in AWAY:
        app.add_exception_handler(kind, _away)

    @app.exception_handler(DBAPIError)
    async def _database(request: Request, error: DBAPIError) -> Response:
        """PostgreSQL's own words may hold the row at fault, contacts included: only the kind of error is logged."""
        state = getattr(error.orig, "sqlstate", None) or ""
        if error.connection_invalidated or state.startswith(PASSING):
            return await _away(request, error)
        where = "".join(traceback.format_tb(error.__traceback__))
        log.error("unexpected", path=request.url.path, error=type(error.orig).__name__, sqlstate=state, where=where)
        return answer(request, Problem())

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> Response:
        log.error("unexpected", path=request.url.path, exc_info=error)
        return answer(request, Problem())
