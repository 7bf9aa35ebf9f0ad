"""When we could not look: recorded ranges, and why a site went unseen."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import utc_now
from app.ledger.models import Blind, WorkerBeat
from app.registry.models import UnknownReason

BEAT_TOLERANCE = timedelta(seconds=15)
LAST_PACKET_WAITS_S = 3  # the longest packet timeout of any profile
REASONS = {"stopped": UnknownReason.STOPPED, "uplink": UnknownReason.BLIND, "clock": UnknownReason.BLIND}


@dataclass(frozen=True, slots=True)
class BlindRange:
    started_at: datetime
    ended_at: datetime
    reason: str

    def overlaps(self, start: datetime, end: datetime) -> bool:
        return self.started_at < end and start < self.ended_at


def look_ends(slot: datetime, sent: int) -> datetime:
    """When the last packet of a look has been answered or given up: packets leave one second apart."""
    return slot + timedelta(seconds=max(sent - 1, 0) + LAST_PACKET_WAITS_S)


async def record(session: AsyncSession, found: Sequence[BlindRange], *, source: str) -> None:
    session.add_all(Blind(source=source, started_at=r.started_at, ended_at=r.ended_at, reason=r.reason) for r in found)
    await session.flush()


async def list_ranges(session: AsyncSession, start: datetime, end: datetime, *, source: str) -> list[BlindRange]:
    rows = await session.execute(
        select(Blind.started_at, Blind.ended_at, Blind.reason)
        .where(Blind.source == source, Blind.started_at < end, Blind.ended_at > start)
        .order_by(Blind.started_at)
    )
    return [BlindRange(*row) for row in rows]


def gap_reason(ranges: Sequence[BlindRange], start: datetime, end: datetime) -> UnknownReason:
    """Why nothing was seen between two moments: the blind range that covers most of it, else plain silence."""
    covering = [r for r in ranges if r.overlaps(start, end)]
    if not covering:
        return UnknownReason.SILENT
    return REASONS[max(covering, key=lambda r: min(r.ended_at, end) - max(r.started_at, start)).reason]


async def silence_reason(session: AsyncSession) -> UnknownReason:
    """Why evidence that should be there by now is not: the worker is away, it is blind, or the site is silent."""
    beat = (await session.execute(
        select(WorkerBeat.beat_at, WorkerBeat.blind_since).order_by(WorkerBeat.beat_at.desc()).limit(1)
    )).one_or_none()  # fmt: skip
    return reason_from_beat(beat.beat_at if beat else None, beat.blind_since if beat else None, utc_now())


def reason_from_beat(beat_at: datetime | None, blind_since: datetime | None, now: datetime) -> UnknownReason:
    if beat_at is None or now - beat_at > BEAT_TOLERANCE:
        return UnknownReason.STOPPED
    return UnknownReason.BLIND if blind_since is not None else UnknownReason.SILENT
