"""One request to the server, and what its answer means here."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from app.prober.errors import (
    BodyRefused,
    BodyTooLarge,
    ProberOutdated,
    ServerUnreachable,
    TokenRefused,
    TokenTakenOver,
)

TIMEOUT = httpx.Timeout(10.0)  # of a connection, and of a silence in it: the lease is 30 s
KEPT = httpx.Limits(max_connections=2, keepalive_expiry=50.0)  # the server closes what is unused for 65 s
CLOSED = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)  # a kept connection that had ended already
MOST_ANSWER_BYTES = 128 * 2**20
LONGEST_PAUSE_S = 60.0
LEVEL = 1  # of gzip


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """`document`: None where nothing has changed. The moments are by the even clock."""

    document: dict[str, Any] | None
    etag: str | None
    sent_s: float
    received_s: float


class ServerClient:
    def __init__(
        self, url: str, token: str, *, even: Callable[[], float], transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.url = url.rstrip("/").removesuffix("/api/v1")
        headers = {"Authorization": f"Bearer {token}", "User-Agent": "sinyal-prober", "Accept-Language": "en"}
        self.token, self._even = token, even
        base = f"{self.url}/api/v1/prober"
        self._client = httpx.AsyncClient(
            base_url=base, headers=headers, timeout=TIMEOUT, limits=KEPT, transport=transport
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def get_assignment(self, *, since: int | None, etag: str | None) -> ServerAnswer:
        params = {} if since is None else {"since": since}
        headers = {} if etag is None else {"If-None-Match": etag}
        return await self._send(self._client.build_request("GET", "/assignment", params=params, headers=headers))

    async def post(self, path: str, body: bytes, *, is_compressed: bool = False) -> ServerAnswer:
        """`body`: JSON, or what `compress` made of it."""
        headers = {"Content-Type": "application/json", **({"Content-Encoding": "gzip"} if is_compressed else {})}
        return await self._send(self._client.build_request("POST", path, content=body, headers=headers))

    async def _send(self, request: httpx.Request) -> ServerAnswer:
        """Once more at once over a new connection: whatever is sent twice counts once."""
        try:
            return await self._attempt(request)
        except CLOSED:
            pass
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServerUnreachable(f"{type(error).__name__}: {error}") from None
        try:
            return await self._attempt(request)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServerUnreachable(f"{type(error).__name__}: {error}") from None

    async def _attempt(self, request: httpx.Request) -> ServerAnswer:
        sent_s = self._even()
        response = await self._client.send(request, stream=True)
        received_s = self._even()
        try:
            body = await _read(response)
        finally:
            await response.aclose()
        if response.status_code == httpx.codes.NOT_MODIFIED:
            return ServerAnswer(None, response.headers.get("etag"), sent_s, received_s)
        if response.status_code != httpx.codes.OK:
            raise _refusal(response, body)
        document = _json(body)
        if not isinstance(document, dict):
            raise ServerUnreachable("an answer that is no JSON object: is this the server's address?")
        return ServerAnswer(document, response.headers.get("etag"), sent_s, received_s)


def compress(body: bytes) -> bytes:
    return gzip.compress(body, LEVEL)


async def _read(response: httpx.Response) -> bytes:
    parts, size = list[bytes](), 0
    async for part in response.aiter_bytes():
        parts.append(part)
        if (size := size + len(part)) > MOST_ANSWER_BYTES:
            raise ServerUnreachable(f"an answer of more than {MOST_ANSWER_BYTES} bytes")
    return b"".join(parts)


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _refusal(response: httpx.Response, body: bytes) -> Exception:
    status, why = response.status_code, _reason(response, body)
    kinds: dict[int, type[Exception]] = {
        400: BodyRefused,
        401: TokenRefused,
        403: TokenRefused,
        409: TokenTakenOver,
        413: BodyTooLarge,
        422: BodyRefused,
        426: ProberOutdated,
    }
    if status in kinds:
        return kinds[status](why)
    return ServerUnreachable(why, retry_after_s=_retry_after_s(response))


def _reason(response: httpx.Response, body: bytes) -> str:
    """Return the problem in the server's own words, with its status."""
    problem = _json(body)
    fields = problem if isinstance(problem, dict) else {}
    said = " ".join(str(fields[name]) for name in ("code", "detail", "errors") if fields.get(name))
    return f"{response.status_code} {said or response.reason_phrase}"[:500]


def _retry_after_s(response: httpx.Response) -> float:
    try:
        return min(max(float(response.headers.get("retry-after", "0")), 0.0), LONGEST_PAUSE_S)
    except ValueError:
        return 0.0
