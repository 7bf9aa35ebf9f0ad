"""Answers `POST /push` in pure ASGI, before FastAPI's router. Most requests are pushes, and FastAPI's routing,
dependencies and validation cost more than all the rest of one."""

from typing import NamedTuple

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import Problem
from app.push import endpoint
from app.push.endpoint import PushEndpoint
from app.web.problem_details import BadRequest, problem_response


class BypassedRoute(NamedTuple):
    """Stands in for the route in `scope`, by whose path requests are counted."""

    path: str


class PushBypass:
    """Does the same as the route of this path, which stays for the OpenAPI document and for other methods."""

    def __init__(self, app: ASGIApp, *, endpoint: PushEndpoint, prefix: str) -> None:
        self._app, self._endpoint, self._path = app, endpoint, f"{prefix}/push"
        self._route = BypassedRoute(self._path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not self._is_push(scope):
            await self._app(scope, receive, send)
            return
        scope["route"] = self._route
        request = Request(scope, receive)
        try:
            response = await endpoint.receive(request, self._endpoint)
        except Problem as problem:
            response = problem_response(request, problem)
        except ClientDisconnect:
            response = problem_response(request, BadRequest())  # nobody reads it, but it is counted
        await response(scope, receive, send)

    def _is_push(self, scope: Scope) -> bool:
        """Compare without the path prefix of a proxy."""
        path: str = scope["path"]
        return path.endswith(self._path) and path.removeprefix(scope.get("root_path", "")) == self._path
