"""Channels as their offices see, create, change and delete them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.access.scope import Caller, in_region
from app.alerts.channel_schemas import ChannelHealth
from app.alerts.models import Channel, Notification, NotificationState
from app.alerts.offices import administered_by, of_offices
from app.core.clock import utc_now
from app.core.errors import Fault, Invalid, NotFound
from app.registry import regions
from app.registry.models import Provider

SILENT_AFTER = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """A channel with how many of its notifications wait, and whether one has not been accepted for a day."""

    channel: Channel
    queued: int
    silent: bool


def last_accepted_at() -> ColumnElement[datetime]:
    """Return when the channel last accepted something, before everything for none: a range that an index finds."""
    return func.coalesce(Channel.accepted_at, literal_column("'-infinity'::timestamptz"))


def is_silent(now: datetime) -> ColumnElement[bool]:
    """Whether a channel was given a notification a day ago or earlier, and has accepted none since."""
    unanswered = select(Notification.id).where(
        Notification.channel_id == Channel.id,
        Notification.created_at <= now - SILENT_AFTER,
        Notification.created_at > last_accepted_at(),
        Notification.state != NotificationState.ACCEPTED,
    )
    return exists(unanswered.correlate(Channel))


def _channels(caller: Caller) -> Select[Any]:
    """Select the columns of ChannelRow, of channels that the caller sees and that are not deleted."""
    queued = (
        select(func.count())
        .select_from(Notification)
        .where(Notification.channel_id == Channel.id, Notification.state == NotificationState.QUEUED)
        .correlate(Channel)
        .scalar_subquery()
    )
    query = select(Channel, queued, is_silent(utc_now())).options(joinedload(Channel.provider))
    return query.where(administered_by(caller, Channel.region_code), Channel.deleted_at.is_(None))


async def list_channels(
    session: AsyncSession,
    *,
    caller: Caller,
    region: str | None,
    provider: str | None,
    after: int | None,
    limit: int,
) -> list[ChannelRow]:
    """Return channels of the offices within a region, by id. Raises NotAllowed for a region out of scope."""
    filters = of_offices(Channel, caller=caller, region=region, after=after)
    query = _channels(caller).where(*filters).order_by(Channel.id).limit(limit)
    if provider is not None:
        query = query.where(Channel.provider.has(Provider.slug == provider))
    return [ChannelRow(*row) for row in await session.execute(query)]


async def get_channel(
    session: AsyncSession, channel_id: int, *, caller: Caller, for_update: bool = False
) -> ChannelRow:
    """Raises NotFound, alike for an unknown channel, a deleted one and one out of scope."""
    query = _channels(caller).where(Channel.id == channel_id)
    if for_update:
        query = query.with_for_update(of=Channel, key_share=True).execution_options(populate_existing=True)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise unknown_channel(channel_id)
    return ChannelRow(*row)


def unknown_channel(channel_id: int) -> NotFound:
    return NotFound("There is no channel {given} within your scope", values={"given": channel_id})


async def require_channel(session: AsyncSession, channel_id: int | None, *, caller: Caller) -> int | None:
    """Check the channel that a filter names, deleted or not. Raises Invalid for one that is none of the caller's."""
    if channel_id is None:
        return None
    query = select(Channel.id).where(Channel.id == channel_id, in_region(Channel.region_code, caller.region_code))
    if caller.provider_id is not None:
        query = query.where(Channel.provider_id == caller.provider_id)
    if await session.scalar(query) is None:
        raise Invalid(
            Fault(
                "channel",
                "unknown_channel",
                "There is no channel {given} within your scope",
                "Look it up: GET /api/v1/channels",
                values={"given": channel_id},
            )
        )
    return channel_id


def state_of(row: ChannelRow) -> ChannelHealth:
    channel = row.channel
    if channel.paused_at is not None:
        return ChannelHealth.PAUSED
    if channel.failures:
        return ChannelHealth.FAILING
    if row.silent:
        return ChannelHealth.SILENT
    return ChannelHealth.UNTESTED if channel.accepted_at is None else ChannelHealth.OK


def present(row: ChannelRow, *, caller: Caller) -> dict[str, Any]:
    """Return the fields of a ChannelOut; only those who may change it see where it delivers to."""
    channel = row.channel
    columns = (
        "id",
        "name",
        "service",
        "language",
        "form",
        "failures",
        "retry_at",
        "problem",
        "paused_at",
        "created_at",
        "created_by",
        "version",
    )
    return {name: getattr(channel, name) for name in columns} | {
        "office": channel.region_code,
        "office_name": regions.names()[channel.region_code],
        "provider": channel.provider and channel.provider.slug,
        "target": channel.target_hint if caller.writes else None,
        "fallback": channel.fallback_id,
        "state": state_of(row),
        "last_accepted_at": channel.accepted_at,
        "queued": row.queued,
    }
