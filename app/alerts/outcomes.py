"""What became of announcements: part of a notification, held until then, or dropped."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.channel_backlog import Pending
from app.alerts.gate import Hold
from app.alerts.models import Announcement, AnnouncementState, DropReason, HoldReason, Notification
from app.alerts.plan import GroupState, Plan, PlannedMessage, Subject
from app.postgres.engine import among

Pendings = Mapping[Subject, Pending]


async def mark_sent(
    session: AsyncSession,
    message: PlannedMessage,
    notification: Notification,
    plan: Plan,
    pending: Pendings,
) -> None:
    by_group: dict[int | None, list[int]] = defaultdict(list)
    for subject in message.subjects:
        group = message.group or plan.joined.get(subject)
        by_group[group.id if group is not None else None] += [row.id for row in pending[subject].rows]
    for group_id, ids in by_group.items():
        await _update(
            session,
            ids,
            state=AnnouncementState.SENT,
            group_id=group_id,
            notification_id=notification.id,
            hold_reason=None,
        )


async def mark_rest(session: AsyncSession, plan: Plan, pending: Pendings) -> None:
    """Write what is held until when, what is dropped and why, and what the last message of its group told already."""
    held: dict[tuple[Hold, int | None], list[int]] = defaultdict(list)
    for subject, hold in plan.held.items():
        group = plan.joined.get(subject)
        group_id = group.id if group is not None and hold.reason is HoldReason.GROUPING else None
        held[hold, group_id] += [
            row.id
            for row in pending[subject].rows
            if (row.due_at, row.hold_reason, row.group_id) != (hold.until, hold.reason, group_id)
        ]
    for (hold, group_id), ids in held.items():
        await _update(session, ids, due_at=hold.until, hold_reason=hold.reason, group_id=group_id)
    dropped: dict[DropReason, list[int]] = defaultdict(list)
    for subject, reason in plan.dropped.items():
        dropped[reason] += [row.id for row in pending[subject].rows]
    for reason, ids in dropped.items():
        await _update(
            session, ids, state=AnnouncementState.DROPPED, drop_reason=reason, hold_reason=None, group_id=None
        )
    told: dict[GroupState, list[int]] = defaultdict(list)
    for subject, group in plan.told_already.items():
        told[group] += [row.id for row in pending[subject].rows]
    for group, ids in told.items():
        last = await session.scalar(select(func.max(Notification.id)).where(Notification.group_id == group.id))
        await _update(
            session, ids, state=AnnouncementState.SENT, group_id=group.id, notification_id=last, hold_reason=None
        )


async def _update(session: AsyncSession, ids: Iterable[int], **values: Any) -> None:
    ids = list(ids)
    if ids:
        await session.execute(
            update(Announcement)
            .where(among(Announcement.id, ids))
            .values(**values)
            .execution_options(synchronize_session=False)
        )
