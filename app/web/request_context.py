"""What the middleware, the dependencies and the route of one request tell each other, beside their arguments."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.types import Scope

from app.access.stream_tickets import Credential

KEY = "sinyal.request_context"


@dataclass(slots=True)
class RequestContext:
    """One per request, kept in its ASGI scope; every field is None until it is written."""

    credential: Credential | None = None  # by app/web/auth.py; for stream tickets and for streams that ask again
    caller_fresh_until: float | None = None  # by app/web/auth.py, monotonic; for app/status/response_cache.py
    status_version: Any = None  # by app/status/routes.py: the response holds for it; for app/status/response_cache.py


def context_of(request: Request | Scope) -> RequestContext:
    """Return the request's context, created at first use: middleware that copies the scope calls it before."""
    scope = request.scope if isinstance(request, Request) else request
    context: RequestContext = scope.setdefault(KEY, RequestContext())
    return context
