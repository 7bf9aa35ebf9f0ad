"""What is looked at, and when: schedule → sweep → buffer → spool; what was read moves the schedule."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import structlog

from app.core.clock import from_slot
from app.judging.addressed_block import AddressedBlock
from app.prober.assignment import AssignmentUpdate, PolicyToProbe, ProbeRules, SiteToProbe
from app.prober.figures import ProberFigures
from app.prober.outbox import BlockOutbox
from app.prober.server_clock import ServerClock
from app.probing import canary_beat
from app.probing.canaries import Canaries
from app.probing.local_follow import LocalFollow
from app.probing.schedule import Schedule
from app.probing.sweeping import Sweeping
from app.probing.write_buffer import WriteBuffer
from probes.own_addresses import OwnAddresses
from probes.policy import DENIED_BY_DEFAULT, AddressPolicy, parse_address
from probes.reading_block import ReadingBlock
from probes.sweep import Prober
from probes.target_block import TargetBlock

log = structlog.get_logger()

BUFFERED_READINGS = 500_000
WRITE_EVERY_S = 5.0  # without news: a sync of the disk costs the same for many readings


def policy_of(told: PolicyToProbe, canaries: Sequence[str] = ()) -> AddressPolicy:
    """Return where this machine may look: not at itself, and at no network that is denied to all.

    Canaries that were named on this machine itself are allowed.
    """
    own = [str(address) for canary in canaries if (address := parse_address(canary))]
    return AddressPolicy([*told.allow, *own], [*DENIED_BY_DEFAULT, *told.deny], OwnAddresses())


@dataclass
class ProbeRounds:
    """`on_news`: called once something that may change a site's state is on the disk."""

    prober: Prober
    clock: ServerClock
    outbox: BlockOutbox
    figures: ProberFigures
    own_canaries: Sequence[str] = ()
    on_news: Callable[[], None] = lambda: None
    schedule: Schedule = field(default_factory=Schedule)
    buffer: WriteBuffer = field(default_factory=lambda: WriteBuffer(BUFFERED_READINGS))
    following: LocalFollow = field(default_factory=LocalFollow)
    canaries: Canaries = field(init=False)
    sweeping: Sweeping = field(init=False)
    _parents: dict[int, int | None] = field(default_factory=dict)
    _policy: PolicyToProbe | None = None
    _written_at: float = field(default_factory=time.monotonic)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _step: tuple[float, int] = (float("-inf"), 0)  # of the clock: when, by the monotonic one, and by how many seconds

    def __post_init__(self) -> None:
        self.canaries = Canaries(self.own_canaries)
        self.following.parents = self._parents
        self.sweeping = Sweeping(self._sweep_block, self.figures, self._buffer)

    def follow_rules(self, rules: ProbeRules) -> None:
        if rules.policy != self._policy:
            self._policy = rules.policy
            self.prober = replace(self.prober, policy=policy_of(rules.policy, self.own_canaries))
        if self.prober.echo is not None:
            self.prober.echo.set_rate(rules.packets_per_second)
        told = self.own_canaries or rules.canaries
        if list(told) != list(self.canaries.addresses):
            self.canaries = Canaries(told)

    def assign(self, update: AssignmentUpdate, *, at_once: bool) -> None:
        """Look at these sites from now on; `at_once` at those that are new here, or have moved."""
        self.follow_rules(update.rules)
        gone = set(update.removed)
        if update.full:
            gone |= self.schedule.plans.keys() - {site.id for site in update.sites}
        changed = [site for site in update.sites if site.plan != self.schedule.plans.get(site.id)]
        moved = [site.id for site in changed if self._is_moved(site)]
        for key in gone:
            self.schedule.remove(key)
            self._parents.pop(key, None)
        self.following.forget([*gone, *moved])
        self.schedule.put(*(site.plan for site in changed), now=self.clock.slot, at_once=at_once)
        self._parents.update((site.id, site.parent_id) for site in update.sites)

    def _is_moved(self, site: SiteToProbe) -> bool:
        plan = self.schedule.plans.get(site.id)
        return plan is None or plan.addressed_at != site.plan.addressed_at

    def probe_due(self) -> None:
        """Start a sweep of every probe that is due."""
        self.sweeping.start(self.schedule.take(self.clock.slot))

    async def probe_canaries(self, *, is_last: bool = False) -> None:
        await canary_beat.beat(self.canaries, self._sweep_block, self.clock.now, is_last=is_last)
        self.canaries.take_blind_ranges()  # what was lost in one is a fault of ours, reading by reading

    async def write_due(self) -> None:
        """Spool at once when something may have changed, and every few seconds when nothing has."""
        self.buffer.release(self.canaries)
        has_news = self.buffer.has_news(self.schedule.expected_outcomes)
        if has_news or time.monotonic() - self._written_at >= WRITE_EVERY_S:
            await self.write()
        if has_news:
            self.on_news()

    async def write(self) -> None:
        """Put all that is ready into the spool; the schedule follows it."""
        async with self._writing:
            await self._write(is_unsure=not self.clock.is_verified)

    async def _write(self, *, is_unsure: bool) -> None:
        self._written_at = time.monotonic()
        while len(block := self.buffer.take().block):
            self._follow(block.readings)
            await asyncio.shield(self.outbox.add((block.readings, block.addressed_at), is_unsure=is_unsure))

    async def finish(self) -> None:
        """At an orderly end: wait for the sweeps under way, and spool what they read."""
        await self.sweeping.finish()
        await self.probe_canaries(is_last=True)
        self.buffer.release(self.canaries)
        self.buffer.give_up_held()
        await self.write()

    async def verified(self, step_s: float) -> None:
        """The first answer showed by how much the clock was off: move what was read by it to where it belongs."""
        async with self._writing:
            self._restart(step_s)
            await self._write(is_unsure=True)
            if placed := await self.outbox.place(round(step_s)):
                log.info("readings_placed", blocks=placed, seconds=round(step_s))

    def stepped(self, step_s: float) -> None:
        log.warning("clock_stepped", seconds=round(step_s, 1))
        self._restart(step_s)

    def _restart(self, step_s: float) -> None:
        """Look at nothing twice, and blame no site for what was read across a step."""
        if not step_s:
            return
        self.buffer.give_up_held()
        self._step = time.monotonic(), round(step_s)
        if step_s < 0:
            self.canaries.step_back(self.clock.now())
        self.schedule.restart(self.clock.slot)

    def count(self) -> None:
        """Fill in the figures that others count."""
        figures, echo = self.figures, self.prober.echo
        figures.sites, figures.missed_slots = len(self.schedule.plans), self.schedule.missed
        figures.buffered_readings, figures.dropped_readings = len(self.buffer), self.buffer.dropped
        figures.canary_beats, figures.canary_silences = self.canaries.beats, self.canaries.silent
        figures.clock_steps = self.clock.steps
        if echo is not None:
            counters = echo.counters
            figures.echo_sent, figures.echo_received = counters.sent, counters.received
            figures.echo_drops = counters.drops

    @property
    def blind_since(self) -> str | None:
        since = self.canaries.blind_since
        return None if since is None else from_slot(int(since)).isoformat()

    async def _sweep_block(self, targets: TargetBlock) -> ReadingBlock:
        return await self.prober.sweep_block(targets)

    def _buffer(self, block: AddressedBlock, started: float) -> None:
        stepped_at, step_s = self._step
        if started < stepped_at:
            block = replace(block, readings=replace(block.readings, slot=block.readings.slot + step_s))
        self.buffer.put(block, ended=self.clock.now())

    def _follow(self, readings: ReadingBlock) -> None:
        expected = self.schedule.expected_outcomes(readings.key)
        self.schedule.follow(self.following.follow(readings, expected), now=self.clock.slot)
