"""The job that probes the canaries, and passes on what they show: to the buffer and the peers."""

from dataclasses import dataclass

from app.core.clock import from_slot
from app.probing import canary_beat
from app.worker.context import WorkerContext
from app.worker.jobs import Job


@dataclass
class CanaryWatch:
    context: WorkerContext

    def jobs(self) -> list[Job]:
        return [Job("canaries", canary_beat.EVERY_S, self.probe_canaries)]

    async def probe_canaries(self) -> None:
        await self._probe()

    async def probe_last(self) -> None:
        """At the worker's end: what is silent now may be ending with us."""
        await self._probe(is_last=True)
        canaries = self.context.canaries
        if canaries.blind_since is not None:
            self.context.buffer.put_blind(canaries.blind_range(self.context.clock.now()))

    async def _probe(self, *, is_last: bool = False) -> None:
        context = self.context
        sweep_block = context.prober.sweep_block
        await canary_beat.beat(context.canaries, sweep_block, context.clock.now, is_last=is_last)
        self.inform_peers()
        context.buffer.put_blind(*context.canaries.take_blind_ranges())

    def inform_peers(self) -> None:
        """While our own uplink is out no device's push arrives either: a missed push says nothing about its site."""
        peers, canaries = self.context.peers, self.context.canaries
        peers.known_until = from_slot(int(canaries.seen_until)) if canaries.addresses else None
        for blind in canaries.new_blind_ranges:
            peers.record_absence(blind.started_at, blind.ended_at)
