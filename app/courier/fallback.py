"""Handing a notification over to its channel's fallback: a notification of its own there, with the same key.

Until that one is settled the original waits. Accepted there, it is `rerouted`; refused there, it is its own channel's
again. Nothing is handed over twice, nor from a fallback to its own: whatever offices configure, it ends.
"""

from collections.abc import Collection
from datetime import datetime

from pydantic import ValidationError
from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.alerts.content import Content
from app.alerts.message_links import links_of
from app.alerts.models import Channel, Notification
from app.alerts.texts import Rendered, render
from app.core.sealing import Sealer
from app.courier import queue, retries

MOST_AT_ONCE = 500
_OfFallback = aliased(Notification)


def _was_handed_over() -> ColumnElement[bool]:
    return exists().where(_OfFallback.fallback_of == Notification.id)


async def hand_over_failing(
    session: AsyncSession, attempting: Collection[int], sealer: Sealer, base: str | None, now: datetime
) -> int:
    """Hand over what failing channels did not deliver in time; return how many. `base`: the public address.

    Channels that are `attempting` just now are left alone: their receiver may accept.
    """
    fallback = aliased(Channel)
    query = (
        select(Notification, Channel, fallback)
        .join(Channel, Channel.id == Notification.channel_id)
        .join(fallback, fallback.id == Channel.fallback_id)
        .where(
            Channel.id.not_in(attempting),
            queue.wants_fallback(now),
            queue.is_active(Channel),
            queue.is_active(fallback),
            ~_was_handed_over(),
        )
        .order_by(Notification.created_at, Notification.id)
        .limit(MOST_AT_ONCE)
        .with_for_update(of=Notification, skip_locked=True)
    )
    rows = (await session.execute(query)).all()
    for original, channel, taker in rows:
        _hand_over(session, original, taker, _wording(original, channel, taker, sealer, base), now)
    return len(rows)


async def hand_over_refused(
    session: AsyncSession, notification_id: int, sealer: Sealer, base: str | None, now: datetime
) -> bool:
    """Hand over what its channel refused for good; return whether there is a fallback that takes it."""
    fallback = aliased(Channel)
    query = (
        select(Notification, Channel, fallback)
        .join(Channel, Channel.id == Notification.channel_id)
        .join(fallback, fallback.id == Channel.fallback_id)
        .where(
            Notification.id == notification_id,
            Notification.fallback_of.is_(None),
            Notification.kind.not_in(queue.TESTS),
            queue.is_active(fallback),
            ~_was_handed_over(),
        )
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        return False
    original, channel, taker = row
    _hand_over(session, original, taker, _wording(original, channel, taker, sealer, base), now)
    return True


def _hand_over(session: AsyncSession, original: Notification, taker: Channel, wording: Rendered, now: datetime) -> None:
    session.add(
        Notification(
            key=original.key,
            channel_id=taker.id,
            region_code=original.region_code,
            group_id=original.group_id,
            kind=original.kind,
            content=original.content,
            title=wording.title,
            text=wording.text,
            fallback_of=original.id,
        )
    )
    original.next_attempt_at = now + retries.GIVEN_UP_AFTER


def _wording(original: Notification, channel: Channel, taker: Channel, sealer: Sealer, base: str | None) -> Rendered:
    if (channel.language, channel.form) == (taker.language, taker.form):
        return Rendered(original.title, original.text)
    try:
        content = Content.model_validate(original.content)
    except ValidationError:  # an older version wrote it
        return Rendered(original.title, original.text)
    links = links_of(original.id, content, base=base, sealer=sealer)
    return render(content, language=taker.language, form=taker.form, links=links)
