from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.push import endpoint
from app.push.schemas import BODY, EXAMPLES, SENDER, PushOut
from app.web.problem_details import problems

router = APIRouter(tags=["field"])

device_bearer = HTTPBearer(
    scheme_name="DeviceToken",
    auto_error=False,
    bearerFormat="sd-…",
    description="A device's own token (`POST /sites/{id}/agent`), good for its site's pushes alone",
)


def by_device_token(_: Annotated[HTTPAuthorizationCredentials | None, Depends(device_bearer)]) -> None:
    """The policy of a route that devices call: it finds out itself which one, since a body may carry the token."""


SENT = {"requestBody": {"required": True, "content": {"application/json": {"schema": BODY, "examples": EXAMPLES}}}}
TOKEN = {"type": "object", "properties": {"token": SENDER["token"]}}
ENDED = {"requestBody": {"required": False, "content": {"application/json": {"schema": TOKEN}}}}


@router.post(
    "/push",
    response_model=PushOut,
    responses=problems(409, 413),
    openapi_extra=SENT,
    dependencies=[Depends(by_device_token)],
)
async def receive_push(request: Request) -> Response:
    """What a site's own device measured: one row now, or a batch of up to 1,000.

    Whatever is wrong with single rows is told with 200, row by row, and the others are kept: an answer of 4xx is about
    the token, the size or the syntax alone. What was acknowledged is kept; the same (boot, seq) again counts once, so
    that a device sends again whatever was not answered.
    """
    return await endpoint.receive(request, request.app.state.door)


@router.post(
    "/push/end",
    status_code=204,
    responses=problems(401, 413),
    openapi_extra=ENDED,
    dependencies=[Depends(by_device_token)],
)
async def end_push(request: Request) -> Response:
    """The device's agent is removed: its token is over, and its silence is no outage. Again: 204 again."""
    await endpoint.end(request, request.app.state.door)
    return Response(status_code=204)
