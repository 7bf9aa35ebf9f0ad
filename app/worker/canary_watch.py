"""The job that probes the canaries, and passes on what they show: to the buffer, the peers and the log."""

from dataclasses import dataclass

import structlog

from app.core.clock import from_slot
from app.worker.context import WorkerContext
from app.worker.jobs import Job

log = structlog.get_logger()

EVERY_S = 2


@dataclass
class CanaryWatch:
    context: WorkerContext

    def jobs(self) -> list[Job]:
        return [Job("canaries", EVERY_S, self.probe_canaries)]

    async def probe_canaries(self) -> None:
        canaries = self.context.canaries
        was_blind = canaries.blind_since is not None
        await self._probe()
        if canaries.blind_since is None and was_blind:
            log.info("canaries_answering")
        elif canaries.blind_since is not None and not was_blind:
            log.warning("canaries_silent", canaries=len(canaries.addresses), why="no site is judged down meanwhile")

    async def probe_last(self) -> None:
        """At the worker's end: what is silent now may be ending with us, and is no news."""
        await self._probe()
        canaries = self.context.canaries
        if canaries.blind_since is not None:
            self.context.buffer.put_blind(canaries.blind_range(self.context.clock.now()))

    async def _probe(self) -> None:
        canaries, sent_at = self.context.canaries, self.context.clock.now()
        if canaries.addresses:
            beat = await self.context.prober.sweep_block(canaries.targets)
            canaries.record(beat.readings(), sent_at)
        self.inform_peers()
        self.context.buffer.put_blind(*canaries.take_blind_ranges())

    def inform_peers(self) -> None:
        """While our own uplink is out no device's push arrives either: a missed push says nothing about its site."""
        peers, canaries = self.context.peers, self.context.canaries
        peers.known_until = from_slot(int(canaries.seen_until)) if canaries.addresses else None
        for blind in canaries.new_blind_ranges:
            peers.record_absence(blind.started_at, blind.ended_at)
