"""State that middleware, dependencies and the route of one request share beyond their arguments: only this."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.types import Scope

from app.access.stream_tickets import Credential

KEY = "sinyal.request_context"


@dataclass(slots=True)
class RequestContext:
    """One per request, in its ASGI scope. Fields are None until they are written.

    credential: what the caller signed in with. Written and read by `app.web.auth`.
    caller_fresh_until: when the caller is to be looked up again, by the monotonic clock. Written by `app.web.auth`,
        read by `app.status.response_cache`.
    count_one_more: counts another request against the caller's rate limit; raises TooManyRequests. Written by
        `app.api.middleware.rate_limit`, called by `app.console.api_client`: a page counts for what it asks of the API.
    status_version: the version of the status that the response shows. Written by `app.status.routes`, read by
        `app.status.response_cache`.
    has_idempotency_key: whether the route remembers what this request creates. Written by `app.web.idempotency`,
        read by `app.api.middleware.retry_once`.
    failed_in_passing: whether the database failed it in a way that a second run need not meet. Written by
        `app.web.problem_details`, read by `app.api.middleware.retry_once`.
    """

    credential: Credential | None = None
    caller_fresh_until: float | None = None
    count_one_more: Callable[[], None] | None = None
    status_version: Any = None
    has_idempotency_key: bool = False
    failed_in_passing: bool = False


def context_of(request: Request | Scope) -> RequestContext:
    """Return the request's context, created at first use: middleware that copies the scope calls it before."""
    scope = request.scope if isinstance(request, Request) else request
    context: RequestContext = scope.setdefault(KEY, RequestContext())
    return context
