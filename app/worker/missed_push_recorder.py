"""Records missed pushes as timeouts, and since when ingest is proven alive."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from app.judging.addressed_block import AddressedReading
from app.judging.ingest import JudgedSite
from app.postgres.engine import Sessions, transaction
from app.profiles import profiles
from app.worker.counters import WorkerCounters
from app.worker.ingest_heartbeat import IngestHeartbeat
from app.worker.ingest_proof import IngestProof, write_proof
from app.worker.missed_pushes import list_missed
from app.worker.peer_quorum import KEPT_INTERVALS, PeerQuorum
from app.worker.rejection import write_in_parts
from app.worker.writer import write_batch

log = structlog.get_logger()


@dataclass
class MissedPushRecorder:
    sessions: Sessions
    counters: WorkerCounters
    heartbeat: IngestHeartbeat
    peers: PeerQuorum
    _stored: tuple[IngestProof, datetime | None] | None = None  # the proof, and since when there is none, as written
    _rejected: set[tuple[int, int]] = field(default_factory=set)  # missed pushes, by site and slot

    async def record(self, proof: IngestProof, now: datetime) -> list[JudgedSite]:
        """Store the proof of ingest and the pushes certainly missed, given that the inbox was empty at `now`."""
        now += self.heartbeat.clock_offset
        self.peers.expire(now - peers_kept_for())
        unproven_since = proof.unproven_since(now)
        self.counters.ingest_proven = int(unproven_since is None)
        self.counters.own_beats_sent = self.heartbeat.sent
        missed: list[AddressedReading] = []
        if unproven_since is None:
            async with self.sessions() as session:  # only reads: there is nothing to commit
                missed = await list_missed(session, proof, self.peers, now, profiles=profiles())
        if (proof, unproven_since) != self._stored:
            async with transaction(self.sessions) as session:
                await write_proof(session, proof, unproven_since)
        self._log_proof(proof, unproven_since)
        return await self._write_missed(missed)

    async def _write_missed(self, missed: Sequence[AddressedReading]) -> list[JudgedSite]:
        self._rejected &= {
            (reading.key, reading.slot) for reading, _ in missed
        }  # forget those that are not missed any more
        new = [item for item in missed if (item[0].key, item[0].slot) not in self._rejected]
        judged: list[JudgedSite] = []

        async def write(part: Sequence[AddressedReading]) -> None:
            async with transaction(self.sessions) as session:
                judged_now = await write_batch(session, part, [])
            judged.extend(judged_now)
            self.counters.silences += len(part)

        async def reject(part: Sequence[AddressedReading], error: Exception) -> None:
            ((reading, _),) = part
            site_id, slot = reading.key, reading.slot
            self._rejected.add((site_id, slot))
            log.error("missed_push_rejected", site=site_id, slot=slot, error=repr(error), exc_info=error)

        if new:
            await write_in_parts([new], write, reject)
        return judged

    def _log_proof(self, proof: IngestProof, unproven_since: datetime | None) -> None:
        was_unproven = self._stored is None or self._stored[1] is not None
        if unproven_since is None and was_unproven:
            log.info("ingest_proven", since=str(proof.since))
        elif unproven_since is not None and not was_unproven:
            log.warning(
                "ingest_unproven", since=str(unproven_since), why="our own heartbeat does not arrive: no push is missed"
            )
        self._stored = proof, unproven_since


def peers_kept_for() -> timedelta:
    return KEPT_INTERVALS * timedelta(seconds=max(profile.send_every_s for profile in profiles().values()))
