"""Loads what one channel has pending and was told, at once however much that is."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Text, case, cast, func, or_, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.affected_members import Audience, load_maintenance, load_members
from app.alerts.channel_backlog import ChannelBacklog, Pending, final_target, name_of
from app.alerts.models import (
    AlertGroup,
    AlertRule,
    Announcement,
    AnnouncementKind,
    AnnouncementState,
    Channel,
    Notification,
)
from app.alerts.plan import GroupState, Timing
from app.alerts.told import BEGINNING, SETTLING
from app.core.clock import midnight, month_of
from app.incidents.models import Incident, IncidentSite
from app.postgres.engine import among

AHEAD = timedelta(minutes=1)  # what lies further ahead was written before the clock was set back
OF_MONTH = frozenset({AnnouncementKind.BUDGET_SPENT, AnnouncementKind.CONTRACT_AT_RISK})


async def load_backlog(session: AsyncSession, channel: Channel, *, now: datetime, timing: Timing) -> ChannelBacklog:
    """Load in a fixed number of statements.

    1. What is due, with all else that is pending of the same subjects; what waits in groups; what comes soon.
    2. What was told of these subjects, and all that the channel's groups were told and that lasts.
    3. The incidents, their outages that this channel hears of, maintenance and rules.
    """
    state = ChannelBacklog(Audience(channel.region_code, channel.provider_id))
    await _load_pending(session, state, channel.id, now=now, timing=timing)
    await _load_groups(session, state, channel.id, now=now, timing=timing)
    await _load_incidents(session, state, channel.id)
    untold = [pending for pending in state.pending.values() if not pending.is_told and pending.incident is not None]
    affected = [member for each in untold for member in state.members_of(each.rows[0].incident_id)]
    state.maintenance = await load_maintenance(session, affected, now)
    rule_ids = {pending.rule_id for pending in state.pending.values()} - {None}
    rules = await session.scalars(select(AlertRule).where(among(AlertRule.id, rule_ids))) if rule_ids else ()
    state.rules = {rule.id: rule for rule in rules if rule.deleted_at is None}
    return state


async def _load_pending(
    session: AsyncSession, state: ChannelBacklog, channel_id: int, *, now: datetime, timing: Timing
) -> None:
    row = Announcement
    of_channel = (row.channel_id == channel_id, row.state == AnnouncementState.PENDING)
    is_ready = or_(row.due_at <= now, row.group_id.is_not(None), row.created_at > now + AHEAD)
    ready = select(row.subject).where(*of_channel, is_ready)
    rows = await session.execute(
        select(row, Incident)  # in one statement: an incident is as its announcements say
        .outerjoin(Incident, Incident.id == row.incident_id)
        .where(*of_channel, or_(row.due_at <= now + timing.wait, row.subject.in_(ready)))
        .order_by(row.id)
        .execution_options(populate_existing=True)
    )
    by_name: dict[str, Pending] = defaultdict(Pending)
    for announcement, incident in rows:
        pending = by_name[name_of(announcement)]
        pending.rows.append(announcement)
        pending.incident = incident
    for name, pending in by_name.items():
        if any(each.due_at <= now or each.group_id or each.created_at > now + AHEAD for each in pending.rows):
            state.pending[name] = pending
        else:
            state.coming += [each for each in pending.rows if each.kind in BEGINNING]
    subjects = {pending.rows[0].subject for pending in state.pending.values()}
    for told in await session.execute(_last_told(row.channel_id == channel_id, among(row.subject, subjects))):
        if (told_of := state.pending.get(told.name)) is not None:
            told_of.told = told


def _last_told(*conditions: Any) -> Any:
    """Select what was last sent of each subject's begin and end, with its name (`name_of`)."""
    row = Announcement
    onset_kind = func.coalesce(row.facts["of"].as_string(), cast(row.kind, Text))
    name = case(
        (row.incident_id.is_not(None), row.subject), else_=func.concat_ws(" ", row.subject, onset_kind, row.version)
    )
    return (
        select(
            name.label("name"),
            row.subject,
            row.kind,
            row.group_id,
            row.incident_id,
            row.rule_id,
            row.version,
            row.facts,
            Notification.created_at.label("told_at"),
        )
        .outerjoin(Notification, Notification.id == row.notification_id)
        .where(*conditions, row.state == AnnouncementState.SENT, row.kind.in_(BEGINNING | SETTLING))
        .ext(distinct_on(name))
        .order_by(name, row.id.desc())
    )


def _ended_with_its_month(told: Row[Any], now: datetime) -> bool:
    """What a month's figures tell ends with the month, and nobody is told that."""
    return told.kind in OF_MONTH and told.version < midnight(month_of(now)).timestamp()


async def _load_groups(
    session: AsyncSession, state: ChannelBacklog, channel_id: int, *, now: datetime, timing: Timing
) -> None:
    query = select(AlertGroup).where(AlertGroup.channel_id == channel_id, AlertGroup.closed_at.is_(None))
    for group in await session.scalars(query.order_by(AlertGroup.id).execution_options(populate_existing=True)):
        state.rows[group.id] = group
        state.groups[group.id] = _state_of(group, now, timing)
    if state.groups:
        for told in await session.execute(_last_told(among(Announcement.group_id, state.groups))):
            if told.kind in BEGINNING and not _ended_with_its_month(told, now):
                state.open[told.name] = told
    over = [group for group in state.groups.values() if group.cleared_at or group.flapping_since]
    await _load_affected(session, over)


def _state_of(group: AlertGroup, now: datetime, timing: Timing) -> GroupState:
    """Return what the group was told; its moments are those of a clock that may have been set back since."""

    def past(moment: datetime | None, instead: datetime = now) -> datetime | None:
        return instead if moment is not None and moment > now + AHEAD else moment

    flapped_ahead = group.flapping_since is not None and group.flapping_since > now + AHEAD
    return GroupState(
        group.key,
        past(group.opened_at) or now,
        group.id,
        past(group.notified_at, now - timing.interval),
        group.notifications,
        group.updates,
        group.sites_told,
        past(group.cleared_at),
        past(group.flapping_since),
        now if flapped_ahead else group.due_at,
        list(group.recurred_at),
    )


async def _load_affected(session: AsyncSession, groups: Sequence[GroupState]) -> None:
    """Load what these groups told of: only what was among it recurs, and waits while it flaps."""
    by_id = {group.id: group for group in groups}
    if not by_id:
        return
    announced = Announcement
    name = case((announced.incident_id.is_(None), announced.subject), else_=func.concat("site:", IncidentSite.site_id))
    affected = await session.execute(
        select(announced.group_id, name.label("name"), func.max(announced.created_at).label("affected_at"))
        .outerjoin(IncidentSite, IncidentSite.incident_id == announced.incident_id)
        .where(among(announced.group_id, by_id), announced.kind.in_(BEGINNING))
        .where(announced.state == AnnouncementState.SENT)
        .group_by(announced.group_id, text("2"))
    )
    for row in affected:
        by_id[row.group_id].affected_at[row.name] = row.affected_at


async def _told_among(session: AsyncSession, channel_id: int, incident_ids: Collection[int]) -> set[int]:
    """Return those of the incidents that the channel was ever told of."""
    if not incident_ids:
        return set()
    row = Announcement
    told = select(row.incident_id).where(among(row.incident_id, incident_ids), row.channel_id == channel_id)
    return {each for each in await session.scalars(told.where(row.state == AnnouncementState.SENT)) if each is not None}


async def _load_incidents(session: AsyncSession, state: ChannelBacklog, channel_id: int) -> None:
    """Load the incidents and members, and drop what was merged into an incident that the channel was told of."""
    state.incidents = {each.incident.id: each.incident for each in state.pending.values() if each.incident is not None}
    wanted = {told.incident_id for told in state.open.values()} | {each.incident_id for each in state.coming}
    while missing := wanted - state.incidents.keys() - {None}:
        rows = await session.scalars(
            select(Incident).where(among(Incident.id, missing)).execution_options(populate_existing=True)
        )
        loaded = {incident.id: incident for incident in rows}
        state.incidents |= loaded
        wanted = {incident.merged_into for incident in loaded.values()}
    targets = {name: final_target(state, told.incident_id) for name, told in state.open.items() if told.incident_id}
    merged_into = {target for name, target in targets.items() if target != state.open[name].incident_id}
    known = await _told_among(session, channel_id, merged_into)
    for name, target in targets.items():
        if target in known and target != state.open[name].incident_id:
            del state.open[name]
    for incident_id, members in (await load_members(session, state.incidents.keys())).items():
        heard = [member for member in members if state.audience.hears_of(member)]
        state.members[incident_id] = heard
    for name, told in state.open.items():
        sites = 1 if told.incident_id is None else len(state.members_of(told.incident_id))
        state.groups[told.group_id].open[name] = sites
