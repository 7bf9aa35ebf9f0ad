"""What a rule holds back is looked at again when the rule changes."""

from datetime import datetime

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.models import Announcement, AnnouncementState, HoldReason

BY_RULES = (HoldReason.QUIET_HOURS, HoldReason.MUTED, HoldReason.POWER_HOURS)


async def release_held(session: AsyncSession, rule_id: int, *, now: datetime) -> None:
    """Make due what this rule holds: the gate then asks what the rule says now."""
    row = Announcement
    await session.execute(
        update(row)
        .where(row.rule_id == rule_id, row.state == AnnouncementState.PENDING, row.hold_reason.in_(BY_RULES))
        .where(row.due_at > now)
        .values(due_at=now)
        .execution_options(synchronize_session=False)
    )
