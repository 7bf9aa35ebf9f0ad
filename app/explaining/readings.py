"""The readings that a second's state rests on, each as it was judged."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability.timeline import TimelineSegment
from app.core.clock import from_slot
from app.explaining.judged_reading import JudgedReading, ReadingMark
from app.explaining.vantage_sight import VantageSight, judged_together, sight_at
from app.judging import judge_context
from app.judging.blind_ranges import BLINDNESS_SOURCE, BlindRange, reading_ends_at
from app.judging.claims import is_claim
from app.judging.degraded import WINDOW_READINGS
from app.judging.fold import JudgeContext, fold_order, has_losses
from app.measurements import corrupt_packs
from app.measurements import store as measurements
from probes.contract import CENTRAL, SILENCE, VANTAGES, Reading

LABELS = text("SELECT number, label FROM vantage")
MAX_READINGS = 300  # on either side
AT_THE_START = WINDOW_READINGS + 2  # readings before a segment's start, and as many from there on
REACH = timedelta(hours=6)  # how far apart two neighbouring readings may lie


@dataclass(frozen=True, slots=True)
class Evidence:
    """Readings `around` the second and at the `beginning` of its segment, and the blind ranges around the second."""

    around: Sequence[JudgedReading]
    beginning: Sequence[JudgedReading]
    blind: Sequence[tuple[str, BlindRange]]  # each with its source
    is_damaged: bool = False  # readings of the second's hour cannot be read
    sight: VantageSight | None = None  # of a site that several vantages look at
    together: Sequence[JudgedReading] = ()  # those of the beginning, as such a site is judged
    labels: Mapping[str, str] = field(default_factory=dict)  # of vantages, by the sources of their readings


async def load(
    session: AsyncSession, site_id: int, at: datetime, segment: TimelineSegment | None, *, around: timedelta
) -> Evidence:
    """Return the readings no more than `around` away from the second, at most MAX_READINGS on either side."""
    start, end = at - around, at + around
    async with corrupt_packs.noting(session, [site_id]) as damaged:
        rows = await measurements.list_last_before(session, site_id, start, at, limit=MAX_READINGS)
        rows += await measurements.list_readings(session, site_id, at, end, after=None, limit=MAX_READINGS)
    first = [] if segment is None else await _beginning(session, site_id, segment.began_at or segment.started_at)
    slots = [from_slot(reading.slot) for reading in (*rows, *first)]
    low, high = min([start, *slots]), max([end, *slots])
    context = (await judge_context.load(session, [site_id], BLINDNESS_SOURCE, low, high))[site_id]
    judged, began = _judged(rows, context), _judged(first, context)
    blind = [(source, gap) for source in (CENTRAL, SILENCE) for gap in context.blind_ranges(source, start, end)]
    return Evidence(
        mark(judged, at, segment),
        mark(began, at, segment),
        sorted(blind, key=lambda one: one[1].started_at),
        at.replace(minute=0, second=0, microsecond=0) in damaged[site_id],
        sight_at(sorted(rows, key=fold_order), context, at),
        judged_together(sorted(first, key=fold_order), context),
        await _labels(session) if context.has_vantages else {},
    )


async def _labels(session: AsyncSession) -> dict[str, str]:
    return {VANTAGES[number]: label for number, label in await session.execute(LABELS)}


async def _beginning(session: AsyncSession, site_id: int, started_at: datetime) -> list[Reading]:
    before = await measurements.list_last_before(session, site_id, started_at - REACH, started_at, limit=AT_THE_START)
    return before + await measurements.list_readings(
        session, site_id, started_at, started_at + REACH, after=None, limit=AT_THE_START
    )


def _judged(readings: Iterable[Reading], context: JudgeContext) -> list[JudgedReading]:
    judged = []
    for reading in readings:
        at = from_slot(reading.slot)
        blind = (
            context.blind_ranges(reading.source, at, reading_ends_at(at, reading.sent)) if has_losses(reading) else []
        )
        judged.append(
            JudgedReading(reading, context.observe(reading), blind[0].reason if blind else None, is_claim(reading))
        )
    return judged


def mark(readings: Sequence[JudgedReading], at: datetime, segment: TimelineSegment | None) -> list[JudgedReading]:
    """Return the readings with what each of them meant for the second."""
    slots = [one.at for one in readings if one.is_evidence]
    newest = max((slot for slot in slots if slot <= at), default=None)
    following = min((slot for slot in slots if slot > at), default=None)
    moments = {ReadingMark.NEWEST: newest, ReadingMark.NEXT: following}
    if segment is not None:
        moments |= {ReadingMark.LAST_ANSWER: segment.last_ok_at, ReadingMark.BEGAN: segment.began_at}
        moments[ReadingMark.CONFIRMED] = segment.confirmed_at
    return [
        replace(one, marks=tuple(name for name in ReadingMark if moments.get(name) == one.at))
        if one.is_evidence
        else one
        for one in readings
    ]
