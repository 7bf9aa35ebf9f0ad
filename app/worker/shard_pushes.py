"""The job that judges pushes of sites of a shard that does not lead: a few, from before their site ceased to push."""

import asyncio
from dataclasses import dataclass, field

from app.postgres.work_signals import Work, WorkSignals
from app.settings import Settings
from app.worker.counters import WorkerCounters
from app.worker.inbox_consumer import InboxConsumer
from app.worker.ingest_heartbeat import open_heartbeat
from app.worker.jobs import Job
from app.worker.judging_session import JudgingSessions

EVERY_S = 1


@dataclass
class ShardPushes:
    """Whether a push was missed is the leading worker's question: who is to push is in its shard."""

    judging: JudgingSessions
    settings: Settings
    counters: WorkerCounters
    signals: WorkSignals
    write_lock: asyncio.Lock
    inbox: InboxConsumer = field(init=False)

    def __post_init__(self) -> None:
        self.inbox = InboxConsumer(self.judging, self.counters, open_heartbeat(self.settings))

    def jobs(self) -> list[Job]:
        return [Job("pushes", EVERY_S, self.consume_signalled, may_overrun=True)]

    async def consume_signalled(self) -> None:
        if not self.signals.take(Work.INBOX):
            return
        try:
            more = True
            while more:
                async with self.write_lock:
                    _, more = await self.inbox.step()
        except Exception:
            self.signals.signal(Work.INBOX)
            raise
