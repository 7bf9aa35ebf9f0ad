"""Says which readings lost packets by our own fault, as `JudgeContext.observe` judges them and latency counts them."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot
from app.judging import blind_ranges
from app.judging.blind_ranges import MOST_PACKETS, BlindRanges, reading_ends_at
from probes.contract import LOOKS, Outcome, Reading


async def fault_reasons(session: AsyncSession, readings: Sequence[Reading]) -> list[str | None]:
    """Return for each reading of a site the reason of the blind range that excuses what it lost; None for no loss."""
    lossy = [reading for reading in readings if _is_lossy(reading)]
    if not lossy:
        return [None] * len(readings)
    start = from_slot(lossy[0].slot)
    end = reading_ends_at(from_slot(lossy[-1].slot), MOST_PACKETS) + timedelta(seconds=1)
    ranges = {
        source: await blind_ranges.list_ranges(session, start, end, source=source)
        for source in {reading.source for reading in lossy}
    }
    if looks := LOOKS & ranges.keys():
        held = await blind_ranges.list_held(session, [lossy[0].key], start, end)
        for source in looks:
            ranges[source] += held.get(lossy[0].key, [])
    indexed = {source: BlindRanges(of_source) for source, of_source in ranges.items()}
    return [_reason(reading, indexed[reading.source]) if _is_lossy(reading) else None for reading in readings]


def _is_lossy(reading: Reading) -> bool:
    lost = reading.outcome is Outcome.TIMEOUT or len(reading.rtt_us) < reading.sent
    return lost and reading.outcome is not Outcome.FAULT


def _reason(reading: Reading, ranges: BlindRanges) -> str | None:
    at = from_slot(reading.slot)
    overlapping = ranges.overlapping(at, reading_ends_at(at, reading.sent))
    return overlapping[0].reason if overlapping else None
