"""A test message a week through each channel, so that one that nothing is told of for long is known to work.

Monday from 09.00 WITA on, spread over an hour; not through a channel that has accepted something since a day before.
"""

from datetime import datetime, time, timedelta
from uuid import uuid4

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.alerts.models import Channel, Notification, NotificationKind
from app.alerts.notification_writer import write_notification
from app.alerts.trial import test_content
from app.core.clock import WITA
from app.courier.queue import is_active

BEGINS = time(9)
SPREAD_MIN = 60
HEARD_WITHIN = timedelta(hours=24)
MONDAY = 0


async def write_due(session: AsyncSession, now: datetime) -> int:
    """Queue this week's tests that are due; return how many. Idempotent."""
    begin = begin_of(now)
    if begin is None:
        return 0
    minutes = int((now - begin).total_seconds() // 60)
    tested = exists().where(
        Notification.channel_id == Channel.id,
        Notification.kind == NotificationKind.WEEKLY_TEST,
        Notification.created_at >= begin,
    )
    query = (
        select(Channel)
        .where(
            is_active(Channel),
            Channel.id % SPREAD_MIN <= minutes,
            Channel.created_at < begin,
            ~tested,
            Channel.accepted_at.is_(None) | (Channel.accepted_at < begin - HEARD_WITHIN),
        )
        .options(joinedload(Channel.provider))
        .order_by(Channel.id)
    )
    channels = (await session.scalars(query)).all()
    for channel in channels:
        content = test_content(channel, NotificationKind.WEEKLY_TEST, now)
        await write_notification(session, channel, content, key=uuid4())
    return len(channels)


def begin_of(now: datetime) -> datetime | None:
    """Return when the tests began today, in WITA; None before that, and on other days."""
    local = now.astimezone(WITA)
    begin = datetime.combine(local.date(), BEGINS, WITA)
    return begin if local.weekday() == MONDAY and local >= begin else None
