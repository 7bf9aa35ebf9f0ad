"""Test messages that a person sends through a channel."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.scope import Caller, require_writer
from app.alerts import channels, notifications
from app.alerts.content import Content
from app.alerts.models import Channel, Notification, NotificationKind
from app.alerts.notification_writer import write_notification
from app.alerts.told_sites import told_place
from app.core.clock import utc_now
from app.core.errors import Conflict, Fault, TooManyRequests

MAX_OF_CHANNEL, MAX_OF_OFFICE = 5, 20  # a minute: some services cost money by the message
MINUTE = timedelta(minutes=1)


async def send_test(session: AsyncSession, channel_id: int, *, caller: Caller) -> dict[str, Any]:
    """Queue a test message; return the fields of its NotificationOut.

    Raises NotFound, NotAllowed, Conflict for a paused channel, TooManyRequests beyond a few a minute.
    """
    row = await channels.get_channel(session, channel_id, caller=caller, for_update=True)  # one test at a time
    channel = row.channel
    require_writer(caller, channel.region_code)
    if channel.paused_at is not None:
        fault = Fault("id", "paused", "This channel is paused", "Let it go on first: PATCH it with paused false")
        raise Conflict(faults=[fault])
    await _require_few(session, channel)
    content = test_content(channel, NotificationKind.TEST, utc_now())
    notification = await write_notification(session, channel, content, key=uuid4())
    after = {"notification": notification.id}
    await audit.record(session, caller, "test", "channel", channel.id, region_code=channel.region_code, after=after)
    return await notifications.get_notification(session, notification.id, caller=caller)


def test_content(channel: Channel, kind: NotificationKind, now: datetime) -> Content:
    """Return what a test tells: whose channel it is. `channel.provider` is loaded."""
    provider = channel.provider and channel.provider.slug
    return Content(kind=kind, at=now, office=told_place(channel.region_code), provider=provider)


async def _require_few(session: AsyncSession, channel: Channel) -> None:
    since = utc_now() - MINUTE
    query = select(Notification.created_at, Notification.channel_id).where(
        Notification.region_code == channel.region_code,
        Notification.kind == NotificationKind.TEST,
        Notification.created_at > since,
    )
    of_office = (await session.execute(query.order_by(Notification.created_at))).all()
    of_channel = [row for row in of_office if row.channel_id == channel.id]
    for sent, most in ((of_channel, MAX_OF_CHANNEL), (of_office, MAX_OF_OFFICE)):
        if len(sent) >= most:
            raise TooManyRequests(max(1, round((sent[-most].created_at - since).total_seconds()) + 1))
