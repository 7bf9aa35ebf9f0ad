"""`POST /push` from its bytes to its answer: whose it is, what it says, when that was, and that it is kept."""

import contextlib
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from math import ceil
from typing import Any

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.access.store import digest
from app.agents import agent_tokens
from app.core import i18n
from app.core.errors import Fault, Invalid, NotSignedIn, Problem, TooLarge, TooManyRequests, Unavailable
from app.core.token_bucket import TokenBuckets
from app.postgres.engine import Sessions, transaction
from app.push import parser, rejections
from app.push.dedupe import Arrived, Taken
from app.push.device_cache import Devices, Registered
from app.push.group_commit import Ingest
from app.push.timestamps import place
from app.settings import PushSettings

LARGEST = 1_000_000  # bytes, packed and unpacked alike
TOO_LARGE = "At most {limit} MB per request: split it into several"
NO_DEVICE_TOKEN = "Send the device's token: Authorization: Bearer <token>, or as token in the body"  # noqa: S105
DEVICES = 50_000


class Door:
    """What one api process keeps for all pushes."""

    def __init__(self, sessions: Callable[[], Sessions], settings: PushSettings, metrics: CollectorRegistry) -> None:
        self._sessions = sessions
        self.devices, self.ingest = Devices(sessions), Ingest(sessions)
        self._rows = Counter("sinyal_push_rows", "Rows that devices sent, by verdict", ["verdict"], registry=metrics)
        waiting = Gauge("sinyal_push_waiting", "Pushes that wait for their commit", registry=metrics)
        waiting.set_function(lambda: len(self.ingest))
        per_min = settings.requests_per_min
        self._buckets = TokenBuckets(per_s=per_min / 60, burst=settings.burst, max_callers=DEVICES) if per_min else None

    async def enter(self, token: str) -> Registered:
        """Raises NotSignedIn, TooManyRequests, and NotPushed for a site whose agent has nothing to do."""
        secret = digest(token)
        device = await self.devices.get(secret)
        if self._buckets is not None and (wait_s := self._buckets.take(secret, time.monotonic())) > 0:
            raise TooManyRequests(ceil(wait_s))
        device.require_pushed()
        return device

    def count(self, taken: Taken) -> None:
        for verdict, many in (
            ("accepted", taken.accepted),
            ("duplicate", taken.duplicates),
            ("rejected", len(taken.rejected)),
        ):
            if many:
                self._rows.labels(verdict).inc(many)

    async def end(self, secret: bytes) -> bool:
        async with transaction(self._sessions()) as session:
            return await agent_tokens.end(session, secret)

    async def close(self) -> None:
        await self.ingest.close()
        await self.devices.close()


async def receive(request: Request, door: Door) -> Response:
    """Raises problems; whatever they are, no row of it was kept."""
    authorization = request.headers.get("authorization")
    device = await door.enter(_bearer(authorization)) if authorization else None
    try:
        sent = await _body(request)
        received_us = time.time_ns() // 1000
        if device is None and not sent:
            raise NotSignedIn(NO_DEVICE_TOKEN)
        body = parser.load(_unpacked(sent, request.headers.get("content-encoding")))
        if device is None:
            if type(token := body.get("token")) is not str:
                raise NotSignedIn(NO_DEVICE_TOKEN)
            device = await door.enter(token)
        push = parser.read(body) if device.site_id is not None else parser.Push(live=True)
    except (TooLarge, Invalid) as problem:
        if device is not None and device.site_id is not None:
            await _hear(device, door, problem)
        raise
    taken = await door.ingest.take(_arrived(device, push, received_us, len(sent)))
    door.count(taken)
    spoken = i18n.preferred_language(request.headers.get("accept-language")) if taken.rejected else "en"
    return Response(orjson.dumps(_answer(taken, device, spoken)), media_type="application/json")


async def end(request: Request, door: Door) -> None:
    """Raises NotSignedIn for a token that never was, TooLarge, Invalid."""
    if authorization := request.headers.get("authorization"):
        token: object = _bearer(authorization)
    else:
        sent = await _body(request)
        token = parser.load(sent).get("token") if sent else None
    if type(token) is not str:
        raise NotSignedIn(NO_DEVICE_TOKEN)
    secret = digest(token)
    door.devices.forget(secret)
    if not await door.end(secret):
        raise NotSignedIn("This device's token is unknown or revoked: set its agent up anew")


def _arrived(device: Registered, push: parser.Push, received_us: int, size: int) -> Arrived:
    received_at = datetime.fromtimestamp(received_us // 1_000_000, UTC).replace(microsecond=received_us % 1_000_000)
    placed = place(push, received_us, device.terms)
    return Arrived(device.site_id, device.terms, received_at, received_us, size, push, placed, device.token_id)


async def _body(request: Request) -> bytes:
    try:
        sent = await request.body()
    except HTTPException:  # by app/api/middleware/body_limits.py, which reads no more of it
        raise _too_large() from None
    if len(sent) > LARGEST:
        raise _too_large()
    return sent


def _too_large() -> TooLarge:
    return TooLarge(TOO_LARGE, values={"limit": LARGEST // 1_000_000})


async def _hear(device: Registered, door: Door, problem: Problem) -> None:
    """Nothing that it says can be used, and that it came proves the link: an agent with a fault is no outage."""
    fault = problem.faults[0] if problem.faults else Fault("body", "too_large", problem.title)
    push = parser.Push(live=False, faults=[replace(fault, row=None)])
    with contextlib.suppress(Unavailable):
        door.count(await door.ingest.take(_arrived(device, push, time.time_ns() // 1000, 0)))


def _answer(taken: Taken, device: Registered, spoken: str) -> dict[str, Any]:
    return {
        "accepted": taken.accepted,
        "duplicates": taken.duplicates,
        "rejected": rejections.told(taken.rejected, spoken),
        "next_s": device.terms.send_every_s,
        "speedtest_grant": taken.grant and taken.grant.code,
        "speedtest": taken.grant and taken.grant.limits,
        "server_time": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise NotSignedIn(NO_DEVICE_TOKEN)
    return token.strip()


def _unpacked(sent: bytes, encoding: str | None) -> bytes:
    """Raises TooLarge for what grows beyond all bounds, without letting it."""
    if encoding is None or encoding == "identity":
        return sent
    if encoding.lower() != "gzip":
        raise Invalid(Fault("Content-Encoding", "unknown_encoding", "Bodies are packed with gzip, or not at all"))
    unpacking = zlib.decompressobj(31)
    try:
        found = unpacking.decompress(sent, LARGEST + 1)
    except zlib.error:
        found = b""
    if len(found) > LARGEST:
        raise _too_large()
    if not unpacking.eof or unpacking.unused_data:
        raise Invalid(Fault("body", "bad_gzip", "The body is not whole gzip"))
    return found
