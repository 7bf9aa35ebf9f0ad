"""The notifications that wait, as the courier takes them from the database, and what becomes of them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, exists, func, not_, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.models import Channel, DeliveryAttempt, Notification, NotificationKind, NotificationState
from app.courier import retries
from app.courier.attempt import Attempt
from app.courier.contract import LONGEST_PROBLEM, DeliveryOutcome
from app.courier.retries import Settlement

TESTS = (NotificationKind.TEST, NotificationKind.WEEKLY_TEST)
FAR = timedelta(seconds=2 * retries.LONGEST_RETRY_AFTER_S)  # no wait is as long: the clock was set back

GIVE_UP = text("""
    WITH over AS (
        UPDATE notification n SET state = 'dead', settled_at = :now,
            problem = CASE WHEN c.deleted_at IS NOT NULL THEN 'the channel was deleted'
                WHEN c.paused_at IS NOT NULL THEN 'the channel was paused' ELSE n.problem END
        FROM channel c
        WHERE c.id = n.channel_id AND n.state = 'queued' AND n.channel_id <> ALL(CAST(:busy AS int[])) AND (
            c.deleted_at IS NOT NULL
            OR (c.paused_at IS NOT NULL OR c.failures > 0) AND n.created_at <= CAST(:now AS timestamptz) - CASE
                WHEN n.kind = 'test' THEN CAST(:test_after AS interval) ELSE CAST(:after AS interval) END)
        RETURNING n.id, n.fallback_of)
    UPDATE notification SET next_attempt_at = :now
    WHERE state = 'queued' AND id IN (SELECT fallback_of FROM over)
""")

TAKE_BACK = text("""
    UPDATE notification original SET next_attempt_at = :now
    FROM notification copy JOIN channel taker ON taker.id = copy.channel_id
    WHERE copy.fallback_of = original.id AND copy.state = 'queued' AND original.state = 'queued'
        AND original.next_attempt_at > :now
        AND (taker.failures >= :breaks_after OR taker.paused_at IS NOT NULL OR taker.deleted_at IS NOT NULL)
""")


@dataclass(frozen=True, slots=True)
class Queued:
    """The next notification of a channel."""

    notification: Notification
    channel: Channel


def is_active(channel: type[Channel]) -> ColumnElement[bool]:
    return and_(channel.deleted_at.is_(None), channel.paused_at.is_(None))


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Whether a queued notification's own wait is over; one from a future was written before the clock was set back."""
    return and_(
        Notification.state == NotificationState.QUEUED,
        or_(Notification.next_attempt_at <= now, Notification.created_at > now),
    )


def _is_first_test() -> ColumnElement[bool]:
    """A test that somebody waits for does not wait for others, nor for the channel's next try."""
    return and_(Notification.kind == NotificationKind.TEST, Notification.attempts == 0)


def _is_open(now: datetime) -> ColumnElement[bool]:
    return or_(Channel.retry_at.is_(None), Channel.retry_at <= now, Channel.retry_at > now + FAR)


async def list_due(session: AsyncSession, busy: Collection[int], now: datetime) -> list[tuple[int, int]]:
    """Return the channels that have something to deliver now, and their failures, healthy ones first."""
    waiting = exists().where(Notification.channel_id == Channel.id, _is_due(now), or_(_is_open(now), _is_first_test()))
    query = (
        select(Channel.id, Channel.failures)
        .where(is_active(Channel), Channel.id.not_in(busy), waiting)
        .order_by(Channel.failures > 0, Channel.retry_at.nulls_first(), Channel.id)
    )
    return [(row.id, row.failures) for row in await session.execute(query)]


async def find_waiting(session: AsyncSession, busy: Collection[int]) -> tuple[bool, datetime | None]:
    """Return whether anything is queued, and when the first wait of a channel that is not busy is over."""
    retry_at = func.coalesce(Channel.retry_at, Notification.next_attempt_at)
    is_next = is_active(Channel) & Channel.id.not_in(busy)
    query = (
        select(func.count(), func.min(func.greatest(Notification.next_attempt_at, retry_at)).filter(is_next))
        .select_from(Notification)
        .join(Channel, Channel.id == Notification.channel_id)
        .where(Notification.state == NotificationState.QUEUED)
    )
    queued, due_at = (await session.execute(query)).one()
    return queued > 0, due_at


async def find_next(session: AsyncSession, channel_id: int, now: datetime) -> Queued | None:
    """Return the oldest that is due, or the second oldest where the oldest may be what the receiver cannot take."""
    query = (
        select(Notification, Channel)
        .join(Channel, Channel.id == Notification.channel_id)
        .where(
            Notification.channel_id == channel_id,
            is_active(Channel),
            _is_due(now),
            or_(_is_open(now), _is_first_test()),
        )
        .order_by(not_(_is_first_test()), Notification.created_at, Notification.id)
        .limit(2)
    )
    rows = [Queued(*row) for row in await session.execute(query)]
    if len(rows) == 2 and retries.tries_second(rows[0].channel.failures) and rows[0].notification.attempts:
        return rows[1]
    return rows[0] if rows else None


async def lock_channel(session: AsyncSession, channel_id: int) -> None:
    """Lock it before any of its notifications, as whoever changes or deletes it does: no deadlocks."""
    await session.execute(select(Channel.id).where(Channel.id == channel_id).with_for_update(key_share=True))


async def is_recorded(session: AsyncSession, queued: Queued, done: Attempt) -> bool:
    """Whether this very attempt was written: by a commit of which nobody heard."""
    attempts = exists().where(
        DeliveryAttempt.notification_id == queued.notification.id, DeliveryAttempt.started_at == done.started_at
    )
    return bool(await session.scalar(select(attempts)))


async def record(session: AsyncSession, queued: Queued, done: Attempt, settlement: Settlement) -> None:
    """Write an attempt, and what becomes of the notification and of its channel."""
    answer, now = done.answer, done.started_at + timedelta(milliseconds=done.took_ms)
    problem = answer.problem and answer.problem[:LONGEST_PROBLEM]
    notification_id, is_settled = queued.notification.id, settlement.state is not NotificationState.QUEUED
    session.add(
        DeliveryAttempt(
            notification_id=notification_id,
            started_at=done.started_at,
            took_ms=done.took_ms,
            outcome=retries.STATES[answer.outcome],
            http_status=answer.http_status,
            problem=problem,
        )
    )
    await session.execute(
        update(Notification)
        .where(Notification.id == notification_id, Notification.state == NotificationState.QUEUED)
        .values(
            state=settlement.state,
            attempts=Notification.attempts + 1,
            next_attempt_at=settlement.next_attempt_at,
            settled_at=now if is_settled else None,
            http_status=answer.http_status,
            receiver_id=answer.receiver_id,
            problem=problem,
        )
    )
    accepted = {"accepted_at": now} if answer.outcome is DeliveryOutcome.ACCEPTED else {}
    await session.execute(
        update(Channel)
        .where(
            Channel.id == queued.channel.id, Channel.target == queued.channel.target
        )  # of another one it says nothing
        .values(failures=settlement.failures, retry_at=settlement.retry_at, problem=problem, **accepted)
    )
    if is_settled and queued.notification.fallback_of is not None:
        await _settle_original(session, queued.notification.fallback_of, settlement.state, now)
    elif settlement.state is NotificationState.ACCEPTED:
        await _settle_copy(session, notification_id, now)


async def _settle_original(session: AsyncSession, original_id: int, state: NotificationState, now: datetime) -> None:
    """What the fallback has delivered is delivered; what it was refused is the channel's own again."""
    values = (
        {"state": NotificationState.REROUTED, "settled_at": now}
        if state is NotificationState.ACCEPTED
        else {"next_attempt_at": now}
    )
    await session.execute(
        update(Notification)
        .where(Notification.id == original_id, Notification.state == NotificationState.QUEUED)
        .values(**values)
    )


async def _settle_copy(session: AsyncSession, original_id: int, now: datetime) -> None:
    """What waits at a fallback that failed as well need not be delivered there any more."""
    await session.execute(
        update(Notification)
        .where(Notification.fallback_of == original_id, Notification.state == NotificationState.QUEUED)
        .values(state=NotificationState.REROUTED, settled_at=now, problem="its own channel delivered it")
    )


async def take_back(session: AsyncSession, now: datetime) -> None:
    """Let a channel try again, beside its fallback, what that fails as well or was paused before it delivered it."""
    await session.execute(TAKE_BACK, {"now": now, "breaks_after": retries.BREAKS_AFTER})


async def give_up(session: AsyncSession, busy: Collection[int], now: datetime) -> None:
    """End what waited too long for a failing or paused channel, and what waits for a deleted one."""
    await session.execute(
        GIVE_UP,
        {
            "now": now,
            "busy": list(busy),
            "after": retries.GIVEN_UP_AFTER,
            "test_after": retries.TEST_GIVEN_UP_AFTER,
        },
    )


def wants_fallback(now: datetime) -> ColumnElement[bool]:
    """Whether a notification is handed over: its channel failed it often or long enough, or fails everything."""
    since = now - timedelta(seconds=retries.HANDED_OVER_AFTER_S)
    return and_(
        _is_due(now),
        Notification.fallback_of.is_(None),
        Notification.kind.not_in(TESTS),
        Channel.failures > 0,
        or_(
            Notification.attempts >= retries.HANDED_OVER_AFTER,
            Notification.created_at <= since,
            and_(Channel.failures >= retries.BREAKS_AFTER, not_(_is_open(now))),
        ),
    )


async def holds_failing(session: AsyncSession) -> bool:
    """Whether a failing channel has a fallback."""
    query = (
        select(Channel.id).where(Channel.failures > 0, Channel.fallback_id.is_not(None), is_active(Channel)).limit(1)
    )
    return await session.scalar(query) is not None
