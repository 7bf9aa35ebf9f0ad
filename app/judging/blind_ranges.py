"""When we could not look: recorded ranges, and why a site went unseen."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.judging.models import Blind, WorkerBeat
from app.profiles import LONGEST_PACKET_TIMEOUT_S
from app.registry.models import UnknownReason
from probes.contract import AGENT, CENTRAL, SILENCE

BEAT_TOLERANCE = timedelta(seconds=15)
MOST_PACKETS = 5  # of one reading: of the one that confirms an outage
LONGEST_READING_S = MOST_PACKETS - 1 + LONGEST_PACKET_TIMEOUT_S
REASONS = {
    "stopped": UnknownReason.STOPPED,
    "uplink": UnknownReason.BLIND,
    "clock": UnknownReason.BLIND,
    "ingest": UnknownReason.BLIND,
}
# Whose blindness tells why readings of a source are missing. A loss itself is excused by its own source's alone: what a
# device measured out there is true whether we could hear it or not.
BLINDNESS_SOURCE = {CENTRAL: CENTRAL, AGENT: SILENCE, SILENCE: SILENCE}


def reading_ends_at_sql(measurement: str) -> str:
    """`reading_ends_at` of a row of `measurement`; the argument is its alias."""
    packets_after_first = f"greatest({measurement}.sent - 1, 0)"
    return f"{measurement}.slot + make_interval(secs => {packets_after_first} + {LONGEST_PACKET_TIMEOUT_S})"


RANGES = text("""
    SELECT started_at, ended_at, reason FROM blind
    WHERE source = :source AND started_at < :end AND ended_at > :start
    UNION ALL
    SELECT started_at, timestamptz '9999-01-01', 'uplink' FROM suspicion
    WHERE source = :source AND ended_at IS NULL AND started_at < :end
""")
# `near` are the looks around the range; where they leave its edge open, what lies beyond them was a gap.
DOUBTFUL = text(f"""
    WITH near AS (
        SELECT site_id, source, slot, outcome, sent,
            least(valid_s, lag(valid_s) OVER (PARTITION BY site_id ORDER BY slot)) AS valid_s,
            lag(slot) OVER (PARTITION BY site_id ORDER BY slot) AS before,
            max(slot) FILTER (WHERE outcome = 'ok')
                OVER (PARTITION BY site_id ORDER BY slot ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS ok_before
        FROM measurement
        WHERE outcome <> 'fault'
            AND slot > cast(:start AS timestamptz) - cast(:hold AS interval)
            AND slot < cast(:end AS timestamptz) + cast(:hold AS interval)
    ), around AS (
        SELECT site_id, max(slot) AS last, min(slot) FILTER (WHERE outcome = 'ok') AS first_ok,
            max(slot) FILTER (WHERE outcome = 'ok') AS last_ok,
            bool_or(outcome = 'timeout' AND source = :source AND slot < :end
                AND {reading_ends_at_sql("near")} > :start) AS lost,
            bool_or(slot - least(before, ok_before) > make_interval(secs => valid_s)
                AND least(before, ok_before) < :end AND slot > :start) AS unseen,
            bool_or(source = ANY(:seen)) AS concerned
        FROM near GROUP BY site_id
    )
    SELECT st.site_id FROM site_status st LEFT JOIN around a USING (site_id)
    WHERE st.seen_at + make_interval(secs => {LONGEST_READING_S}) > :start
        AND (a.concerned OR a.site_id IS NULL)
        AND (a.first_ok IS NULL OR a.lost OR a.unseen OR a.first_ok > :start
            OR a.last_ok < :end AND st.seen_at > a.last)
""")


@dataclass(frozen=True, slots=True)
class BlindRange:
    started_at: datetime
    ended_at: datetime
    reason: str

    def overlaps(self, start: datetime, end: datetime) -> bool:
        return self.started_at < end and start < self.ended_at


class BlindRanges:
    """Many ranges, quick to ask."""

    def __init__(self, ranges: Iterable[BlindRange]) -> None:
        self._ranges = sorted(ranges, key=lambda one: one.started_at)
        self._starts = [one.started_at for one in self._ranges]
        self._ends = list(accumulate((one.ended_at for one in self._ranges), max))  # the latest end up to here

    def overlapping(self, start: datetime, end: datetime) -> list[BlindRange]:
        found, place = [], bisect_left(self._starts, end)
        while place > 0 and self._ends[place - 1] > start:
            place -= 1
            if self._ranges[place].overlaps(start, end):
                found.append(self._ranges[place])
        return found


def reading_ends_at(slot: datetime, sent: int) -> datetime:
    """When the last packet of a look has been answered or given up: packets leave one second apart."""
    return slot + timedelta(seconds=max(sent - 1, 0) + LONGEST_PACKET_TIMEOUT_S)


async def record(session: AsyncSession, found: Sequence[BlindRange], *, source: str) -> None:
    session.add_all(Blind(source=source, started_at=r.started_at, ended_at=r.ended_at, reason=r.reason) for r in found)
    await session.flush()


async def list_ranges(session: AsyncSession, start: datetime, end: datetime, *, source: str) -> list[BlindRange]:
    """What was recorded, and what is suspected and not yet settled: that goes on."""
    rows = await session.execute(RANGES, {"source": source, "start": start, "end": end})
    return [BlindRange(*row) for row in rows]


async def list_affected_sites(session: AsyncSession, found: BlindRange, *, source: str, hold: timedelta) -> list[int]:
    """The sites whose stored readings may have been judged otherwise, had the range been known.

    They lost a look in it, or went unseen for more than an interval next to it. `hold`: how long a state may hold.
    """
    seen = [name for name, eyes in BLINDNESS_SOURCE.items() if eyes == source]
    bounds = {"start": found.started_at, "end": found.ended_at, "hold": hold, "source": source, "seen": seen}
    return list(await session.scalars(DOUBTFUL, bounds))


def gap_reason(ranges: Sequence[BlindRange], start: datetime, end: datetime) -> UnknownReason:
    """Why nothing was seen between two moments: the blind range that covers most of it, else plain silence."""
    covering = [r for r in ranges if r.overlaps(start, end)]
    if not covering:
        return UnknownReason.SILENT
    return REASONS[max(covering, key=lambda r: min(r.ended_at, end) - max(r.started_at, start)).reason]


async def missing_evidence_reasons(session: AsyncSession) -> dict[str, UnknownReason]:
    """By source, why evidence that should be there by now is not: the worker is away, blind, or the site is silent."""
    rows = await session.execute(select(WorkerBeat.source, WorkerBeat.beat_at, WorkerBeat.blind_since))
    beats = {source: (beat_at, blind_since) for source, beat_at, blind_since in rows}
    return reasons_from_beats(beats, utc_now())


def reasons_from_beats(
    beats: Mapping[str, tuple[datetime, datetime | None]], now: datetime
) -> dict[str, UnknownReason]:
    """`beats` by source. What devices push is heard by nobody while the worker is away."""
    beat_at, blind_since = beats.get(CENTRAL, (None, None))
    _, deaf_since = beats.get(SILENCE, (None, None))
    return {CENTRAL: reason_from_beat(beat_at, blind_since, now), AGENT: reason_from_beat(beat_at, deaf_since, now)}


def reason_from_beat(beat_at: datetime | None, blind_since: datetime | None, now: datetime) -> UnknownReason:
    if beat_at is None or now - beat_at > BEAT_TOLERANCE:
        return UnknownReason.STOPPED
    return UnknownReason.BLIND if blind_since is not None else UnknownReason.SILENT
