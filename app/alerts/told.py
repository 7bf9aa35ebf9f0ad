"""What channels were announced of incidents: who has heard of an outage, and not of its end."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.models import ONSETS, Announcement, AnnouncementKind, AnnouncementState, DropReason, Notification
from app.postgres.engine import among

BEGINNING = ONSETS | {AnnouncementKind.ESCALATED}  # who got one of these gets the end of it, too
SETTLING = frozenset({AnnouncementKind.RECOVERED, AnnouncementKind.WITHDRAWN})


@dataclass(frozen=True, slots=True)
class Told:
    """The last announcement of one subject through one channel that began or settled it."""

    kind: AnnouncementKind
    rule_id: int | None
    due_at: datetime
    is_pending: bool

    @property
    def settled(self) -> bool:
        return self.kind in SETTLING


ToldByChannel = dict[int, Told]


async def load_told(
    session: AsyncSession, subjects: Collection[str], channel_ids: Collection[int]
) -> dict[str, ToldByChannel]:
    """Return, by subject and channel, the last announcement that began or settled it.

    An onset that was dropped does not count, except one that the channel was told of as flapping.
    """
    row = Announcement
    dropped = (row.state == AnnouncementState.DROPPED) & (row.drop_reason != DropReason.FLAPPING)
    result = await session.execute(
        select(row.subject, row.channel_id, row.kind, row.rule_id, row.due_at, row.state)
        .where(among(row.subject, subjects), among(row.channel_id, channel_ids))
        .where(row.kind.in_(SETTLING) | (row.kind.in_(BEGINNING) & ~dropped))
        .ext(distinct_on(row.subject, row.channel_id))
        .order_by(row.subject, row.channel_id, row.id.desc())
    )
    told: dict[str, ToldByChannel] = defaultdict(dict)
    for subject, channel_id, kind, rule_id, due_at, state in result:
        told[subject][channel_id] = Told(kind, rule_id, due_at, state is AnnouncementState.PENDING)
    return told


async def load_settled(session: AsyncSession, subjects: Collection[str], channel_id: int) -> dict[str, datetime]:
    """Return when the channel was last told the end of each subject, if ever."""
    row = Announcement
    result = await session.execute(
        select(row.subject, func.max(Notification.created_at).label("told_at"))
        .join(Notification, Notification.id == row.notification_id)
        .where(among(row.subject, subjects), row.channel_id == channel_id, row.kind.in_(SETTLING))
        .group_by(row.subject)
    )
    return {row.subject: row.told_at for row in result}
