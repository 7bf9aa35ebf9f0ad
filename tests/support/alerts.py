"""Channels and rules of offices, written to the database as they are: for tests of what follows from them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, update

from app.alerts.compose import close_groups, compose
from app.alerts.content import Content
from app.alerts.models import (
    AlertGroup,
    AlertKind,
    AlertRule,
    Announcement,
    AnnouncementState,
    Channel,
    Notification,
)
from app.alerts.texts import render
from app.availability.models import MaintenanceWindow
from app.postgres.engine import Sessions, transaction
from app.registry.models import Provider
from app.settings import AlertsSettings, Settings


@dataclass
class AlertDesk:
    sessions: Sessions
    made: int = 0

    async def channel(self, office: str = "64.02", **changes: Any) -> int:
        """`provider` as a slug."""
        self.made += 1
        async with transaction(self.sessions) as session:
            slug = changes.pop("provider", None)
            provider_id = await session.scalar(select(Provider.id).where(Provider.slug == slug))
            channel = Channel(
                **{
                    "region_code": office,
                    "provider_id": provider_id,
                    "name": f"channel {self.made}",
                    "service": "webhook",
                    "target": b"",
                    "target_hint": "http://127.0.0.1",
                    "created_by": "ana",
                    "version": self.made,
                    **changes,
                }
            )
            session.add(channel)
        return channel.id

    async def rule(
        self, *channel_ids: int, kinds: Collection[str] = (AlertKind.DOWN,), office: str = "64.02", **changes: Any
    ) -> int:
        self.made += 1
        async with transaction(self.sessions) as session:
            rule = AlertRule(
                **{
                    "region_code": office,
                    "name": f"rule {self.made}",
                    "kinds": list(kinds),
                    "within": office,
                    "technologies": [],
                    "provider_ids": [],
                    "least_s": 0,
                    "degraded_hours": 6,
                    "keeps_power_hours": False,
                    "channel_ids": list(channel_ids),
                    "created_by": "ana",
                    "version": self.made,
                    **changes,
                }
            )
            session.add(rule)
        return rule.id

    async def change(self, table: type[AlertRule | Channel | Announcement], key: int, **values: Any) -> None:
        async with transaction(self.sessions) as session:
            await session.execute(update(table).where(table.id == key).values(**values))

    async def announce_windows(self, at: datetime) -> None:
        """Let all maintenance have been announced then."""
        async with transaction(self.sessions) as session:
            await session.execute(update(MaintenanceWindow).values(announced_at=at))

    async def compose(self, now: datetime, **alerts: Any) -> datetime | None:
        """Compose what is due at that moment, as the courier does."""
        async with transaction(self.sessions) as session:
            await close_groups(session, now=now)
        return await compose(self.sessions, now=now, settings=Settings(alerts=AlertsSettings(**alerts)))

    async def notifications(self, *channel_ids: int) -> list[Notification]:
        """Return those of these channels, by default all, in the order in which they were written."""
        async with transaction(self.sessions) as session:
            query = select(Notification).order_by(Notification.id)
            if channel_ids:
                query = query.where(Notification.channel_id.in_(channel_ids))
            return list(await session.scalars(query))

    async def contents(self, *channel_ids: int) -> list[Content]:
        return [Content.model_validate(each.content) for each in await self.notifications(*channel_ids)]

    async def announcements(self, *channel_ids: int) -> list[Announcement]:
        """Return those of these channels, by default all, in the order in which they were written."""
        async with transaction(self.sessions) as session:
            query = select(Announcement).order_by(Announcement.id)
            if channel_ids:
                query = query.where(Announcement.channel_id.in_(channel_ids))
            return list(await session.scalars(query))

    async def told(self, channel_id: int) -> list[tuple[str, str]]:
        """Return kind and subject of what was announced to a channel, in order."""
        return [(row.kind.value, row.subject) for row in await self.announcements(channel_id)]

    async def notify(self, channel_id: int, content: Content, **changes: Any) -> int:
        """Make one notification, in a group of its own, of what is pending for the channel; return its id."""
        async with transaction(self.sessions) as session:
            channel = await session.get_one(Channel, channel_id)
            group = AlertGroup(channel_id=channel_id, key="office")
            session.add(group)
            await session.flush()
            rendered = render(content, language=channel.language, form=channel.form)
            values = {"kind": content.kind, "title": rendered.title, "text": rendered.text, "key": uuid4(), **changes}
            notification = Notification(
                channel_id=channel_id,
                region_code=channel.region_code,
                group_id=group.id,
                content=content.model_dump(mode="json"),
                **values,
            )
            session.add(notification)
            await session.flush()
            sent = {"state": AnnouncementState.SENT, "notification_id": notification.id, "group_id": group.id}
            pending = (Announcement.channel_id == channel_id) & (Announcement.state == AnnouncementState.PENDING)
            await session.execute(update(Announcement).where(pending).values(sent))
        return notification.id

    async def drop(self, channel_id: int, reason: str) -> None:
        """Drop what is pending for the channel."""
        async with transaction(self.sessions) as session:
            await session.execute(
                update(Announcement)
                .where(Announcement.channel_id == channel_id, Announcement.state == AnnouncementState.PENDING)
                .values(state=AnnouncementState.DROPPED, drop_reason=reason)
            )


@pytest.fixture
def desk(sessions: Sessions) -> AlertDesk:
    return AlertDesk(sessions)
