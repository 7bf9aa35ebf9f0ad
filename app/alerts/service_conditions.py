"""Find what is wrong with this service itself: it does not measure, does not see, or a channel does not deliver."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.channels import SILENT_AFTER, is_silent, last_accepted_at
from app.alerts.condition import Condition, Finding
from app.alerts.models import AnnouncementKind, Channel, DeliveryAttempt, Notification, NotificationState
from app.judging.models import WorkerBeat
from probes.contract import CENTRAL

BEAT_STALE_AFTER = BLIND_AFTER = timedelta(minutes=2)
FAILING_AFTER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class ServiceState:
    conditions: list[Condition]
    sees: bool  # sites are measured now, so that what is not known of one is its own

    def finding(self, known: Collection[str]) -> Finding:
        over = set(known) - {condition.subject for condition in self.conditions}
        return Finding(self.conditions, dict.fromkeys(over, AnnouncementKind.RECOVERED))


async def find_unwell(session: AsyncSession, *, now: datetime) -> ServiceState:
    """`facts`: what (worker: no beat; blind: no canary answers; channel_failing, channel_silent), and of a channel
    channel (its name), problem. Without any beat ever nothing was measured yet, and nothing is wrong.
    """
    beat = await session.get(WorkerBeat, CENTRAL, populate_existing=True)
    conditions = []
    if beat is not None and now - beat.beat_at > BEAT_STALE_AFTER:
        conditions.append(_of_service("worker", beat.beat_at))
    elif beat is not None and beat.blind_since is not None and now - beat.blind_since > BLIND_AFTER:
        conditions.append(_of_service("blind", beat.blind_since))
    sees = beat is not None and beat.blind_since is None and now - beat.beat_at <= BEAT_STALE_AFTER
    return ServiceState([*conditions, *await _channels(session, now)], sees)


def _of_service(what: str, since: datetime) -> Condition:
    return Condition(AnnouncementKind.SERVICE_UNWELL, f"service:{what}", since, {"what": what})


async def _channels(session: AsyncSession, now: datetime) -> list[Condition]:
    """Return those whose deliveries fail for minutes, and those that have accepted nothing for a day."""
    failed_at = (
        select(func.min(DeliveryAttempt.started_at))
        .join(Notification, Notification.id == DeliveryAttempt.notification_id)
        .where(Notification.channel_id == Channel.id, DeliveryAttempt.outcome != NotificationState.ACCEPTED)
        .where(DeliveryAttempt.started_at > func.coalesce(Channel.accepted_at, Channel.created_at))
        .correlate(Channel)
        .scalar_subquery()
    )
    waiting_since = (
        select(func.min(Notification.created_at))
        .where(Notification.channel_id == Channel.id, Notification.state != NotificationState.ACCEPTED)
        .where(Notification.created_at > last_accepted_at())
        .correlate(Channel)
        .scalar_subquery()
    )
    rows = await session.execute(
        select(Channel, failed_at.label("failed_at"), waiting_since.label("waiting_since"))
        .where(Channel.deleted_at.is_(None), Channel.paused_at.is_(None))
        .where((Channel.failures > 0) | is_silent(now))
        .order_by(Channel.id)
    )
    return [condition for row in rows if (condition := _of_channel(row, now)) is not None]


def _of_channel(row: Any, now: datetime) -> Condition | None:
    channel: Channel = row.Channel
    if row.waiting_since is not None and now - row.waiting_since > SILENT_AFTER:
        what, since = "channel_silent", row.waiting_since
    elif channel.failures and row.failed_at is not None and now - row.failed_at > FAILING_AFTER:
        what, since = "channel_failing", row.failed_at
    else:
        return None
    facts = {"what": what, "channel": channel.name, "problem": channel.problem}
    return Condition(
        AnnouncementKind.SERVICE_UNWELL,
        f"channel:{channel.id}",
        since,
        facts,
        region=channel.region_code,
        but_channel=channel.id,
    )
