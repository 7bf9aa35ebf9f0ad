"""`POST /push` and `POST /push/end`, from the request's bytes to the response."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.access.api_tokens import digest
from app.agents import agent_tokens
from app.core import gzip_body, i18n
from app.core.clock import from_micros
from app.core.errors import Fault, Invalid, NotSignedIn, Problem, TooLarge, TooManyRequests, Unavailable
from app.core.networks import canonical
from app.core.validation import MESSAGES
from app.postgres.engine import Sessions, transaction
from app.push import parser, rejections
from app.push.admission import Admission
from app.push.dedupe import PushResult, ReceivedPush
from app.push.device_cache import UNKNOWN_TOKEN, DeviceCache, RegisteredDevice
from app.push.group_commit import GroupCommit, NotStored, TooBusy
from app.push.rate_limits import PushLimits
from app.push.timestamps import assign_slots
from app.web.client_address import client_address

MAX_BYTES = 1_000_000  # of a body, compressed and decompressed alike
MAX_UNKNOWN_BYTES = 100_000  # of one that is parsed for its token, whoever sent it
NO_DEVICE_TOKEN = "Send the device's token: Authorization: Bearer <token>, or as token in the body"  # noqa: S105
HEARTBEAT_S = 15  # `next_s` for the worker's ingest heartbeat


class PushEndpoint:
    """What a process keeps for all pushes: known devices, rate limits, and the group commit."""

    def __init__(
        self,
        sessions: Callable[[], Sessions],
        limits: PushLimits,
        metrics: CollectorRegistry,
        *,
        announces_start: bool = False,
    ) -> None:
        """`announces_start`: see `GroupCommit`."""
        self._sessions, self.limits = sessions, limits
        self.devices, self.commits = DeviceCache(sessions), GroupCommit(sessions, announces_start=announces_start)
        self._rows = Counter("sinyal_push_rows", "Rows received in pushes, by verdict", ["verdict"], registry=metrics)
        self.admission = Admission(self.commits)
        waiting = Gauge("sinyal_push_waiting", "Pushes waiting to be parsed, or for their commit", registry=metrics)
        waiting.set_function(lambda: len(self.commits) + len(self.admission))

    async def authenticate(self, token: str, address: str | None) -> RegisteredDevice:
        """Raises NotSignedIn, TooManyRequests, and NotMeasuredByAgent for a site that has no agent any more."""
        secret = digest(token)
        if self.devices.was_valid(secret):
            device = await self.devices.get(secret)
        else:
            with self.limits.charging_network(address):
                device = await self.devices.get(secret)
        self.limits.charge_device(secret)
        device.require_pushed()
        return device

    def charge_past_hours(self, received: ReceivedPush) -> None:
        """Raises TooManyRequests."""
        if received.site is not None:
            slots = [row.reading.slot for row in received.rows if row.reading is not None]
            self.limits.charge_past_hours(received.site.site_id, slots, received.received_us // 1_000_000)

    async def commit(self, received: ReceivedPush) -> PushResult:
        """Deduplicate and store a push, and count its rows. Raises Unavailable, NotStored."""
        result = await self.commits.submit(received)
        for verdict, count in (
            ("accepted", result.accepted),
            ("duplicate", result.duplicates),
            ("rejected", len(result.rejected)),
        ):
            if count:
                self._rows.labels(verdict).inc(count)
        return result

    async def end_token(self, secret: bytes) -> bool:
        """Revoke a device token; return whether it exists."""
        async with transaction(self._sessions()) as session:
            exists = await agent_tokens.end(session, secret)
        self.devices.forget(secret)
        return exists

    async def close(self) -> None:
        await self.commits.close()
        await self.devices.close()


async def receive(request: Request, endpoint: PushEndpoint) -> Response:
    """Answer a push. Whatever Problem it raises, none of its rows was stored.

    1. Authenticate the device, by the header before the body is read, else by the token in the body.
    2. Read the body; a long one waits for its turn.
    3. Decompress it and parse its rows.
    4. Place the rows in time; those of hours that are long over are limited.
    5. Deduplicate the rows against the receipts, and commit.
    6. Answer with the counts, the rejected rows, and when to send again.

    Where 2, 3, 4 or 5 fails for an authenticated device, its arrival is recorded: a faulty agent is not an outage.
    """
    authorization, address = request.headers.get("authorization"), client_address(request)
    device = await endpoint.authenticate(bearer_token(authorization), address) if authorization else None
    try:
        body = await _read_body(request)
        received_us = time.time_ns() // 1000
        document = None
        if device is None:
            _require_small(body, request)
            document = parser.load(body)
            device = await endpoint.authenticate(_body_token(document), address)
        async with endpoint.admission.turn(len(body)):
            if document is None:
                document = parser.load(
                    gzip_body.unpack(body, request.headers.get("content-encoding"), most_bytes=MAX_BYTES)
                )
            push = parser.parse(document) if device.site is not None else parser.Push(live=True)
            received = _received_push(device, push, received_us, len(body), address)
        endpoint.charge_past_hours(received)
        result = await endpoint.commit(received)
    except (TooLarge, Invalid, NotStored, TooManyRequests, TooBusy) as problem:
        if device is not None and device.site is not None:
            await _record_arrival(device, endpoint, problem, address)
        raise
    language = i18n.preferred_language(request.headers.get("accept-language")) if result.rejected else "en"
    return Response(orjson.dumps(_answer(result, device, language)), media_type="application/json")


async def end(request: Request, endpoint: PushEndpoint) -> None:
    """Revoke the token that the request carries. Raises NotSignedIn for one that never existed, TooLarge, Invalid."""
    if authorization := request.headers.get("authorization"):
        token = bearer_token(authorization)
    else:
        body = await _read_body(request)
        _require_small(body, request)
        token = _body_token(parser.load(body))
    if not await endpoint.end_token(digest(token)):
        raise NotSignedIn(UNKNOWN_TOKEN)


def _received_push(
    device: RegisteredDevice, push: parser.Push, received_us: int, size_bytes: int, address: str | None
) -> ReceivedPush:
    received_at = from_micros(received_us)
    rows = assign_slots(push, received_us, device.site) if device.site is not None else []
    source = canonical(address)
    return ReceivedPush(device.site, received_at, received_us, size_bytes, push, rows, device.token_id, source)


async def _read_body(request: Request) -> bytes:
    try:
        body = await request.body()
    except HTTPException:  # from app/api/middleware/body_limits.py, which stops reading
        raise gzip_body.too_large(MAX_BYTES) from None
    if len(body) > MAX_BYTES:
        raise gzip_body.too_large(MAX_BYTES)
    return body


def _require_small(body: bytes, request: Request) -> None:
    """Of a sender that is not known yet. Raises NotSignedIn, TooLarge, Invalid."""
    if not body:
        raise NotSignedIn(NO_DEVICE_TOKEN)
    if len(body) > MAX_UNKNOWN_BYTES:
        raise TooLarge("Without the header Authorization a body has at most 100 kB")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Invalid(
            Fault("Content-Encoding", "token_in_body", "A compressed body needs the token in the header Authorization")
        )


async def _record_arrival(
    device: RegisteredDevice, endpoint: PushEndpoint, problem: Problem, address: str | None
) -> None:
    """Store that the device sent something, with the first fault, though no row of it can be used."""
    fault = problem.faults[0] if problem.faults else Fault("body", problem.type.replace("-", "_"), problem.title)
    push = parser.Push(live=False, faults=[replace(fault, row=None)])
    with contextlib.suppress(Unavailable, NotStored):
        await endpoint.commit(_received_push(device, push, time.time_ns() // 1000, 0, address))


def _answer(result: PushResult, device: RegisteredDevice, language: str) -> dict[str, Any]:
    return {
        "accepted": result.accepted,
        "duplicates": result.duplicates,
        "rejected": rejections.serialize(result.rejected, language),
        "next_s": device.site.send_every_s if device.site is not None else HEARTBEAT_S,
        "speedtest_grant": result.grant and result.grant.code,
        "speedtest": result.grant and result.grant.limits,
        "server_time": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }


def bearer_token(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise NotSignedIn(NO_DEVICE_TOKEN)
    return token.strip()


def _body_token(document: dict[str, Any]) -> str:
    token = document.get("token")
    if type(token) is not str:
        raise NotSignedIn(NO_DEVICE_TOKEN)
    if len(token) > parser.MAX_TOKEN:
        raise Invalid(
            Fault("token", "string_too_long", MESSAGES["string_too_long"], values={"max_length": parser.MAX_TOKEN})
        )
    return token
