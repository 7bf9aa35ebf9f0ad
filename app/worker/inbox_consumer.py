"""The job that judges what devices pushed, out of the inbox: all that waits, then the pushes that were missed."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.agents import agent_tokens
from app.core.clock import from_slot, utc_now
from app.judging.addressed_block import AddressedReading
from app.judging.blind_ranges import BlindRange
from app.judging.claims import Claim, claims_of_push
from app.judging.ingest import JudgedSite
from app.judging.rejudge import rejudgeable_since
from app.measurements import partitions
from app.measurements import store as measurements
from app.postgres.engine import transaction
from app.postgres.leader_lock import NoLongerLeader
from app.postgres.work_signals import Work, WorkSignals
from app.push import inbox
from app.push.inbox import Delivery
from app.push.timestamps import ARRIVALS
from app.worker.counters import WorkerCounters
from app.worker.ingest_heartbeat import IngestHeartbeat
from app.worker.ingest_proof import IngestProof, read_proof, write_proof
from app.worker.jobs import Job
from app.worker.judging_session import JudgingSessions
from app.worker.missed_push_recorder import MissedPushRecorder, peers_kept_for
from app.worker.missed_pushes import list_arrivals
from app.worker.peer_quorum import PeerQuorum
from app.worker.rejection import is_entrys_fault
from app.worker.writer import write_batch
from probes.contract import SILENCE, Outcome, Reading

log = structlog.get_logger()

EVERY_S = 1
MOST, MOST_BYTES = 2_000, 400_000  # deliveries a transaction, and what they may weigh: some 6,000 rows
AHEAD = partitions.AHEAD - timedelta(hours=2)  # partitions are made ahead each hour
BACK = timedelta(days=partitions.BACK_DAYS - 1)

OUT_OF_SERVICE = text("""
    SELECT n.site_id, n.slot FROM unnest(cast(:sites AS int[]), cast(:slots AS bigint[])) AS n(site_id, slot)
        JOIN site_configuration c ON c.site_id = n.site_id AND c.lifecycle <> 'active'
            AND c.started_at <= to_timestamp(n.slot) AND (c.ended_at IS NULL OR c.ended_at > to_timestamp(n.slot))
""")


@dataclass
class InboxConsumer:
    """Each step is one transaction; the fields change only once it is committed."""

    judging: JudgingSessions
    counters: WorkerCounters
    heartbeat: IngestHeartbeat
    proof: IngestProof = field(default_factory=lambda: IngestProof(utc_now()))
    started_at: datetime = field(default_factory=utc_now)  # since when heartbeats are sent without a stop of ours
    peers: PeerQuorum = field(default_factory=PeerQuorum)
    signals: WorkSignals = field(default_factory=WorkSignals)
    write_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    on_judged: Callable[[Sequence[JudgedSite]], None] = lambda _: None
    missed: MissedPushRecorder = field(init=False)
    _most: int = MOST
    _is_failing: bool = False
    _is_backlog: bool = False  # only backlog was left when the last step began

    def __post_init__(self) -> None:
        self.missed = MissedPushRecorder(self.judging, self.counters, self.heartbeat, self.peers)

    def jobs(self) -> list[Job]:
        return [Job("inbox", EVERY_S, self.consume_signalled, may_overrun=True)]

    async def consume_signalled(self) -> None:
        """Consume once something was queued, or a push may be missed by now; else the database is not asked."""
        is_signalled = self.signals.take(Work.INBOX)
        if not (is_signalled or self._is_failing or self.missed.is_due(self.proof, utc_now())):
            return
        try:
            await self.consume(anew=False)
        except Exception:
            self.signals.signal(Work.INBOX)
            raise

    async def consume(self, *, anew: bool = True) -> None:
        """Process all that waits in the inbox; once only backlog is left, record the pushes that were missed.

        `anew`: look for missed pushes even if none is known to be overdue.
        """
        more = True
        while more:
            now = utc_now()
            async with self.write_lock:
                judged, more = await self.step()
            self.on_judged(judged)
            if more and self._is_backlog and self.missed.is_due(self.proof, now):
                await self._record_missed(now, anew=False)
        if not self._is_failing:
            await self._record_missed(now, anew=anew)

    async def _record_missed(self, now: datetime, *, anew: bool) -> None:
        """Given that all that devices sent in time was processed at `now`."""
        async with self.write_lock:
            judged = await self.missed.record(self.proof, now, anew=anew)
        self.on_judged(judged)

    async def start(self, session: AsyncSession) -> None:
        """Continue from the proof that was stored, and try rejected pushes again: this version may know better."""
        await agent_tokens.delete_heartbeat_tokens(session)
        _, self.heartbeat.secret = await agent_tokens.mint(session, None, by="worker")
        await inbox.requeue_set_aside(session)
        proof = await read_proof(session)
        if proof is not None:
            self.proof = proof
            self.peers.record_own_beat(proof.last)  # of the worker before: a long pause since was a refusal
            for site_id, at in await list_arrivals(session, proof.last - peers_kept_for()):
                self.peers.record(site_id, at)

    def resume(self, at: datetime) -> None:
        """Count what is unproven before `at` as our own stop: nobody sent heartbeats then."""
        self.started_at = at

    async def step(self) -> tuple[list[JudgedSite], bool]:
        """Process the oldest deliveries. Return the sites judged, and whether there may be more deliveries."""
        now, most, deliveries = utc_now(), self._most, list[Delivery]()
        try:
            async with self.judging.transaction() as (session, _):
                shard = None if (seat := self.judging.seat) is None else seat.shard
                deliveries = await inbox.dequeue(session, limit=most, max_bytes=MOST_BYTES, shard=shard)
                proof, unproven = self._extend_proof(deliveries)
                items, claims, judged = list[AddressedReading](), list[Claim](), list[JudgedSite]()
                if unproven or any(row.site_id is not None for row in deliveries):  # not of our own beats alone
                    items, claims = await self._readings(session, deliveries)
                    judged = await write_batch(session, items, unproven, source=SILENCE, claims=claims)
                if proof != self.proof:
                    await write_proof(session, proof, None)
        except Exception as error:
            return [], await self._handle_failure(deliveries, error)
        is_full = len(deliveries) >= most or sum(len(row.payload) for row in deliveries) >= MOST_BYTES
        self._record(deliveries, proof, items, now)
        return judged, is_full

    def _extend_proof(self, deliveries: Sequence[Delivery]) -> tuple[IngestProof, list[BlindRange]]:
        proof, unproven = self.proof, list[BlindRange]()
        for at in sorted(row.received_at for row in deliveries if row.site_id is None and not row.is_api_start):
            proof, ranges = proof.extend(at, started_at=self.started_at)
            unproven += ranges
        return proof, unproven

    async def _readings(
        self, session: AsyncSession, deliveries: Sequence[Delivery]
    ) -> tuple[list[AddressedReading], list[Claim]]:
        """Return the readings pushed, each in a slot of its own: receipts say that it is new, so none is dropped.

        Of arrivals, which show only that a push was received, one a slot is kept, and none beside an answered reading;
        one beside a lost reading takes the next second, for it is later than what its push reports.
        """
        oldest = int((await rejudgeable_since(session)).timestamp())
        kept, claims, too_old = list[Reading](), list[Claim](), 0
        for row in deliveries:
            if row.site_id is not None:
                pushed = row.readings()
                recent = [reading for reading in pushed if reading.slot >= oldest]
                kept += recent
                too_old += len(pushed) - len(recent)
                claims += claims_of_push(row.site_id, recent, row.received_at, address=row.address, boot=row.boot)
        if too_old:
            self.counters.closed_rows += too_old
            log.warning("pushed_too_late", rows=too_old, why="older than the raw readings kept")
        await _make_partitions(session, kept)
        arrivals = [reading for reading in kept if reading.reason in ARRIVALS]
        readings = [reading for reading in kept if reading.reason not in ARRIVALS]
        readings = await measurements.in_distinct_slots(session, readings)
        arrivals = await measurements.without_answered_slots(session, arrivals, readings)
        readings += await measurements.in_distinct_slots(session, arrivals, among=readings)
        excused = await _excuse_inactive(session, readings) if readings else []
        return [(reading, None) for reading in excused], claims

    def _record(
        self,
        deliveries: Sequence[Delivery],
        proof: IngestProof,
        items: Sequence[AddressedReading],
        now: datetime,
    ) -> None:
        """Take over what a step committed."""
        if proof != self.proof:
            self.missed.mark_stored(proof)
        self.proof = proof
        self._most, self._is_failing = MOST, False
        self._is_backlog = bool(deliveries) and deliveries[-1].is_backlog
        for row in deliveries:
            if row.is_backlog:
                continue  # its arrival came before it
            if row.site_id is not None:
                self.peers.record(row.site_id, row.received_at)
                self.counters.pushes += 1
            elif row.is_api_start:
                self.peers.record_api_start(row.received_at)
            else:
                self.peers.record_own_beat(row.received_at)
                self.counters.own_beats_heard += 1
        self.counters.pushed_rows += len(items)
        latency = now - deliveries[0].received_at if deliveries else timedelta()  # the backlog's if nothing else waited
        self.counters.inbox_age_seconds = max(0, int(latency.total_seconds()))

    async def _handle_failure(self, deliveries: Sequence[Delivery], error: Exception) -> bool:
        """Halve the step to find a delivery at fault, and reject it. Return whether to go on at once."""
        self.counters.failed_intakes += 1
        if not deliveries or not is_entrys_fault(error):
            if not self._is_failing and not isinstance(error, NoLongerLeader):
                log.warning("inbox_unavailable", error=repr(error), exc_info=error if is_entrys_fault(error) else None)
            self._is_failing = True
            return False
        if len(deliveries) > 1:
            self._most = len(deliveries) // 2
        else:
            await self._reject(deliveries[0], error)
        return True

    async def _reject(self, delivery: Delivery, error: Exception) -> None:
        """Set it aside in the inbox: it is kept, and no other waits for it."""
        async with transaction(self.judging.sessions) as session:
            await inbox.set_aside(session, delivery.id)
        log.error(
            "push_rejected",
            delivery=delivery.id,
            site=delivery.site_id,
            bytes=len(delivery.payload),
            error=repr(error),
            exc_info=error,
        )
        self.counters.refused_pushes += 1
        self._most = MOST


async def _make_partitions(session: AsyncSession, readings: Sequence[Reading]) -> None:
    """For rows that waited long, or have a slot by a clock ahead of ours."""
    now = utc_now()
    moments = (from_slot(reading.slot) for reading in readings)
    odd = {at for at in moments if not now - BACK < at < now + AHEAD}
    if odd:
        await partitions.create_for(session, odd)


async def _excuse_inactive(session: AsyncSession, readings: Sequence[Reading]) -> list[Reading]:
    """Turn readings of times when the site was not in service into faults: they are no evidence."""
    params = {"sites": [reading.key for reading in readings], "slots": [reading.slot for reading in readings]}
    inactive = {(site_id, slot) for site_id, slot in await session.execute(OUT_OF_SERVICE, params)}
    return [
        replace(reading, outcome=Outcome.FAULT, reason="not active")
        if (reading.key, reading.slot) in inactive
        else reading
        for reading in readings
    ]
