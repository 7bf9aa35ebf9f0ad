"""What probers call, with their own token: their assignment, their beat, their readings."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from app.access.api_tokens import digest
from app.core import gzip_body, i18n
from app.core.errors import NotSignedIn
from app.core.networks import canonical
from app.postgres.engine import transaction
from app.vantages import delivery, intake
from app.vantages.assigned_sites import read_assigned
from app.vantages.beat import BEAT, BeatIn, read_beat
from app.vantages.delivery import MAX_BYTES, MAX_SENT_BYTES, ProberDelivery
from app.vantages.intake import UNKNOWN_TOKEN, Superseded, Taken
from app.vantages.prober_gate import ProberGate
from app.vantages.prober_schemas import BEAT_SCHEMA, DELIVERY, DELIVERY_SCHEMA, BeatOut, ProberDeliveryOut
from app.vantages.store import find_by_token
from app.web.client_address import client_address
from app.web.problem_details import problems

router = APIRouter(prefix="/prober", tags=["field"])

PATHS = ("/prober/assignment", "/prober/beat", "/prober/readings")  # which have limits of their own
ACK_KEEP_S = 900
BESIDE_BYTES = 100_000  # a body beyond it is unpacked in a thread

prober_bearer = HTTPBearer(
    scheme_name="ProberToken",
    auto_error=False,
    bearerFormat="sp-…",
    description="A prober's own token (`POST /probers`), valid only for what it looks at",
)
BEAT_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": BEAT_SCHEMA, "example": BEAT}},
    }
}
READINGS_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": DELIVERY_SCHEMA, "example": DELIVERY}},
    }
}


async def by_prober_token(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(prober_bearer)]
) -> bytes:
    """Access policy of routes that probers call. Return the token's digest. Raises NotSignedIn, TooManyRequests."""
    if credentials is None or not credentials.credentials.isascii():
        raise NotSignedIn("Send the prober's token: Authorization: Bearer <token>")
    token_digest = digest(credentials.credentials)
    await _gate(request).require_known(token_digest, client_address(request))
    return token_digest


ProberToken = Annotated[bytes, Depends(by_prober_token)]


@router.get("/assignment", responses=problems(401) | {304: {"description": "Nothing changed"}})
async def get_assignment(
    request: Request,
    token: ProberToken,
    since: Annotated[
        int | None, Query(ge=0, le=2**63 - 1, description="`version` of the last answer", examples=[4711])
    ] = None,
    if_none_match: Annotated[
        str | None,
        Header(max_length=200, description="the `ETag` of the last answer", examples=['"1795500300-4711-a1"']),
    ] = None,
) -> Response:
    """What this prober looks at.

    All of it, or with `since` and `If-None-Match` what changed; 304 if nothing did.
    """
    async with transaction(request.app.state.sessions) as session:
        prober = await find_by_token(session, token)
        if prober is None:
            raise NotSignedIn(UNKNOWN_TOKEN)
        assigned = await read_assigned(
            session, prober, request.app.state.settings, since=since, if_none_match=if_none_match
        )
    headers = {"ETag": f'"{assigned.etag}"', "Cache-Control": "no-store"}
    if assigned.body is None:
        return Response(status_code=304, headers=headers)
    return Response(assigned.body, headers=headers, media_type="application/json")


@router.post("/beat", response_model=BeatOut, responses=problems(409, 413, 426), openapi_extra=BEAT_BODY)
async def beat(request: Request, token: ProberToken) -> Response:
    """Say that a prober lives, and how it is.

    Each 5 to 10 s. A prober that was not heard for 30 s has its sites looked at by others of its vantage.
    """
    reported = read_beat(delivery.load(await _read_body(request)))
    taken = await _take(request, token, reported, None)
    return _json(_heard(taken))


@router.post(
    "/readings", response_model=ProberDeliveryOut, responses=problems(409, 413, 426), openapi_extra=READINGS_BODY
)
async def deliver_readings(request: Request, token: ProberToken) -> Response:
    """Deliver blocks of readings.

    The body may be compressed (`Content-Encoding: gzip`). Blocks that cannot be used are listed, with status 200. A
    block is identified by (boot, seq) and counts once however often it is sent; what is answered is stored durably.
    """
    gate, body = _gate(request), await _read_body(request)
    await gate.require_room(token)
    async with gate.unpacking:
        parsed = await _unpack(body, request.headers.get("content-encoding"))
    gate.limits.charge_delivery(
        token,
        blocks=len(parsed.blocks) + len(parsed.rejected),
        readings=parsed.readings + sum(block.readings for block in parsed.rejected),
    )
    taken = await _take(request, token, parsed.beat, parsed)
    return _json(_answer(parsed, taken, request))


async def _take(request: Request, token: bytes, reported: BeatIn | None, parsed: ProberDelivery | None) -> Taken:
    """Raises Superseded, which is counted; NotSignedIn, Invalid."""
    async with transaction(request.app.state.sessions) as session:
        taken = await intake.take(
            session,
            token,
            address=canonical(client_address(request)),
            beat=reported,
            delivery=parsed,
            shards=_gate(request).shards,
        )
    if taken.superseded:
        raise Superseded
    return taken


async def _unpack(body: bytes, encoding: str | None) -> ProberDelivery:
    def unpack() -> ProberDelivery:
        return delivery.parse(delivery.load(gzip_body.unpack(body, encoding, most_bytes=MAX_BYTES)), time.time())

    return await asyncio.to_thread(unpack) if len(body) > BESIDE_BYTES else unpack()


async def _read_body(request: Request) -> bytes:
    try:
        body = await request.body()
    except HTTPException:  # from app/api/middleware/body_limits.py, which stops reading
        body = b" " * (MAX_SENT_BYTES + 1)
    if len(body) > MAX_SENT_BYTES:
        raise gzip_body.too_large(MAX_SENT_BYTES)
    return body


def _heard(taken: Taken) -> dict[str, Any]:
    return {
        "server_time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "assignment": taken.assignment,
        "database": taken.database,
        "ack_keep_s": ACK_KEEP_S,
    }


def _answer(parsed: ProberDelivery, taken: Taken, request: Request) -> dict[str, Any]:
    language = i18n.preferred_language(request.headers.get("accept-language"))
    rejected = [
        {
            "seq": block.seq,
            "code": block.code,
            "message": i18n.translate(delivery.REJECTED[block.code], dict(block.values), language=language),
            "readings": block.readings,
        }
        for block in parsed.rejected
    ]
    return {
        "accepted": taken.accepted,
        "duplicates": taken.duplicates,
        "changed": taken.changed,
        "rejected": rejected,
        "not_assigned": taken.not_assigned,
        **_heard(taken),
    }


def _json(answer: dict[str, Any]) -> Response:
    return Response(orjson.dumps(answer), media_type="application/json")


def _gate(request: Request) -> ProberGate:
    gate: ProberGate = request.app.state.probers
    return gate
