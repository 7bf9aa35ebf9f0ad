"""Writes a notification to the queue: its content, and its wording in the channel's language and form."""

from collections.abc import Callable
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.content import Content
from app.alerts.message_values import NO_LINKS, Links
from app.alerts.models import Channel, MessageForm, Notification
from app.alerts.texts import render
from app.postgres.work_signals import Work, announce

MakeLinks = Callable[[int], Links]  # of a notification's id


async def write_notification(
    session: AsyncSession,
    channel: Channel,
    content: Content,
    *,
    key: UUID,
    group_id: int | None = None,
    links: MakeLinks | None = None,
) -> Notification:
    """Queue it, to be delivered at once; return it with its id."""
    notification = Notification(
        key=key,
        channel_id=channel.id,
        region_code=channel.region_code,
        group_id=group_id,
        kind=content.kind,
        created_at=content.at,
        next_attempt_at=content.at,
        content=content.model_dump(mode="json"),
        title="",
        text="",
    )
    session.add(notification)
    await session.flush()
    linked = NO_LINKS if links is None else links(notification.id)
    wording = render(content, language=channel.language, form=MessageForm(channel.form), links=linked)
    notification.title, notification.text = wording.title, wording.text
    await announce(session, Work.DELIVERIES)
    return notification
