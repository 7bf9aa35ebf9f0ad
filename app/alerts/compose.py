"""Make notifications of announcements that are due: channel by channel, each in one transaction.

Whatever is killed while it runs, what was pending still is; what was written is written whole, once.
"""

from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid5

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from app.access.sealer import open_sealer
from app.alerts.backlog_loading import AHEAD, load_backlog
from app.alerts.channel_backlog import ChannelBacklog
from app.alerts.message_content import ContentBuilder
from app.alerts.message_links import links_of
from app.alerts.models import (
    AlertGroup,
    Announcement,
    AnnouncementState,
    Channel,
    DropReason,
    Notification,
)
from app.alerts.notification_writer import write_notification
from app.alerts.outcomes import Pendings, mark_rest, mark_sent
from app.alerts.plan import REOPEN_WITHIN, Plan, PlannedMessage, Timing
from app.alerts.planning import make_plan
from app.alerts.subjects import coming_of, subjects_of
from app.core.sealing import Sealer
from app.judging.models import WorkerBeat
from app.postgres.engine import Sessions, is_unavailable, transaction
from app.postgres.leader_lock import NoLongerLeader
from app.settings import Settings
from probes.contract import CENTRAL

NAMESPACE = UUID("5f3f1c3e-6a55-4a53-9b0e-2f2f0c9f5c11")
LOCK = 16_16  # advisory, with the channel's id
LOOK_EVERY = timedelta(seconds=5)  # while something is due that could not be told of yet
BEAT_STALE = timedelta(minutes=1)

DUE_CHANNELS = text("""
    SELECT DISTINCT channel_id FROM announcement WHERE state = 'pending' AND (due_at <= :now OR created_at > :ahead)
    UNION
    SELECT channel_id FROM alert_group WHERE closed_at IS NULL AND (due_at <= :now OR flapping_since > :ahead)
    UNION
    SELECT g.channel_id FROM alert_group g
    WHERE g.closed_at IS NULL AND g.cleared_at IS NULL AND g.flapping_since IS NULL
        AND (g.notified_at + cast(:interval AS interval) * least(2 ^ g.updates, 12) <= :now OR g.notified_at > :ahead)
        AND EXISTS (SELECT 1 FROM announcement a JOIN incident i ON i.id = a.incident_id
            WHERE a.group_id = g.id AND i.kind = 'shared' AND i.status IN ('open', 'acknowledged')
                AND i.version > g.seen_version)
    ORDER BY 1
""")  # the last: a shared incident of an open group may have more sites now
NEXT_DUE = text("""
    SELECT least((SELECT min(due_at) FROM announcement WHERE state = 'pending'),
        (SELECT min(due_at) FROM alert_group WHERE closed_at IS NULL),
        (SELECT min(notified_at + cast(:interval AS interval) * least(2 ^ updates, 12)) FROM alert_group
            WHERE closed_at IS NULL AND cleared_at IS NULL AND flapping_since IS NULL
                AND notified_at + cast(:interval AS interval) * least(2 ^ updates, 12) > :now))
""")
CLOSE_GROUPS = text("""
    UPDATE alert_group SET closed_at = :now
    WHERE closed_at IS NULL AND flapping_since IS NULL AND cleared_at <= :before
""")


async def compose(
    sessions: Sessions, *, now: datetime, settings: Settings, sealer: Sealer | None = None
) -> datetime | None:
    """Write the notifications that are due. Return when something is due next; None if nothing is known to be.

    Two at once write each notification once. What fails for one channel is raised after all others were composed.
    """
    timing = timing_of(settings)
    async with sessions() as session:
        asked = {"now": now, "ahead": now + AHEAD, "interval": timing.interval}
        channel_ids = list(await session.scalars(DUE_CHANNELS, asked))
        if not channel_ids:
            return await _next_due(session, now, timing)
    if sealer is None and settings.public_base is not None:
        async with transaction(sessions) as session:
            sealer = await open_sealer(session, settings)
    failures: list[Exception] = []
    for channel_id in channel_ids:
        try:
            async with transaction(sessions) as session:
                await _compose_channel(
                    session, channel_id, now=now, timing=timing, base=settings.public_base, sealer=sealer
                )
        except Exception as error:
            if is_unavailable(error) or isinstance(error, NoLongerLeader):
                raise
            failures.append(error)
    for failure in failures:
        raise failure
    async with sessions() as session:
        return await _next_due(session, now, timing)


async def _next_due(session: AsyncSession, now: datetime, timing: Timing) -> datetime | None:
    next_due: datetime | None = await session.scalar(NEXT_DUE, {"now": now, "interval": timing.interval})
    return next_due if next_due is None or next_due > now else now + LOOK_EVERY


async def close_groups(session: AsyncSession, *, now: datetime) -> None:
    """Close the groups that nothing reopens any more."""
    await session.execute(CLOSE_GROUPS, {"now": now, "before": now - REOPEN_WITHIN})


def timing_of(settings: Settings) -> Timing:
    alerts = settings.alerts
    return Timing(timedelta(seconds=alerts.group_wait_s), timedelta(seconds=alerts.group_interval_s))


async def is_blind(session: AsyncSession, now: datetime) -> bool:
    """Whether we do not see sites now. Without any beat nothing was measured yet."""
    beat = await session.scalar(
        select(WorkerBeat).where(WorkerBeat.source == CENTRAL).execution_options(populate_existing=True)
    )
    return beat is not None and (beat.blind_since is not None or beat.beat_at < now - BEAT_STALE)


async def _compose_channel(
    session: AsyncSession, channel_id: int, *, now: datetime, timing: Timing, base: str | None, sealer: Sealer | None
) -> None:
    """Compose what one channel is told.

    1. Lock the channel's announcements against another composer, then load what is due.
    2. Plan: what is sent, held and dropped, by the gate and the groups.
    3. Write notifications, groups, and what became of each announcement.
    """
    await session.execute(select(func.pg_advisory_xact_lock(LOCK, channel_id)))
    channel = await session.scalar(
        select(Channel)
        .where(Channel.id == channel_id)
        .options(joinedload(Channel.provider))
        .execution_options(populate_existing=True)
    )
    if channel is None:
        return
    if channel.deleted_at is not None:
        await _drop_all(session, channel, now)
        return
    state = await load_backlog(session, channel, now=now, timing=timing)
    pending = subjects_of(state, now=now, timing=timing, is_blind=await is_blind(session, now))
    groups = list(state.groups.values())
    grown = [group for group in groups if group.cleared_at is None and sum(group.open.values()) > group.sites_told]
    plan = make_plan(groups, list(pending), now=now, timing=timing, coming=coming_of(state), grown=grown)
    await _store_groups(session, channel, state, plan, now)
    if plan.messages:
        provider = channel.provider.slug if channel.provider is not None else None
        builder = ContentBuilder(session, channel, provider, state, pending, now)
        await builder.load(plan.messages)
        for message in plan.messages:
            notification = await _notify(session, channel, message, builder, pending, base=base, sealer=sealer)
            await mark_sent(session, message, notification, plan, pending)
    await mark_rest(session, plan, pending)


async def _drop_all(session: AsyncSession, channel: Channel, now: datetime) -> None:
    row = Announcement
    await session.execute(
        update(row)
        .where(row.channel_id == channel.id, row.state == AnnouncementState.PENDING)
        .values(state=AnnouncementState.DROPPED, drop_reason=DropReason.CHANNEL_DELETED)
    )
    await session.execute(
        update(AlertGroup)
        .where(AlertGroup.channel_id == channel.id, AlertGroup.closed_at.is_(None))
        .values(closed_at=now, due_at=None)
    )


async def _store_groups(
    session: AsyncSession, channel: Channel, state: ChannelBacklog, plan: Plan, now: datetime
) -> None:
    for group in plan.new_groups:
        row = AlertGroup(channel_id=channel.id, key=group.key, opened_at=group.opened_at)
        session.add(row)
        await session.flush()
        group.id = row.id
        state.rows[row.id], state.groups[row.id] = row, group
    for group_id, group in state.groups.items():
        row = state.rows[group_id]
        if group.notifications and not group.open and group.cleared_at is None and group.flapping_since is None:
            group.cleared_at = now  # what it told of was merged into what another group tells, or ended unannounced
        for name in ("notified_at", "notifications", "updates", "sites_told", "cleared_at", "flapping_since", "due_at"):
            setattr(row, name, getattr(group, name))
        row.recurred_at = list(group.recurred_at)
        incident_ids = (state.open[name].incident_id for name in group.open if name in state.open)
        versions = [state.incidents[each].version for each in incident_ids if each is not None]
        if sum(group.open.values()) <= group.sites_told:
            row.seen_version = max([row.seen_version or 0, *versions])


async def _notify(
    session: AsyncSession,
    channel: Channel,
    message: PlannedMessage,
    builder: ContentBuilder,
    pending: Pendings,
    *,
    base: str | None,
    sealer: Sealer | None,
) -> Notification:
    content = builder.build(message)
    return await write_notification(
        session,
        channel,
        content,
        key=_key(channel, message, pending),
        group_id=message.group.id if message.group is not None else None,
        links=None if sealer is None else partial(links_of, content=content, base=base, sealer=sealer),
    )


def _key(channel: Channel, message: PlannedMessage, pending: Pendings) -> UUID:
    """Return the same for the same message, however often it is composed."""
    if message.group is not None:
        return uuid5(NAMESPACE, f"group:{message.group.id}:{message.group.notifications}")
    first = min(row.id for subject in message.subjects for row in pending[subject].rows)
    return uuid5(NAMESPACE, f"{message.kind.value}:{channel.id}:{first}")
