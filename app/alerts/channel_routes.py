from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from app.alerts import channel_changes, channel_sealing, channels, trial
from app.alerts.channel_schemas import ChannelChanged, ChannelIn, ChannelMade, ChannelOut, ChannelPatch
from app.alerts.channel_sealing import Sealing
from app.alerts.notification_schemas import NotificationOut
from app.registry.params import ProviderSlug, RegionCode
from app.web.deps import Reader, Session, Writer
from app.web.idempotency import IdempotencyKey
from app.web.json_body import JsonRoute
from app.web.pagination import BY_ID, Page
from app.web.params import Cursor, IfMatch, Limit, RowId, read_version
from app.web.problem_details import problems
from app.web.sealing import read_sealer

router = APIRouter(prefix="/channels", tags=["alerts"], route_class=JsonRoute)


async def read_sealing(session: Session, request: Request) -> Sealing:
    """Raises SealingUnavailable where what is sealed could not be opened again."""
    return Sealing(await read_sealer(session, request), request.app.state.settings.receiver_policy)


SealingOfApp = Annotated[Sealing, Depends(read_sealing)]


@router.get("", response_model=Page[ChannelOut], responses=problems(403))
async def list_channels(
    session: Session,
    caller: Reader,
    region: RegionCode = None,
    provider: ProviderSlug = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """List channels.

    Those of the offices within your region, by id. A provider sees none.
    """
    rows = await channels.list_channels(
        session, caller=caller, region=region, provider=provider, after=BY_ID.read(cursor), limit=limit + 1
    )
    page, next_cursor = BY_ID.page(rows, limit, lambda row: row.channel.id)
    return {"items": [channels.present(row, caller=caller) for row in page], "next_cursor": next_cursor}


@router.post("", response_model=ChannelMade, status_code=201, responses=problems(403, 409, 503))
async def create_channel(
    session: Session,
    caller: Writer,
    body: ChannelIn,
    request: Request,
    response: Response,
    sealing: SealingOfApp,
    idempotency: IdempotencyKey,
) -> dict[str, Any]:
    """Create a channel.

    Its URL is checked, sealed, and never shown again; a webhook's secret is shown in this answer alone, not in its
    repetition. Send a test next. An office's first channel gets default rules, unless `default_rules` is false.
    """
    fingerprint = channel_sealing.fingerprint(body, sealing)
    if channel_id := await idempotency.find(session, fingerprint, caller=caller):
        return channels.present(await channels.get_channel(session, channel_id, caller=caller), caller=caller)
    made = await channel_changes.create_channel(session, body, caller=caller, sealing=sealing)
    channel = made.row.channel
    await idempotency.record(session, fingerprint, channel.id, caller=caller)
    response.headers["Location"] = f"{request.url.path}/{channel.id}"
    response.headers["ETag"] = f'"{channel.version}"'
    response.headers["Cache-Control"] = "no-store"
    return channels.present(made.row, caller=caller) | {"secret": made.secret, "rules": made.rules}


@router.get("/{id}", response_model=ChannelOut, responses=problems(404))
async def get_channel(session: Session, caller: Reader, id: RowId, response: Response) -> dict[str, Any]:
    """One channel."""
    row = await channels.get_channel(session, id, caller=caller)
    response.headers["ETag"] = f'"{row.channel.version}"'
    return channels.present(row, caller=caller)


@router.patch("/{id}", response_model=ChannelChanged, responses=problems(403, 404, 409, 412, 503))
async def patch_channel(
    session: Session,
    caller: Writer,
    id: RowId,
    body: ChannelPatch,
    request: Request,
    response: Response,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Change a channel.

    Its name, URL, secret, language, form or fallback; pause it or let it go on. Whom it tells cannot be changed.
    """
    sealing = await read_sealing(session, request) if body.needs_sealing else None
    changed = await channel_changes.patch_channel(
        session, id, body, caller=caller, if_match=read_version(if_match), sealing=sealing
    )
    response.headers["ETag"] = f'"{changed.row.channel.version}"'
    response.headers["Cache-Control"] = "no-store"
    return channels.present(changed.row, caller=caller) | {"secret": changed.secret}


@router.delete("/{id}", status_code=204, responses=problems(403, 404, 409))
async def delete_channel(session: Session, caller: Writer, id: RowId) -> None:
    """Delete a channel.

    Refused while rules or other channels name it. Its URL and secret are forgotten; what was sent stays listed.
    Idempotent.
    """
    await channel_changes.delete_channel(session, id, caller=caller)


@router.post("/{id}/test", response_model=NotificationOut, status_code=202, responses=problems(403, 404, 409, 429))
async def send_test(session: Session, caller: Writer, id: RowId, request: Request, response: Response) -> Any:
    """Send a test message.

    The courier delivers it: read how that went at `Location`. A few a minute.
    """
    notification = await trial.send_test(session, id, caller=caller)
    response.headers["Location"] = request.url.path.partition("/channels/")[0] + f"/notifications/{notification['id']}"
    return notification
