"""Problem details (RFC 9457): how every failure leaves, and how routes describe them."""

import traceback
from typing import Any

import orjson
import structlog
from asyncpg import CannotConnectNowError, InternalClientError, PostgresConnectionError
from asyncpg import InterfaceError as ClosedMeanwhile
from fastapi import FastAPI, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from app.core import i18n
from app.core.errors import Fault, Invalid, NotSignedIn, Problem, TookTooLong, TooLarge, Unavailable
from app.core.validation import MESSAGES, Meant, faults_of
from app.web.security_headers import HEADERS

log = structlog.get_logger()

CANCELLED = "57014"
PASSING = ("08", "53", "57", "40P01", "40001")  # connection, resources, operator; deadlock: all worth another try
AWAY = (
    OperationalError,
    InterfaceError,
    PoolTimeout,
    OSError,
    PostgresConnectionError,
    CannotConnectNowError,
    ClosedMeanwhile,
    InternalClientError,  # while one is being opened
)
READING = {"GET", "HEAD"}  # what changes something and takes long waits for others: it may try again

TYPE_BASE = "https://sinyal-desa.id/problems/"

NO_TOKEN = "Send the header Authorization: Bearer <token>"  # noqa: S105  # advice, no secret

ProblemResponses = dict[int | str, dict[str, Any]]


class FaultOut(BaseModel):
    field: str = Field(examples=["village_code"])
    row: int | None = Field(None, description="the row of a batch or a file, where there is one")
    code: str = Field(examples=["unknown_village"])
    message: str = Field(examples=["There is no village 64.02.05.9999 in Kalimantan Timur"])
    suggestion: str | None = None


class ProblemOut(BaseModel):
    """RFC 9457 problem details. `type` and every `code` are stable; all words are translated."""

    type: str = Field(examples=[TYPE_BASE + "invalid"])
    title: str
    status: int
    detail: str | None = None
    errors: list[FaultOut] = []


def problems(*statuses: int) -> ProblemResponses:
    """For a route's `responses`: the problems it answers with."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}
    return {status: {"description": "Problem", "content": content} for status in (401, 422, *statuses)}


class ProblemResponse(Response):
    media_type = "application/problem+json"


def answer(request: Request, problem: Problem) -> Response:
    spoken = i18n.preferred(request.headers.get("accept-language"))
    body: dict[str, Any] = {
        "type": TYPE_BASE + problem.type,
        "title": i18n.translate(problem.title, {}, language=spoken),
        "status": problem.status,
    }
    if problem.detail is not None:
        body["detail"] = i18n.translate(problem.detail, problem.values, language=spoken)
    body["errors"] = [_spoken(fault, spoken) for fault in problem.faults]
    headers = {"Content-Language": spoken}
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if problem.status == 503:
        headers["Retry-After"] = "5"
    if "retry_after_s" in problem.extra:
        headers["Retry-After"] = str(problem.extra["retry_after_s"])
    return ProblemResponse(orjson.dumps(body | problem.extra, default=str), problem.status, headers)


def _spoken(fault: Fault, spoken: str) -> dict[str, Any]:
    out = {
        "field": fault.field,
        "row": fault.row,
        "code": fault.code,
        "message": i18n.translate(fault.message, fault.values, language=spoken),
        "suggestion": None,
    }
    if fault.suggestion is not None:
        out["suggestion"] = i18n.translate(fault.suggestion, fault.values, language=spoken)
    return out


def _body_fields(request: Request) -> list[str]:
    """The names that the route's body knows, for a did-you-mean."""
    route = request.scope.get("route")
    bodies = route.dependant.body_params if isinstance(route, APIRoute) else []
    return [name for body in bodies for name in getattr(body.field_info.annotation, "model_fields", ())]


def _asks_who(request: Request) -> bool:
    """Whether the route has any use for a token or a session."""

    def asks(dependant: Dependant) -> bool:
        return isinstance(dependant.call, SecurityBase) or any(map(asks, dependant.dependencies))

    route = request.scope.get("route")
    return isinstance(route, APIRoute) and asks(route.dependant)


class NoSuchPath(Problem):
    status, type, title = 404, "no-such-address", "There is no such address"


class NoSuchMethod(Problem):
    status, type, title = 405, "no-such-method", "This address does not know that method"


class BadRequest(Problem):
    status, type, title = 400, "bad-request", "The request cannot be read"


NAMED: dict[int, type[Problem]] = {404: NoSuchPath, 405: NoSuchMethod, 413: TooLarge}


def install(app: FastAPI, *, meant: Meant = lambda field, given: None) -> None:
    """Every failure leaves as a problem; what is ours to mend is logged without the request's content.

    `meant`: see `faults_of`.
    """

    @app.exception_handler(Problem)
    async def _problem(request: Request, error: Problem) -> Response:
        return answer(request, error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        if not {"authorization", "cookie"} & set(request.headers.keys()) and _asks_who(request):
            return answer(request, NotSignedIn(NO_TOKEN))  # bodies are read before tokens are asked for
        return answer(request, Invalid(*faults_of(error.errors(), fields=_body_fields(request), meant=meant)))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        problem = NAMED.get(error.status_code, BadRequest)()
        if error.status_code == 413 and error.detail.isdecimal():
            problem = TooLarge(
                "At most {limit} MB are read: split it into several requests", values={"limit": error.detail}
            )
        if error.status_code == 400:
            problem.faults = (Fault("body", "json_invalid", MESSAGES["body_unreadable"]),)
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
        if state == CANCELLED and request.method in READING:
            log.warning("took_too_long", path=request.url.path)
            return answer(request, TookTooLong())
        if error.connection_invalidated or state.startswith(PASSING):
            return await _away(request, error)
        where = "".join(traceback.format_tb(error.__traceback__))
        log.error("unexpected", path=request.url.path, error=type(error.orig).__name__, sqlstate=state, where=where)
        return answer(request, Problem())

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> Response:
        log.error("unexpected", path=request.url.path, exc_info=error)
        response = answer(request, Problem())
        response.headers.update(HEADERS)  # it leaves outside of every middleware
        return response
