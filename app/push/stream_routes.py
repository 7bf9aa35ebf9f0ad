"""`/stream`: the two long requests that a device holds open."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from app.core.errors import NotSignedIn
from app.core.stream_cost import LONGEST_LINE_S
from app.push.device_streams import DeviceConnection, DeviceStreams, Half
from app.push.endpoint import NO_DEVICE_TOKEN, bearer_token
from app.push.routes import by_device_token
from app.push.stream_responses import DeviceLines, OurLines
from app.web.client_address import client_address
from app.web.problem_details import problems

router = APIRouter(tags=["field"], dependencies=[Depends(by_device_token)])

Boot = Annotated[str, Query(pattern=r"^[A-Za-z0-9_-]{1,32}$", description="the boot of its pushes", examples=["k3f9"])]
Number = Annotated[
    int, Query(ge=0, le=2**53, description="which connection of that boot: the same in both requests", examples=[7])
]
FirstS = Annotated[
    float,
    Query(
        ge=1,
        le=LONGEST_LINE_S,
        description="seconds until our first line; beyond two beats, between all of our lines as well",
        examples=[240],
    ),
]
TEXT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Lines, until either side ends"}
}
LINES = {
    "requestBody": {
        "required": True,
        "content": {
            "text/plain": {
                "schema": {
                    "type": "string",
                    "description": "lines of the device's uptime in seconds, one each two beats",
                    "examples": ["86400.07\n86460.11\n"],
                }
            }
        },
    }
}


@router.get("/stream", response_class=Response, responses=TEXT | problems(409, 429, 503))
async def hold_stream(request: Request, boot: Boot, number: Number, first_s: FirstS = 30) -> Response:
    """Our half of a stream.

    `beat 30` at once, then a line `.` each two beats, or each `first_s` seconds where these are more. `wait 12`: the
    service stops; come back in so many seconds. Held beside `POST /stream`, so that either side notices a break of the
    link. One stream a site: the one that was opened last.
    """
    streams: DeviceStreams = request.app.state.device_streams
    half = await _open(request, streams, DeviceConnection(boot, number), carries_lines=False)
    return OurLines(streams, half, first_s)


@router.post("/stream", response_class=Response, responses=TEXT | problems(409, 429, 503), openapi_extra=LINES)
async def send_stream(request: Request, boot: Boot, number: Number) -> Response:
    """The device's half of a stream.

    Its uptime as a line each two beats, the first at once, in chunks as they are written. It is answered when the
    stream ends.
    """
    streams: DeviceStreams = request.app.state.device_streams
    half = await _open(request, streams, DeviceConnection(boot, number), carries_lines=True)
    return DeviceLines(streams, half)


async def _open(request: Request, streams: DeviceStreams, connection: DeviceConnection, *, carries_lines: bool) -> Half:
    authorization = request.headers.get("authorization")
    if authorization is None:
        raise NotSignedIn(NO_DEVICE_TOKEN)
    address = client_address(request)
    return await streams.open(bearer_token(authorization), address, connection, carries_lines=carries_lines)
