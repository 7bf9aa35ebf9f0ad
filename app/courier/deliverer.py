"""Delivers what waits: one notification of a channel at a time, and the channels beside each other.

Each channel has a task and, during an attempt, a thread of its own, so that a receiver that hangs holds up nobody else.
Both are bounded, and channels that fail share a smaller number of them, so that many of them hold up no healthy one.
"""

import asyncio
import dataclasses
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from pydantic import ValidationError

from app.access.sealer import open_sealer
from app.alerts.content import Content
from app.alerts.message_links import links_of
from app.alerts.models import MessageForm, NotificationState
from app.core.clock import utc_now
from app.core.sealing import Sealer, Unsealable
from app.courier import fallback, queue, retries
from app.courier.attempt import DEADLINE_S, Attempt, attempt
from app.courier.contract import Answer, DeliveryOutcome, Message, Receiver
from app.courier.queue import Queued
from app.postgres.engine import Sessions, transaction
from app.postgres.leader_lock import NoLongerLeader
from app.postgres.work_signals import Work, WorkSignals
from app.settings import Settings

log = structlog.get_logger()

HEALTHY_AT_ONCE, FAILING_AT_ONCE = 48, 16
RECORD_AGAIN_S = 1.0


class Deliverer:
    def __init__(
        self,
        sessions: Sessions,
        settings: Settings,
        *,
        deadline_s: float = DEADLINE_S,
        signals: WorkSignals | None = None,
    ) -> None:
        self._sessions, self._settings, self._deadline_s = sessions, settings, deadline_s
        self._signals = signals or WorkSignals()
        self.holds_queued = True  # as far as the last look tells
        self.due_at: datetime | None = None  # what then waited for its time
        self._policy = settings.receiver_policy
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._attempting: set[int] = set()  # of those, channels whose receiver may yet accept
        self._places = {False: asyncio.Semaphore(HEALTHY_AT_ONCE), True: asyncio.Semaphore(FAILING_AT_ONCE)}

    async def start_signalled(self) -> None:
        """Start what is due once something was queued or a wait is over; else the database is not asked."""
        is_due = self.due_at is not None and utc_now() >= self.due_at
        if not (self._signals.take(Work.DELIVERIES) or is_due):
            return
        try:
            await self.start_due()
        except Exception:
            self._signals.signal(Work.DELIVERIES)
            raise

    async def start_due(self) -> None:
        """Start a task for each channel that has something to deliver and none under way. Raises SettingsError."""
        async with self._sessions() as session:
            now = utc_now()
            due = await queue.list_due(session, self._busy, now)
            started = [*self._busy, *(channel_id for channel_id, _ in due)]
            self.holds_queued, self.due_at = await queue.find_waiting(session, started)
            sealer = await open_sealer(session, self._settings) if due else None
        if sealer is None:
            return
        for channel_id, failures in due:
            task = asyncio.create_task(self._deliver_all(channel_id, sealer, self._places[failures > 0]))
            self._busy[channel_id] = task
            task.add_done_callback(partial(self._ended, channel_id))

    def _ended(self, channel_id: int, task: "asyncio.Task[None]") -> None:
        del self._busy[channel_id]
        self._signals.signal(Work.DELIVERIES)  # what it left, or what came meanwhile
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, NoLongerLeader):
            log.warning("delivery_interrupted", channel=channel_id, error=repr(error), exc_info=error)

    async def give_up(self) -> None:
        """End what waited too long, and what waits for a deleted channel."""
        async with transaction(self._sessions) as session:
            await queue.give_up(session, self._busy, utc_now())

    async def hand_over(self) -> None:
        """Hand over to fallbacks what failing channels keep, and take back what these fail. Raises SettingsError."""
        async with transaction(self._sessions) as session:
            await queue.take_back(session, utc_now())
            if await queue.holds_failing(session):
                sealer = await open_sealer(session, self._settings)
                await fallback.hand_over_failing(
                    session, self._attempting, sealer, self._settings.public_base, utc_now()
                )

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._busy:
            await asyncio.wait([*self._busy.values()])

    async def stop(self) -> None:
        """End at once: what is under way is repeated with the same key."""
        tasks = [*self._busy.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver_all(self, channel_id: int, sealer: Sealer, places: asyncio.Semaphore) -> None:
        """Deliver until nothing of the channel is due, or an attempt fails."""
        async with places:
            while (done := await self._deliver_next(channel_id, sealer)) is not None:
                if not done.thread.done():
                    await asyncio.wait([done.thread])
                if done.answer.outcome is DeliveryOutcome.FAILED:
                    return

    async def _deliver_next(self, channel_id: int, sealer: Sealer) -> Attempt | None:
        self._attempting.add(channel_id)
        try:
            async with transaction(self._sessions) as session:
                queued = await queue.find_next(session, channel_id, utc_now())
            if queued is None:
                return None
            done = await self._attempt(queued, sealer)
            await _until_written(lambda: self._record(queued, done, sealer))
            return done
        finally:
            self._attempting.discard(channel_id)

    async def _attempt(self, queued: Queued, sealer: Sealer) -> Attempt:
        channel = queued.channel
        try:
            secret = None if channel.secret is None else sealer.unseal(channel.secret)
            receiver = Receiver(channel.service, sealer.unseal(channel.target), secret)
        except Unsealable:
            return _unattempted(Answer(DeliveryOutcome.FAILED, "sealed by another secret key: enter its URL again"))
        return await attempt(self._message(queued, sealer), receiver, self._policy, deadline_s=self._deadline_s)

    def _message(self, queued: Queued, sealer: Sealer) -> Message:
        notification = queued.notification
        return Message(
            key=notification.key,
            kind=notification.kind.value,
            title=notification.title,
            text=notification.text,
            is_short=queued.channel.form is MessageForm.SHORT,
            content=notification.content,
            links=self._links(queued, sealer),
        )

    def _links(self, queued: Queued, sealer: Sealer) -> Mapping[str, Any]:
        """Return none for a content that an older version wrote, and that can no longer be read."""
        notification = queued.notification
        try:
            content = Content.model_validate(notification.content)
        except ValidationError:
            return {}
        linked_id = notification.fallback_of or notification.id
        return dataclasses.asdict(links_of(linked_id, content, base=self._settings.public_base, sealer=sealer))

    async def _record(self, queued: Queued, done: Attempt, sealer: Sealer) -> None:
        now = utc_now()
        settlement = retries.settle(
            done.answer,
            failures=queued.channel.failures,
            attempts=queued.notification.attempts + 1,
            now=now,
            jitter=random.random(),
        )
        async with transaction(self._sessions) as session:
            await queue.lock_channel(session, queued.channel.id)
            if await queue.is_recorded(session, queued, done):
                return
            if settlement.state is NotificationState.BOUNCED and await fallback.hand_over_refused(
                session, queued.notification.id, sealer, self._settings.public_base, now
            ):
                settlement = dataclasses.replace(
                    settlement, state=NotificationState.QUEUED, next_attempt_at=now + retries.GIVEN_UP_AFTER
                )
            await queue.record(session, queued, done, settlement)
        self._signals.signal(Work.DELIVERIES)  # of a fallback, or of the channel that had handed over to this one


def _unattempted(answer: Answer) -> Attempt:
    thread: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    thread.set_result(answer)
    return Attempt(utc_now(), 0, answer, thread)


async def _until_written(write: Callable[[], Awaitable[None]]) -> None:
    """Write what a receiver answered, also while the database is away: forgotten, it would be delivered again."""
    while True:
        try:
            return await write()
        except NoLongerLeader:
            raise
        except Exception as error:
            log.warning("delivery_not_recorded", error=repr(error), exc_info=error)
            await asyncio.sleep(RECORD_AGAIN_S)
