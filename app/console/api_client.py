"""The REST API as pages call it: in this process, as their caller, with the answers that any other client gets."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from fastapi import Request
from starlette.types import ASGIApp, Message, Scope

from app.core.errors import NotFound
from app.web.request_context import context_of

API = "/api/v1"
PASSED_ON = {b"cookie", b"user-agent", b"host"}  # headers of the page's own request
Params = dict[str, Any]
Content = bytes | AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class ApiResponse:
    status: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:
        """Raises NotFound where a page's address named something else of the API, such as a file."""
        if not self.content:
            return None
        if not self.headers.get("content-type", "").startswith("application/json"):
            raise NotFound
        return orjson.loads(self.content)


@dataclass(slots=True)
class ApiProblem(Exception):  # the API's own word for it
    """An answer of the API that is a problem (RFC 9457), in the caller's language."""

    status: int
    title: str
    detail: str | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def of(self, name: str) -> list[dict[str, Any]]:
        """Return the errors of one field."""
        return [error for error in self.errors if error["field"] == name]

    def besides(self, names: list[str]) -> list[dict[str, Any]]:
        """Return the errors that belong to none of the fields."""
        return [error for error in self.errors if error["field"] not in names]


@dataclass(frozen=True, slots=True)
class ApiClient:
    """Calls with the request's session, and with `headers`: language, and of a form CSRF token and idempotency key.

    Calls of one page run one after another, also under `asyncio.gather`: a page holds one database connection at most.
    """

    app: ASGIApp
    request: Request
    headers: dict[str, str]
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def get(self, path: str, /, **params: Any) -> Any:
        return (await self.send("GET", path, params=params)).json()

    async def post(self, path: str, body: Any = None, /, *, version: str | None = None, **params: Any) -> Any:
        """`version`: what the caller saw, for If-Match."""
        return await self._send_json("POST", path, body, params, {"if-match": version} if version else {})

    async def put(self, path: str, body: Any, /) -> Any:
        return await self._send_json("PUT", path, body, {})

    async def patch(self, path: str, body: Any, /, *, version: str | None = None, **params: Any) -> Any:
        """`version`: what the caller saw, for If-Match."""
        return await self._send_json("PATCH", path, body, params, {"if-match": version} if version else {})

    async def delete(self, path: str, /, *, version: str | None = None, **params: Any) -> Any:
        headers = {"if-match": version} if version else {}
        return (await self.send("DELETE", path, params=params, headers=headers)).json()

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        content: Content = b"",
        headers: dict[str, str] | None = None,
    ) -> ApiResponse:
        """Return the response, whatever its kind. Raises ApiProblem for a status of 400 and above.

        `content` by pieces: an uploaded file is never in memory whole.
        """
        if (count := context_of(self.request).count_one_more) is not None:
            count()
        response = await self._call(method, path, params or {}, content, {**self.headers, **(headers or {})})
        if response.status >= 400:
            raise _problem(response)
        return response

    async def _send_json(
        self, method: str, path: str, body: Any, params: Params, headers: dict[str, str] | None = None
    ) -> Any:
        content = b"" if body is None else orjson.dumps(body)
        sent = {"content-type": "application/json", **(headers or {})}
        return (await self.send(method, path, params=params, content=content, headers=sent)).json()

    async def _call(
        self, method: str, path: str, params: Params, content: Content, headers: dict[str, str]
    ) -> ApiResponse:
        messages = _messages(content)
        started: dict[str, Any] = {}
        body = bytearray()

        async def receive() -> Message:
            async for message in messages:
                return message
            await asyncio.Event().wait()  # the client does not go away
            raise AssertionError

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
            else:
                body.extend(message.get("body", b""))

        async with self.turn:
            await self.app(self._scope(method, path, params, headers), receive, send)
        sent = {name.decode().lower(): value.decode("latin-1") for name, value in started["headers"]}
        return ApiResponse(started["status"], sent, bytes(body))

    def _scope(self, method: str, path: str, params: Params, headers: dict[str, str]) -> Scope:
        own = self.request.scope
        kept = [pair for pair in own["headers"] if pair[0] in PASSED_ON]
        full = f"{own.get('root_path', '')}{API}{path}"
        return {
            **{
                name: own[name]
                for name in ("type", "asgi", "scheme", "server", "client", "app", "state")
                if name in own
            },
            "http_version": "1.1",
            "root_path": own.get("root_path", ""),
            "method": method,
            "path": full,
            "raw_path": quote(full).encode(),
            "query_string": urlencode(_written(params)).encode(),
            "headers": [
                *kept,
                *((name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()),
            ],
        }


async def _messages(content: Content) -> AsyncIterator[Message]:
    if not isinstance(content, bytes):
        async for piece in content:
            yield {"type": "http.request", "body": piece, "more_body": True}
        content = b""
    yield {"type": "http.request", "body": content, "more_body": False}


def _written(params: Params) -> dict[str, str]:
    """Return parameters as texts: without None and "", lists joined by commas, `from_` as `from`."""
    return {
        name.rstrip("_"): ",".join(map(str, value)) if isinstance(value, list | tuple) else _text(value)
        for name, value in params.items()
        if value not in (None, "", [], ())
    }


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _problem(response: ApiResponse) -> ApiProblem:
    body = orjson.loads(response.content) if response.headers.get("content-type", "").endswith("json") else {}
    return ApiProblem(
        response.status,
        body.get("title", str(response.status)),
        body.get("detail"),
        body.get("errors", []),
        body,
        response.headers,
    )
