"""The dead man's switch: calls an outside watcher while readings are written; it raises an alarm when calls stop."""

import time
from dataclasses import dataclass

import httpx
import structlog

from app.worker.jobs import Job
from app.worker.writer import BufferWriter

log = structlog.get_logger()

EVERY_S = 60
WRITTEN_WITHIN_S = 60


@dataclass
class DeadMansSwitch:
    url: str | None
    writer: BufferWriter

    def jobs(self) -> list[Job]:
        return [Job("dead_mans_switch", EVERY_S, self.call)]

    async def call(self) -> None:
        if self.url is None or time.monotonic() - self.writer.last_write > WRITTEN_WITHIN_S:
            return
        try:
            async with httpx.AsyncClient(timeout=10) as client:
                (await client.get(self.url)).raise_for_status()
        except httpx.HTTPError as error:
            log.warning("heartbeat_unanswered", error=repr(error))
