from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts import channels, notification_table, notifications
from app.alerts.models import AnnouncementState, NotificationKind, NotificationState
from app.alerts.notification_schemas import AnnouncementOut, NotificationDetail, NotificationOut
from app.alerts.notifications import ToldFilter
from app.core.clock import parse_moment
from app.core.errors import Fault, Invalid, NotFound
from app.core.tables import Table, max_rows
from app.incidents import store as incidents
from app.registry.params import ProviderSlug, RegionCode
from app.web.deps import Reader, ReadSession, Session
from app.web.pagination import BY_ID, Page, cursor_codec
from app.web.params import SEVERAL, Cursor, Limit, RowId, Several, row_id
from app.web.period_params import BoundsParam
from app.web.problem_details import problems
from app.web.table_files import TableParams, file_responses

router = APIRouter(tags=["alerts"])

BY_CREATION = cursor_codec(parse_moment, row_id)
MAX_ID = 2**31 - 1


async def read_filter(
    session: Session,
    caller: Reader,
    incident: Annotated[
        int | None,
        Query(ge=1, le=MAX_ID, description="only what tells of this incident, or of one merged into it", examples=[71]),
    ] = None,
    channel: Annotated[
        int | None, Query(ge=1, le=MAX_ID, description="only what goes through this channel", examples=[3])
    ] = None,
    region: RegionCode = None,
    provider: ProviderSlug = None,
) -> ToldFilter:
    """Raises Invalid for an unknown incident, channel, region or provider."""
    if incident is not None:
        try:
            await incidents.get_incident(session, incident, caller=caller)
        except NotFound:
            raise Invalid(
                Fault(
                    "incident",
                    "unknown_incident",
                    "There is no incident {given} within your scope",
                    "Look it up: GET /api/v1/incidents",
                    values={"given": incident},
                )
            ) from None
    return ToldFilter(incident, await channels.require_channel(session, channel, caller=caller), region, provider)


Told = Annotated[ToldFilter, Depends(read_filter)]


def read_notification_filter(
    told: Told,
    bounds: BoundsParam,
    state: Annotated[
        Several[NotificationState], Query(description=f"how far its delivery is: {SEVERAL}", examples=[["dead"]])
    ] = (),
    kind: Annotated[
        Several[NotificationKind], Query(description=f"what it is about: {SEVERAL}", examples=[["onset", "recovery"]])
    ] = (),
) -> ToldFilter:
    return ToldFilter(told.incident, told.channel, told.region, told.provider, state, kind, *bounds)


@router.get("/notifications", response_model=Page[NotificationOut], responses=file_responses(403))
async def list_notifications(
    session: ReadSession,
    caller: Reader,
    files: TableParams,
    criteria: Annotated[ToldFilter, Depends(read_notification_filter)],
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Any:
    """List notifications: who was told what, and when it was accepted.

    Those of the offices within your region, newest first; a provider reads what was sent to itself. A file holds their
    texts too.
    """
    if files.is_file:
        files.require_no_paging()
        await session.rollback()  # while the file waits for its turn, it holds no connection

        async def build(session: AsyncSession) -> Table:
            most = max_rows(notification_table.COLUMNS, files.format)
            return await notification_table.build(session, criteria, caller=caller, most=most)

        return await files.respond(notification_table.STEM, build)
    after = BY_CREATION.read(cursor)
    rows = await notifications.list_notifications(session, criteria, caller=caller, after=after, limit=limit + 1)
    page, next_cursor = BY_CREATION.page(rows, limit, lambda row: (row["created_at"], row["id"]))
    return {"items": page, "next_cursor": next_cursor}


@router.get("/notifications/{id}", response_model=NotificationDetail, responses=problems(404))
async def get_notification(session: Session, caller: Reader, id: RowId) -> Any:
    """One notification with its text and every attempt to deliver it."""
    return await notifications.get_notification(session, id, caller=caller)


@router.get("/announcements", response_model=Page[AnnouncementOut], responses=problems(403))
async def list_announcements(
    session: Session,
    caller: Reader,
    criteria: Told,
    state: Annotated[
        Several[AnnouncementState], Query(description=f"whether it was sent: {SEVERAL}", examples=[["dropped"]])
    ] = (),
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """List announcements: what was to be told, and why some of it was not.

    Newest first: what is held, with the reason, and what was not sent, with the reason.
    """
    rows = await notifications.list_announcements(
        session, criteria, state, caller=caller, before=BY_ID.read(cursor), limit=limit + 1
    )
    page, next_cursor = BY_ID.page(rows, limit, lambda row: row["id"])
    return {"items": page, "next_cursor": next_cursor}
