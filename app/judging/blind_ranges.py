"""Blind ranges, in which a source could not look: records and finds them, and says why evidence is missing."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.judging.models import Blind, WorkerBeat
from app.profiles import LONGEST_PACKET_TIMEOUT_S
from app.registry.models import UnknownReason
from probes.contract import AGENT, CENTRAL, SILENCE
from probes.reading_block import SOURCE_CODES

BEAT_TOLERANCE = timedelta(seconds=15)
MOST_PACKETS = 5  # of one reading: of the one that confirms an outage
LONGEST_READING_S = MOST_PACKETS - 1 + LONGEST_PACKET_TIMEOUT_S
MASS_OUTAGE = "mass_outage"
REASONS = {
    "stopped": UnknownReason.STOPPED,
    "uplink": UnknownReason.BLIND,
    "clock": UnknownReason.BLIND,
    "ingest": UnknownReason.BLIND,
    MASS_OUTAGE: UnknownReason.BLIND,
}
# By the source of readings, the source whose blindness explains why they are missing. A timeout is excused by the
# blindness of its own source alone: what a device measured is true whether or not we could receive it. Of probers at
# other vantages none is recorded: their own looks say that they were blind.
BLINDNESS_SOURCE = {CENTRAL: CENTRAL, AGENT: SILENCE, SILENCE: SILENCE}


def reading_ends_at(slot: datetime, sent: int) -> datetime:
    """Return when the last packet of a reading is answered or timed out: packets leave one second apart."""
    return slot + timedelta(seconds=max(sent - 1, 0) + LONGEST_PACKET_TIMEOUT_S)


def reading_ends_at_sql(measurement: str) -> str:
    """`reading_ends_at` of a row of `measurement`; the argument is its alias."""
    packets_after_first = f"greatest({measurement}.sent - 1, 0)"
    return f"{measurement}.slot + make_interval(secs => {packets_after_first} + {LONGEST_PACKET_TIMEOUT_S})"


RANGES = text("""
    SELECT started_at, ended_at, reason FROM blind
    WHERE source = :source AND started_at < :end AND ended_at > :start
""")
HELD = text("""
    SELECT site_id, started_at, lost_at FROM suspect
    WHERE site_id = ANY(:ids) AND started_at < :end AND lost_at >= :start AND excused IS NOT FALSE
""")
# `near` holds the readings around the range; where they do not reach its edges, a gap lies beyond them.
# Where readings around it are packed every site with some is affected: more is judged again, and nothing comes out
# otherwise. A range is known long before its hours are packed, but for what a stopped clock or worker leaves.
AFFECTED_SITES = text(f"""
    WITH near AS (
        SELECT site_id, source, slot, outcome, sent, outcome = 'timeout' OR cardinality(rtt_us) < sent AS lossy,
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
            bool_or(lossy AND source = :source AND slot < :end
                AND {reading_ends_at_sql("near")} > :start) AS lost,
            bool_or(slot - least(before, ok_before) > make_interval(secs => valid_s)
                AND least(before, ok_before) < :end AND slot > :start) AS unseen,
            bool_or(source = ANY(:explained)) AS concerned
        FROM near GROUP BY site_id
    )
    SELECT st.site_id FROM site_status st LEFT JOIN around a USING (site_id)
    WHERE st.seen_at + make_interval(secs => {LONGEST_READING_S}) > :start
        AND (a.concerned OR a.site_id IS NULL)
        AND (a.first_ok IS NULL OR a.lost OR a.unseen OR a.first_ok > :start
            OR a.last_ok < :end AND st.seen_at > a.last)
    UNION SELECT p.site_id FROM reading_pack p JOIN site_status st USING (site_id)
    WHERE p.hour > cast(:start AS timestamptz) - cast(:hold AS interval) - interval '1 day'
        AND p.hour + make_interval(hours => p.span) > cast(:start AS timestamptz) - cast(:hold AS interval)
        AND p.hour < cast(:end AS timestamptz) + cast(:hold AS interval) AND p.source = ANY(:explained_codes)
        AND st.seen_at + make_interval(secs => {LONGEST_READING_S}) > :start
""")


@dataclass(frozen=True, slots=True)
class BlindRange:
    started_at: datetime
    ended_at: datetime
    reason: str
    evidence: Mapping[str, Any] | None = field(default=None, compare=False)  # of the canaries

    def overlaps(self, start: datetime, end: datetime) -> bool:
        return self.started_at < end and start < self.ended_at


class BlindRanges:
    """Many ranges, indexed by time."""

    def __init__(self, ranges: Iterable[BlindRange]) -> None:
        self._ranges = sorted(ranges, key=lambda blind: blind.started_at)
        self._starts = [blind.started_at for blind in self._ranges]
        self._latest_ends = list(accumulate((blind.ended_at for blind in self._ranges), max))  # up to each range

    def overlapping(self, start: datetime, end: datetime) -> list[BlindRange]:
        ranges, index = [], bisect_left(self._starts, end)
        while index > 0 and self._latest_ends[index - 1] > start:
            index -= 1
            if self._ranges[index].overlaps(start, end):
                ranges.append(self._ranges[index])
        return ranges


async def record(session: AsyncSession, ranges: Sequence[BlindRange], *, source: str) -> None:
    session.add_all(
        Blind(
            source=source,
            started_at=blind.started_at,
            ended_at=blind.ended_at,
            reason=blind.reason,
            evidence=blind.evidence,
        )
        for blind in ranges
    )
    await session.flush()


async def list_ranges(session: AsyncSession, start: datetime, end: datetime, *, source: str) -> list[BlindRange]:
    """Return the recorded ranges that overlap."""
    rows = await session.execute(RANGES, {"source": source, "start": start, "end": end})
    return [BlindRange(*row) for row in rows]


async def list_held(
    session: AsyncSession, site_ids: Collection[int], start: datetime, end: datetime
) -> dict[int, list[BlindRange]]:
    """Return by site the lost looks that count as our fault since many sites were lost with it."""
    held: dict[int, list[BlindRange]] = defaultdict(list)
    for site_id, started_at, lost_at in await session.execute(
        HELD, {"ids": sorted(site_ids), "start": start, "end": end}
    ):
        held[site_id].append(BlindRange(started_at, lost_at + timedelta(seconds=1), MASS_OUTAGE))
    return held


async def list_affected_sites(session: AsyncSession, blind: BlindRange, *, source: str, hold: timedelta) -> list[int]:
    """Return the sites whose stored readings may be judged otherwise now that the range is known.

    They lost packets in it, or went unseen for more than an interval next to it. `hold`: the longest that a state
    outlives its evidence.
    """
    explained = [name for name, blind_source in BLINDNESS_SOURCE.items() if blind_source == source]
    parameters = {
        "start": blind.started_at,
        "end": blind.ended_at,
        "hold": hold,
        "source": source,
        "explained": explained,
        "explained_codes": [SOURCE_CODES[name] for name in explained],
    }
    return list(await session.scalars(AFFECTED_SITES, parameters))


def gap_reason(ranges: Sequence[BlindRange], start: datetime, end: datetime) -> UnknownReason:
    """Return why nothing was seen between two moments: the blind range that covers most of it, else silence."""
    covering = [blind for blind in ranges if blind.overlaps(start, end)]
    if not covering:
        return UnknownReason.SILENT
    longest = max(covering, key=lambda blind: min(blind.ended_at, end) - max(blind.started_at, start))
    return REASONS[longest.reason]


async def missing_evidence_reasons(session: AsyncSession) -> dict[str, UnknownReason]:
    """Return by source why evidence that is due is missing: the worker stopped or is blind, or the site is silent."""
    rows = await session.execute(select(WorkerBeat.source, WorkerBeat.beat_at, WorkerBeat.blind_since))
    beats = {source: (beat_at, blind_since) for source, beat_at, blind_since in rows}
    return reasons_from_beats(beats, utc_now())


def reasons_from_beats(
    beats: Mapping[str, tuple[datetime, datetime | None]], now: datetime
) -> dict[str, UnknownReason]:
    """Return the reasons by source of readings. `beats`: (beat_at, blind_since) by source.

    Pushes are judged by the worker, so its own beat counts for them too.
    """
    beat_at, blind_since = beats.get(CENTRAL, (None, None))
    _, ingest_blind_since = beats.get(SILENCE, (None, None))
    return {
        CENTRAL: reason_from_beat(beat_at, blind_since, now),
        AGENT: reason_from_beat(beat_at, ingest_blind_since, now),
    }


def reason_from_beat(beat_at: datetime | None, blind_since: datetime | None, now: datetime) -> UnknownReason:
    if beat_at is None or now - beat_at > BEAT_TOLERANCE:
        return UnknownReason.STOPPED
    return UnknownReason.BLIND if blind_since is not None else UnknownReason.SILENT
