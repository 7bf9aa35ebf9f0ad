"""Notifications and announcements as a caller may read them: who was told what, and why somebody was not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import CTE, ColumnElement, Select, func, select, true, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller, in_region, require_region
from app.alerts.models import (
    Announcement,
    AnnouncementState,
    Channel,
    DeliveryAttempt,
    Notification,
    NotificationKind,
    NotificationState,
)
from app.core.errors import NotFound
from app.incidents.models import Incident
from app.postgres.engine import among
from app.registry import regions
from app.registry.models import Provider

LISTED_INCIDENTS = 10

PagePosition = tuple[datetime, int]  # created_at and id of a page's last notification


@dataclass(frozen=True, slots=True)
class ToldFilter:
    """What notifications and announcements are filtered by; of several values any may match."""

    incident: int | None = None
    channel: int | None = None
    region: str | None = None
    provider: str | None = None
    states: tuple[NotificationState, ...] = ()
    kinds: tuple[NotificationKind, ...] = ()
    start: datetime | None = None
    end: datetime | None = None


def told_within(caller: Caller, region_code: Any) -> ColumnElement[bool]:
    """The filter on what was told to the caller's offices, or to the provider whose viewer the caller is.

    A notification is made for one office and one provider: whoever sees it sees all of it. `Channel` is joined.
    """
    own: ColumnElement[bool] = true()
    if caller.provider_id is not None:
        own = Channel.provider_id == caller.provider_id
    return in_region(region_code, caller.region_code) & own


def _notifications(caller: Caller) -> Select[Any, Any, Any]:
    query: Select[Any, Any, Any] = select(Notification, Channel, Provider.slug)
    query = query.join(Channel, Channel.id == Notification.channel_id)
    query = query.outerjoin(Provider, Provider.id == Channel.provider_id)
    return query.where(told_within(caller, Notification.region_code))


async def list_notifications(
    session: AsyncSession, criteria: ToldFilter, *, caller: Caller, after: PagePosition | None, limit: int
) -> list[dict[str, Any]]:
    """Return the fields of NotificationOut and their text, newest first. Raises NotAllowed for a region."""
    query = _of_channels(_notifications(caller), criteria, caller, Notification.region_code)
    if criteria.incident is not None:
        own = select(Notification.key).join(Announcement, Announcement.notification_id == Notification.id)
        own = own.where(Announcement.incident_id.in_(select(_with_merged(criteria.incident).c.id)))
        query = query.where(Notification.key.in_(own.scalar_subquery()))
    for column, values in ((Notification.state, criteria.states), (Notification.kind, criteria.kinds)):
        if values:
            query = query.where(column.in_(values))
    if criteria.start is not None:
        query = query.where(Notification.created_at >= criteria.start)
    if criteria.end is not None:
        query = query.where(Notification.created_at < criteria.end)
    if after is not None:
        query = query.where(tuple_(Notification.created_at, Notification.id) < after)
    query = query.order_by(Notification.created_at.desc(), Notification.id.desc()).limit(limit)
    return await _present_all(session, (await session.execute(query)).all(), caller=caller)


def _of_channels(query: Any, criteria: ToldFilter, caller: Caller, region_code: Any) -> Any:
    if criteria.region is not None:
        require_region(caller, criteria.region)
        query = query.where(in_region(region_code, criteria.region))
    if criteria.channel is not None:
        query = query.where(Channel.id == criteria.channel)
    if criteria.provider is not None:
        query = query.where(Provider.slug == criteria.provider)
    return query


def _with_merged(incident_id: int) -> CTE:
    """Select the ids of an incident and of those merged into it."""
    merged = select(Incident.id).where(Incident.id == incident_id).cte("merged", recursive=True)
    return merged.union(select(Incident.id).join(merged, Incident.merged_into == merged.c.id))


async def get_notification(session: AsyncSession, notification_id: int, *, caller: Caller) -> dict[str, Any]:
    """Return the fields of a NotificationDetail. Raises NotFound, alike for an unknown one and one out of scope."""
    row = (await session.execute(_notifications(caller).where(Notification.id == notification_id))).one_or_none()
    if row is None:
        raise NotFound("There is no notification {given} within your scope", values={"given": notification_id})
    query = select(DeliveryAttempt).where(DeliveryAttempt.notification_id == notification_id)
    deliveries = list(await session.scalars(query.order_by(DeliveryAttempt.id)))
    (fields,) = await _present_all(session, [row], caller=caller)
    return fields | {"content": row.Notification.content, "deliveries": deliveries}


async def _present_all(session: AsyncSession, rows: Sequence[Any], *, caller: Caller) -> list[dict[str, Any]]:
    incidents = await _list_incidents(session, [notification.key for notification, _, _ in rows])
    columns = (
        "id",
        "key",
        "kind",
        "title",
        "text",
        "state",
        "created_at",
        "settled_at",
        "attempts",
        "http_status",
        "receiver_id",
        "problem",
        "fallback_of",
        "acknowledged_at",
    )
    found = []
    for notification, channel, provider in rows:
        count, ids = incidents.get(notification.key, (0, []))
        queued = notification.state is NotificationState.QUEUED
        found.append(
            {name: getattr(notification, name) for name in columns}
            | {
                "channel": _told_channel(channel),
                "office": notification.region_code,
                "office_name": regions.names()[notification.region_code],
                "provider": provider,
                "incidents": count,
                "incident_ids": ids,
                "next_attempt_at": notification.next_attempt_at if queued else None,
                "acknowledged_by": notification.acknowledged_by if caller.provider_id is None else None,
            }
        )
    return found


def _told_channel(channel: Channel) -> dict[str, Any]:
    return {"id": channel.id, "name": channel.name, "service": channel.service}


async def _list_incidents(session: AsyncSession, keys: Sequence[Any]) -> dict[Any, tuple[int, list[int]]]:
    """Return by key how many incidents a notification tells of, and the first of them; those of a fallback, too."""
    if not keys:
        return {}
    incident_id = Announcement.incident_id
    query = (
        select(Notification.key, func.array_agg(incident_id.distinct()))
        .join(Announcement, Announcement.notification_id == Notification.id)
        .where(among(Notification.key, keys), incident_id.is_not(None))
        .group_by(Notification.key)
    )
    rows: Sequence[Any] = (await session.execute(query)).all()
    return {key: (len(ids), sorted(ids)[:LISTED_INCIDENTS]) for key, ids in rows}


async def list_announcements(
    session: AsyncSession,
    criteria: ToldFilter,
    states: Sequence[AnnouncementState],
    *,
    caller: Caller,
    before: int | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Return the fields of AnnouncementOut, newest first. Raises NotAllowed for a region out of scope."""
    query: Select[Any, Any] = select(Announcement, Channel).join(Channel, Channel.id == Announcement.channel_id)
    query = query.outerjoin(Provider, Provider.id == Channel.provider_id)
    query = query.where(told_within(caller, Announcement.region_code))
    query = _of_channels(query, criteria, caller, Announcement.region_code)
    if criteria.incident is not None:
        query = query.where(Announcement.incident_id.in_(select(_with_merged(criteria.incident).c.id)))
    if states:
        query = query.where(Announcement.state.in_(states))
    if before is not None:
        query = query.where(Announcement.id < before)
    rows = await session.execute(query.order_by(Announcement.id.desc()).limit(limit))
    return [_present_announcement(announcement, channel) for announcement, channel in rows]


def _present_announcement(announcement: Announcement, channel: Channel) -> dict[str, Any]:
    columns = (
        "id",
        "subject",
        "incident_id",
        "kind",
        "rule_id",
        "created_at",
        "due_at",
        "state",
        "hold_reason",
        "drop_reason",
        "notification_id",
    )
    return {name: getattr(announcement, name) for name in columns} | {
        "channel": _told_channel(channel),
        "office": announcement.region_code,
    }
