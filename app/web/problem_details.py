"""Problem details (RFC 9457): exception handlers that answer with them, and their description in OpenAPI."""

import traceback
from typing import Any

import orjson
import structlog
from asyncpg import CannotConnectNowError, InternalClientError, PostgresConnectionError
from asyncpg import InterfaceError as ConnectionClosed
from fastapi import FastAPI, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from app.core import i18n
from app.core.errors import CommitUnknown, Fault, Invalid, NotSignedIn, Problem, QueryTimeout, TooLarge, Unavailable
from app.core.validation import MESSAGES, SynonymOf, faults_from
from app.postgres.engine import is_commit_unknown, is_plan_outdated, sqlstate
from app.web.problem_schemas import TYPE_BASE
from app.web.request_context import context_of
from app.web.security_headers import HEADERS

log = structlog.get_logger()

CANCELLED = "57014"
ROLLED_BACK = ("40P01", "40001")  # deadlock; serialization failure, or a replica that recovers what is being read
TRANSIENT = ("08", "53", "57", *ROLLED_BACK)  # connection, resources, operator intervention
UNAVAILABLE = (
    OperationalError,
    InterfaceError,
    PoolTimeout,
    OSError,
    PostgresConnectionError,
    CannotConnectNowError,
    ConnectionClosed,
    InternalClientError,  # while a connection is being opened
)
MAX_ERRORS = 50  # of a response; the others are counted
READ_METHODS = {"GET", "HEAD"}  # a change that times out was waiting for locks: worth a retry, so 503

PROBLEM_TYPE = "application/problem+json"

NO_TOKEN = "Send the header Authorization: Bearer <token>"  # noqa: S105  # an instruction, no secret

ProblemResponses = dict[int | str, dict[str, Any]]


def problems(*statuses: int) -> ProblemResponses:
    """For a route's `responses`: the statuses it answers with a problem, 401 and 422 always among them."""
    content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}
    return {status: {"description": "Problem", "content": content} for status in (401, 422, *statuses)}


class ProblemResponse(Response):
    media_type = PROBLEM_TYPE


def problem_response(request: Request, problem: Problem) -> Response:
    """Render a problem in the caller's language."""
    language = i18n.preferred_language(request.headers.get("accept-language"))
    body: dict[str, Any] = {
        "type": TYPE_BASE + problem.type,
        "title": i18n.translate(problem.title, {}, language=language),
        "status": problem.status,
    }
    if problem.detail is not None:
        body["detail"] = i18n.translate(problem.detail, problem.values, language=language)
    body["errors"] = [fault_out(fault, language) for fault in problem.faults[:MAX_ERRORS]]
    if (omitted := len(problem.faults) - MAX_ERRORS) > 0:
        body["errors_omitted"] = omitted
    headers = {"Content-Language": language}
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if problem.status == 503:
        headers["Retry-After"] = "5"
    if "retry_after_s" in problem.extra:
        headers["Retry-After"] = str(problem.extra["retry_after_s"])
    return ProblemResponse(orjson.dumps(body | problem.extra, default=str), problem.status, headers)


def fault_out(fault: Fault, language: str) -> dict[str, Any]:
    suggestion = fault.suggestion
    return {
        "field": fault.field,
        "row": fault.row,
        "code": fault.code,
        "message": i18n.translate(fault.message, fault.values, language=language),
        "suggestion": None if suggestion is None else i18n.translate(suggestion, fault.values, language=language),
    }


class NoSuchPath(Problem):
    status, type, title = 404, "no-such-address", "Not found"


class NoSuchMethod(Problem):
    status, type, title = 405, "no-such-method", "Method not allowed"


class BadRequest(Problem):
    status, type, title = 400, "bad-request", "Bad request"


BY_STATUS: dict[int, type[Problem]] = {404: NoSuchPath, 405: NoSuchMethod, 413: TooLarge}


def install(app: FastAPI, *, synonym_of: SynonymOf = lambda field, word: None) -> None:
    """Answer every failure with a problem; failures of ours are logged, without the request's content.

    `synonym_of`: see `faults_from`.
    """

    async def on_validation_error(request: Request, error: RequestValidationError) -> Response:
        return _validation_problem(request, error, synonym_of)

    app.exception_handler(Problem)(_on_problem)
    app.exception_handler(RequestValidationError)(on_validation_error)
    app.exception_handler(HTTPException)(_on_http_exception)
    for kind in UNAVAILABLE:
        app.add_exception_handler(kind, _on_unavailable)
    app.exception_handler(DBAPIError)(_on_database_error)
    app.exception_handler(Exception)(_on_unexpected_error)


async def _on_problem(request: Request, problem: Problem) -> Response:
    return problem_response(request, problem)


def _validation_problem(request: Request, error: RequestValidationError, synonym_of: SynonymOf) -> Response:
    if not {"authorization", "cookie"} & set(request.headers.keys()) and _requires_sign_in(request):
        return problem_response(request, NotSignedIn(NO_TOKEN))  # FastAPI validates bodies before it authenticates
    faults = faults_from(error.errors(), fields=_body_fields(request), synonym_of=synonym_of)
    return problem_response(request, Invalid(*faults))


async def _on_http_exception(request: Request, error: HTTPException) -> Response:
    problem = BY_STATUS.get(error.status_code, BadRequest)()
    if error.status_code == 413 and error.detail.isdecimal():  # app/api/middleware/body_limits.py
        problem = TooLarge("At most {limit} MB per request: split it into several", values={"limit": error.detail})
    if error.status_code == 400:
        problem.faults = (Fault("body", "json_invalid", MESSAGES["body_unreadable"]),)
    problem.status = error.status_code
    response = problem_response(request, problem)
    response.headers.update(error.headers or {})
    return response


def _route(request: Request) -> str:
    """Return the route's path for logs: the request's own may hold a code, or anything."""
    return getattr(request.scope.get("route"), "path", "none")


async def _on_unavailable(request: Request, error: Exception) -> Response:
    is_cut_off = getattr(error, "connection_invalidated", False)
    context_of(request).failed_in_passing = is_cut_off or sqlstate(error) in ROLLED_BACK or is_plan_outdated(error)
    is_unknown = is_commit_unknown(error) and request.method not in READ_METHODS
    event = "commit_unknown" if is_unknown else "database_unavailable"
    log.warning(event, route=_route(request), error=type(error).__name__)
    return problem_response(request, CommitUnknown() if is_unknown else Unavailable())


async def _on_database_error(request: Request, error: DBAPIError) -> Response:
    """PostgreSQL's message may hold the row at fault, contacts included: only the kind of error is logged."""
    state = getattr(error.orig, "sqlstate", None) or ""
    if state == CANCELLED and request.method in READ_METHODS:
        log.warning("query_timed_out", route=_route(request))
        return problem_response(request, QueryTimeout())
    if error.connection_invalidated or state.startswith(TRANSIENT) or is_plan_outdated(error):
        return await _on_unavailable(request, error)
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("unexpected_error", route=_route(request), error=type(error.orig).__name__, sqlstate=state, where=where)
    return problem_response(request, Problem())


async def _on_unexpected_error(request: Request, error: Exception) -> Response:
    log.error("unexpected_error", route=_route(request), exc_info=error)
    response = problem_response(request, Problem())
    response.headers.update(HEADERS)  # this handler runs outside of every middleware
    return response


def _body_fields(request: Request) -> list[str]:
    """The field names of the route's body, for a did-you-mean."""
    route = request.scope.get("route")
    bodies = route.dependant.body_params if isinstance(route, APIRoute) else []
    return [name for body in bodies for name in getattr(body.field_info.annotation, "model_fields", ())]


def _requires_sign_in(request: Request) -> bool:
    """Whether the route authenticates its caller."""

    def authenticates(dependant: Dependant) -> bool:
        return isinstance(dependant.call, SecurityBase) or any(map(authenticates, dependant.dependencies))

    route = request.scope.get("route")
    return isinstance(route, APIRoute) and authenticates(route.dependant)
