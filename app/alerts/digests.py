"""The digest of a day or a week that an office may choose: how its sites did, and what is down now.

From 07.30 WITA on, of a week on Mondays; once a channel and day, later that day if the courier did not run then. What
was not sent by midnight is skipped, and the next one says so.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import any_, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.alerts.affected_members import Audience, OutageMember
from app.alerts.content import NAMED_SITES, Content, Section
from app.alerts.digest_figures import DigestReader, Span, read_digests
from app.alerts.message_links import page_of
from app.alerts.message_values import Links
from app.alerts.models import AlertKind, AlertRule, Channel, Notification, NotificationKind
from app.alerts.notification_writer import write_notification
from app.alerts.told_sites import told_place, told_site
from app.core.clock import to_wita
from app.postgres.engine import among

MONDAY = 0
KINDS = {
    AlertKind.DAILY_DIGEST: (NotificationKind.DAILY_DIGEST, 1),
    AlertKind.WEEKLY_DIGEST: (NotificationKind.WEEKLY_DIGEST, 7),
}


async def write_digests(session: AsyncSession, *, now: datetime, base: str | None) -> int:
    """Queue the digests of today that are due and not queued yet; return how many. Idempotent.

    `base`: the service's public address, for links.
    """
    day, written = to_wita(now).date(), 0
    for kind, (notification_kind, days) in KINDS.items():
        span = Span(notification_kind, day, days)
        if now < span.begins_at or (days > 1 and day.weekday() != MONDAY):
            continue
        channels = await _list_due(session, kind, span, now)
        if channels:
            reader = await read_digests(session, span, now)
            for channel in channels:
                await _write(session, channel, span, reader, base)
            written += len(channels)
    return written


async def _list_due(session: AsyncSession, kind: AlertKind, span: Span, now: datetime) -> list[Channel]:
    """Return the channels of rules that ask for it, which were there when it was due, and have not been sent it."""
    asks = (
        select(AlertRule.id)
        .where(AlertRule.region_code == Channel.region_code, AlertRule.deleted_at.is_(None))
        .where(Channel.id == func.any(AlertRule.channel_ids), literal(kind.value) == any_(AlertRule.kinds))
        .where(AlertRule.created_at <= span.begins_at)
        .where(or_(AlertRule.muted_until.is_(None), AlertRule.muted_until <= now))
    )
    query = select(Channel).where(Channel.deleted_at.is_(None), Channel.created_at <= span.begins_at, asks.exists())
    channels = list(await session.scalars(query.options(joinedload(Channel.provider)).order_by(Channel.id)))
    keys = {span.key(channel.id): channel for channel in channels}
    sent = set(await session.scalars(select(Notification.key).where(among(Notification.key, keys))) if keys else ())
    return [channel for key, channel in keys.items() if key not in sent]


async def _write(session: AsyncSession, channel: Channel, span: Span, reader: DigestReader, base: str | None) -> None:
    outages = reader.outages(Audience(channel.region_code, channel.provider_id))
    content = Content(
        kind=span.kind,
        at=reader.now,
        office=told_place(channel.region_code),
        provider=channel.provider.slug if channel.provider is not None else None,
        down=_section([member for member in outages if member.ended_at is None]),
        recovered=_section([each for each in outages if each.ended_at is not None and each.ended_at >= span.start]),
        figures=await reader.figures(channel, outages),
        simulated=reader.is_simulated,
    )
    await write_notification(
        session,
        channel,
        content,
        key=span.key(channel.id),
        links=None if base is None else lambda notification_id: Links(page_of(notification_id, base)),
    )


def _section(members: Sequence[OutageMember]) -> Section:
    return Section(sites=[told_site(member, {}) for member in members[:NAMED_SITES]], total=len(members))
