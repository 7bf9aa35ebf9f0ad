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
    description="A device's own token (`POST /sites/{id}/agent`), valid only for pushes of its site",
)


def by_device_token(_: Annotated[HTTPAuthorizationCredentials | None, Depends(device_bearer)]) -> None:
    """Access policy of routes that devices call; they authenticate themselves, since the body may carry the token."""


PUSH_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": BODY, "examples": EXAMPLES}}}}
TOKEN = {"type": "object", "properties": {"token": SENDER["token"]}}
END_BODY = {"requestBody": {"required": False, "content": {"application/json": {"schema": TOKEN}}}}


@router.post(
    "/push",
    response_model=PushOut,
    responses=problems(409, 413),
    openapi_extra=PUSH_BODY,
    dependencies=[Depends(by_device_token)],
)
async def push_readings(request: Request) -> Response:
    """Send the readings of a site's own device.

    One row measured now, or a batch of up to 1,000 rows. Invalid rows are listed in the response, with status 200, and
    the other rows are accepted; a 4xx status concerns the token, the size or the syntax of the whole request. Accepted
    rows are stored durably. A row is identified by (boot, seq) and counts once however often it is sent, so a device
    repeats every request that was not answered.
    """
    return await endpoint.receive(request, request.app.state.push)


@router.post(
    "/push/end",
    status_code=204,
    responses=problems(401, 413),
    openapi_extra=END_BODY,
    dependencies=[Depends(by_device_token)],
)
async def end_push(request: Request) -> Response:
    """Revoke the device's own token.

    When its agent is removed: its silence is no outage from then on. Idempotent.
    """
    await endpoint.end(request, request.app.state.push)
    return Response(status_code=204)
