"""Acknowledge what a notification told, by its signed link: it leads there, and gives nobody a right."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import CTE, ColumnElement, Select, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.scope import Caller
from app.alerts.message_links import read_token
from app.alerts.models import Announcement, Channel, Notification
from app.alerts.notifications import told_within
from app.core.clock import utc_now
from app.core.errors import LinkOver, NotFound
from app.core.sealing import Sealer
from app.incidents import bulk_patch, selection
from app.incidents.bulk_patch import MAX_INCIDENTS
from app.incidents.models import Incident, IncidentStatus
from app.incidents.schemas import IncidentPatch
from app.postgres.engine import Counter, lock_counter
from app.registry import regions

ACKNOWLEDGED = IncidentPatch(status=IncidentStatus.ACKNOWLEDGED)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a link leads to: of its notification's group, what lasts and nobody handles, within the caller's scope."""

    notification: Notification
    is_own: bool  # the notification itself is within the caller's scope
    expires_at: datetime
    incidents: Sequence[Incident]
    elsewhere: int  # further ones, beyond the scope

    def present(self, *, names_people: bool) -> dict[str, Any]:
        """Return the fields of an AcknowledgementOut but its incidents."""
        notification = self.notification
        return {
            "notification": notification.id if self.is_own else None,
            "title": notification.title if self.is_own else None,
            "office": notification.region_code,
            "office_name": regions.names()[notification.region_code],
            "created_at": notification.created_at,
            "expires_at": self.expires_at,
            "acknowledged_at": notification.acknowledged_at,
            "acknowledged_by": notification.acknowledged_by if names_people else None,
            "total": len(self.incidents),
            "elsewhere": self.elsewhere,
        }


async def find_acknowledgement(
    session: AsyncSession, token: str, *, sealer: Sealer | None, caller: Caller
) -> Acknowledgement:
    """Return what the link leads to; a used one says who used it.

    Raises NotFound for a link that is not ours, and for one that concerns nothing in the caller's scope; LinkOver.
    """
    link = read_token(token, sealer) if sealer else None
    own = told_within(caller, Notification.region_code)
    query: Select[Any, Any] = select(Notification, own.label("own")).join(
        Channel, Channel.id == Notification.channel_id
    )
    row = None
    if link is not None:
        found = query.where(Notification.id == link.notification_id).execution_options(populate_existing=True)
        row = (await session.execute(found)).one_or_none()
    if link is None or row is None:
        raise NotFound("This link is not one of ours: perhaps it was cut off, or the notification is gone")
    if link.expires_at <= utc_now():
        raise LinkOver("This link was good for seven days")
    concerned = _concerned(row.Notification)
    mine = selection.visible_incidents(caller).where(Incident.id.in_(select(concerned.c.id)))
    if not row.own and await session.scalar(mine.with_only_columns(Incident.id).limit(1)) is None:
        raise NotFound("This link is for {office}, and concerns no site within your scope", values=_office(row))
    is_open = Incident.status == IncidentStatus.OPEN
    newest = mine.where(is_open).order_by(Incident.started_at.desc(), Incident.id.desc()).limit(MAX_INCIDENTS)
    incidents = list(await session.scalars(newest.execution_options(populate_existing=True)))
    every = select(func.count()).select_from(Incident).where(Incident.id.in_(select(concerned.c.id)), is_open)
    elsewhere = (await session.scalar(every) or 0) - len(incidents)
    return Acknowledgement(row.Notification, row.own, link.expires_at, incidents, elsewhere)


async def acknowledge(
    session: AsyncSession, token: str, *, expected_count: int | None, sealer: Sealer | None, caller: Caller
) -> Acknowledgement:
    """Acknowledge all of them, and once nobody has more to do, let the link be used. Return what was acknowledged.

    Raises NotFound, LinkOver, NotAllowed, and Stale when they are not as many as expected.
    """
    await lock_counter(session, Counter.INCIDENT)  # none of them ends, and none joins, before this does
    asked = await find_acknowledgement(session, token, sealer=sealer, caller=caller)
    if asked.notification.acknowledged_at is not None:
        raise LinkOver(
            "{by} has used this link already",
            values={"by": asked.notification.acknowledged_by},
            acknowledged_at=asked.notification.acknowledged_at.isoformat(),
        )
    await bulk_patch.patch_incidents(
        session,
        [incident.id for incident in asked.incidents],
        ACKNOWLEDGED,
        caller=caller,
        dry_run=False,
        expected_count=expected_count,
    )
    if asked.incidents and not asked.elsewhere:
        await session.execute(
            update(Notification)
            .where(Notification.key == asked.notification.key, Notification.acknowledged_at.is_(None))
            .values(acknowledged_at=utc_now(), acknowledged_by=caller.who)
        )
        await session.refresh(asked.notification)
    return asked


def _office(row: Any) -> dict[str, Any]:
    return {"office": regions.names()[row.Notification.region_code]}


def _concerned(notification: Notification) -> CTE:
    """Select the ids of the incidents of its group, and of those that they were merged into."""
    ids = select(Notification.id).where(Notification.key == notification.key)
    of_group: ColumnElement[bool] = Announcement.notification_id.in_(ids)
    if notification.group_id is not None:
        of_group = or_(of_group, Announcement.group_id == notification.group_id)
    told = select(Announcement.incident_id.label("id")).where(of_group, Announcement.incident_id.is_not(None))
    concerned = told.cte("concerned", recursive=True)
    merged = select(Incident.merged_into).join(concerned, Incident.id == concerned.c.id)
    return concerned.union(merged.where(Incident.merged_into.is_not(None)))
