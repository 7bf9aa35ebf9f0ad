"""From when to when ingest is proven alive: our own heartbeats arrived through it without a longer gap.

Moments are those of ingest's clock: of when it received our beats.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second
from app.judging.blind_ranges import BlindRange
from app.judging.models import WorkerBeat
from app.worker.writer import write_beat
from probes.contract import SILENCE

GAP = timedelta(seconds=45)  # two beats may be lost


@dataclass(frozen=True, slots=True)
class IngestProof:
    """From `since` to `last` ingest was alive without a longer gap; `since` None: not proven as yet."""

    last: datetime
    since: datetime | None = None

    def covers(self, start: datetime, now: datetime) -> bool:
        return self.since is not None and self.since <= start and self.unproven_since(now) is None

    def unproven_since(self, now: datetime) -> datetime | None:
        """None while ingest is proven alive."""
        return self.last if self.since is None or now - self.last > GAP else None

    def extend(self, at: datetime, *, started_at: datetime) -> tuple["IngestProof", list[BlindRange]]:
        """Return the proof with a beat received at `at`, and the ranges that can no more be proven.

        `started_at`: since when this worker sends beats.
        """
        if at - self.last > GAP:
            return IngestProof(at, at), _unproven(self.last, at, started_at)
        if at < self.last - GAP:  # the clock was set back
            return IngestProof(at, at), []
        return IngestProof(max(at, self.last), self.since or at), []


def _unproven(start: datetime, end: datetime, started_at: datetime) -> list[BlindRange]:
    """Split into the time before this worker began, when none sent beats, and the time after: that is ingest's own."""
    began = min(max(started_at, start), end)
    if end - began <= GAP and start < began:
        return [_range(start, end, "stopped")]
    parts = (start, began, "stopped"), (began, end, "ingest")
    return [_range(first, last, reason) for first, last, reason in parts if first < last]


def _range(start: datetime, end: datetime, reason: str) -> BlindRange:
    return BlindRange(floor_second(start), floor_second(end) + timedelta(seconds=1), reason)


async def read_proof(session: AsyncSession) -> IngestProof | None:
    """Return the proof that was stored last, by whichever worker."""
    beat = await session.get(WorkerBeat, SILENCE)
    if beat is None:
        return None
    return IngestProof(beat.beat_at, beat.started_at if beat.blind_since is None else None)


async def write_proof(session: AsyncSession, proof: IngestProof, unproven_since: datetime | None) -> None:
    started_at = proof.since or proof.last
    await write_beat(
        session, source=SILENCE, now=proof.last, started_at=started_at, blind_since=unproven_since, figures={}
    )
