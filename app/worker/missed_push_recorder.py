"""Records missed pushes as timeouts, and since when ingest is proven alive."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from app.judging.addressed_block import AddressedReading
from app.judging.ingest import JudgedSite
from app.postgres.engine import transaction
from app.postgres.work_signals import SWEEP_S
from app.profiles import profiles
from app.worker.counters import WorkerCounters
from app.worker.ingest_heartbeat import IngestHeartbeat
from app.worker.ingest_proof import IngestProof, write_proof
from app.worker.judging_session import JudgingSessions
from app.worker.missed_pushes import OverdueSites, list_missed, list_overdue
from app.worker.peer_quorum import KEPT_INTERVALS, PeerQuorum
from app.worker.rejection import write_in_parts
from app.worker.writer import write_batch

log = structlog.get_logger()

SWEEP = timedelta(seconds=SWEEP_S)  # what the registry changes makes a push due as well


@dataclass
class MissedPushRecorder:
    judging: JudgingSessions
    counters: WorkerCounters
    heartbeat: IngestHeartbeat
    peers: PeerQuorum
    _stored: tuple[IngestProof, datetime | None] | None = None  # the proof, and since when there is none, as written
    _was_proven: bool = False
    _overdue: OverdueSites | None = None
    _rejected: set[tuple[int, int]] = field(default_factory=set)  # missed pushes, by site and slot

    def is_due(self, proof: IngestProof, now: datetime) -> bool:
        """Whether there may be anything to record by now; judged from memory."""
        now += self.heartbeat.clock_offset
        unproven_since = proof.unproven_since(now)
        if (proof, unproven_since) != self._stored:
            return True
        return unproven_since is None and self._may_miss(proof, now)

    def _may_miss(self, proof: IngestProof, now: datetime) -> bool:
        known = self._overdue
        if known is None or not known.read_at <= now < known.read_at + SWEEP:
            return True
        return known.may_miss(proof, self.peers, now)

    def mark_stored(self, proof: IngestProof) -> None:
        """The proof was written as one that holds."""
        self._stored = proof, None

    async def record(self, proof: IngestProof, now: datetime, *, anew: bool = True) -> list[JudgedSite]:
        """Store the proof of ingest and the pushes certainly missed, given that the inbox was empty at `now`.

        `anew`: ask the database even if nothing is known to be overdue.
        """
        now += self.heartbeat.clock_offset
        self.peers.expire(now - peers_kept_for())
        unproven_since = proof.unproven_since(now)
        self.counters.ingest_proven = int(unproven_since is None)
        self.counters.own_beats_sent = self.heartbeat.sent
        missed: list[AddressedReading] = []
        if unproven_since is None and (anew or self._may_miss(proof, now)):
            async with self.judging.sessions() as session:  # only reads: there is nothing to commit
                self._overdue = await list_overdue(session, now, profiles=profiles())
                missed = await list_missed(session, self._overdue, proof, self.peers, now)
        if (proof, unproven_since) != self._stored:
            async with transaction(self.judging.sessions) as session:
                await write_proof(session, proof, unproven_since)
            self._stored = proof, unproven_since
        self._log_proof(proof, unproven_since)
        return await self._write_missed(missed)

    async def _write_missed(self, missed: Sequence[AddressedReading]) -> list[JudgedSite]:
        self._rejected &= {
            (reading.key, reading.slot) for reading, _ in missed
        }  # forget those that are not missed any more
        new = [item for item in missed if (item[0].key, item[0].slot) not in self._rejected]
        judged: list[JudgedSite] = []

        async def write(part: Sequence[AddressedReading]) -> None:
            async with self.judging.transaction() as (session, _):
                judged_now = await write_batch(session, part, [])
            judged.extend(judged_now)
            self.counters.silences += len(part)

        async def reject(part: Sequence[AddressedReading], error: Exception) -> None:
            ((reading, _),) = part
            site_id, slot = reading.key, reading.slot
            self._rejected.add((site_id, slot))
            log.error("missed_push_rejected", site=site_id, slot=slot, error=repr(error), exc_info=error)

        if new:
            self._overdue = None  # what is recorded is due again an interval later
            await write_in_parts([new], write, reject)
        return judged

    def _log_proof(self, proof: IngestProof, unproven_since: datetime | None) -> None:
        """Log when it begins to hold, and when it ends."""
        if unproven_since is None and not self._was_proven:
            log.info("ingest_proven", since=str(proof.since))
        elif unproven_since is not None and self._was_proven:
            log.warning(
                "ingest_unproven", since=str(unproven_since), why="our own heartbeat does not arrive: no push is missed"
            )
        self._was_proven = unproven_since is None


def peers_kept_for() -> timedelta:
    return KEPT_INTERVALS * timedelta(seconds=max(profile.send_every_s for profile in profiles().values()))
