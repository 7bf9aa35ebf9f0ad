"""What the jobs of a leading worker share."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from app.core.clock import SlotClock, utc_now
from app.judging.ingest import JudgedSite
from app.measurements import corrupt_packs
from app.postgres.engine import Sessions
from app.postgres.work_signals import WorkSignals
from app.probing.canaries import Canaries
from app.probing.local_follow import LocalFollow
from app.probing.schedule import Schedule
from app.probing.write_buffer import WriteBuffer
from app.settings import Settings
from app.worker.counters import WorkerCounters
from app.worker.judging_session import JudgingSessions
from app.worker.peer_quorum import PeerQuorum
from probes.reading_block import ReadingBlock
from probes.sweep import Prober

ECHO_COUNTERS = ("sent", "received", "duplicates", "late", "foreign", "malformed", "drops", "send_errors")


@dataclass
class OwnLooks:
    """Follows sites that several vantages look at by what is read from here: they are judged later, and together."""

    site_ids: set[int] = field(default_factory=set)
    following: LocalFollow = field(default_factory=LocalFollow)

    def put(self, site_id: int, parent_id: int | None) -> None:
        self.remove(site_id)
        self.site_ids.add(site_id)
        self.following.parents[site_id] = parent_id

    def remove(self, site_id: int) -> None:
        self.site_ids.discard(site_id)
        self.following.parents.pop(site_id, None)
        self.following.forget([site_id])

    def follow(self, readings: ReadingBlock, schedule: Schedule) -> list[JudgedSite]:
        if not self.site_ids:
            return []
        own = readings.take(np.isin(readings.key, list(self.site_ids)))
        return self.following.follow(own, schedule.expected_outcomes(own.key))


@dataclass
class WorkerContext:
    """Readings go one way: schedule → prober → buffer → database; what was judged of them moves the schedule."""

    sessions: Sessions  # their commits fail once another worker leads
    prober: Prober
    settings: Settings
    clock: SlotClock = field(default_factory=SlotClock)
    schedule: Schedule = field(default_factory=Schedule)
    own_looks: OwnLooks = field(default_factory=OwnLooks)
    peers: PeerQuorum = field(default_factory=PeerQuorum)
    signals: WorkSignals = field(default_factory=WorkSignals)
    counters: WorkerCounters = field(default_factory=WorkerCounters)
    started_at: datetime = field(default_factory=utc_now)
    write_lock: asyncio.Lock = field(
        default_factory=asyncio.Lock
    )  # held by each write that locks judge states of many sites
    judging: JudgingSessions = field(init=False)  # under the write lock
    canaries: Canaries = field(init=False)
    buffer: WriteBuffer = field(init=False)

    def __post_init__(self) -> None:
        self.judging = JudgingSessions(self.sessions, self.settings.status.refresh_s)
        self.canaries = Canaries(self.settings.canaries)
        self.buffer = WriteBuffer(self.settings.probe.buffer_readings)

    @property
    def slot(self) -> int:
        """The current second."""
        return int(self.clock.now())

    def current_counters(self) -> WorkerCounters:
        """The counters, with what schedule, buffer, canaries and prober count themselves filled in."""
        counters, canaries, echo = self.counters, self.canaries, self.prober.echo
        counters.sites = len(self.schedule.plans)
        counters.missed_slots = self.schedule.missed
        counters.buffered_readings, counters.dropped_readings = len(self.buffer), self.buffer.dropped
        counters.buffer_limit_readings = self.buffer.limit
        counters.canary_beats, counters.canary_silences = canaries.beats, canaries.silent
        counters.canaries = {address: int(answers) for address, answers in canaries.answering.items()}
        damage = corrupt_packs.met_here()
        counters.corrupt_packs = damage.packs
        counters.corrupt_packs_since = damage.since.timestamp() if damage.since else 0
        if echo is not None:
            for name in ECHO_COUNTERS:
                setattr(counters, f"echo_{name}", getattr(echo.counters, name))
            counters.echo_in_flight = echo.in_flight
        return counters
