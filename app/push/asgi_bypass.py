"""The way of a push past FastAPI: most of what the api is sent, and a router costs more than all it does with one."""

from typing import NamedTuple

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import Problem
from app.push import endpoint
from app.push.endpoint import Door
from app.web.problem_details import BadRequest, problem_response


class Route(NamedTuple):
    path: str


class PushLane:
    """Does what the route of the same path does, and is counted as that."""

    def __init__(self, app: ASGIApp, *, door: Door, prefix: str) -> None:
        self._app, self._door, self._path = app, door, f"{prefix}/push"
        self._counted_as = Route(self._path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not self._is_push(scope):
            await self._app(scope, receive, send)
            return
        scope["route"] = self._counted_as
        request = Request(scope, receive)
        try:
            response = await endpoint.receive(request, self._door)
        except Problem as problem:
            response = problem_response(request, problem)
        except ClientDisconnect:
            response = problem_response(request, BadRequest())  # read by nobody, and counted
        await response(scope, receive, send)

    def _is_push(self, scope: Scope) -> bool:
        path: str = scope["path"]
        return path.endswith(self._path) and path.removeprefix(scope.get("root_path", "")) == self._path
