"""Readings of an address that was not the site's when they were taken say nothing of the site: they are faults."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, from_slot
from app.judging import judge_context
from app.judging.addressed_block import AddressedReading
from app.judging.fold import JudgeConfiguration
from probes.contract import Outcome, Reading


async def with_faults_of_others(
    session: AsyncSession, addressed: Sequence[AddressedReading], rows: Mapping[int, Any]
) -> list[Reading]:
    """Return the readings of the locked sites, those of another address as faults.

    What waited in a spool while its site moved counts by the address that was the site's in its second.
    """
    known = [(reading, since) for reading, since in addressed if reading.key in rows]
    earlier = {reading.key for reading, since in known if _is_earlier(reading, since, rows[reading.key])}
    dated = await judge_context.load_configurations(session, earlier) if earlier else {}
    return [
        reading
        if _is_current(reading, since, rows[reading.key]) or _was_current(reading, since, dated.get(reading.key, ()))
        else replace(reading, outcome=Outcome.FAULT, reason="moved")
        for reading, since in known
    ]


def _is_current(reading: Reading, addressed_at: datetime | None, row: Any) -> bool:
    if addressed_at is None:
        return from_slot(reading.slot) >= floor_second(row.configured_at)
    return bool(addressed_at == row.configured_at)


def _is_earlier(reading: Reading, addressed_at: datetime | None, row: Any) -> bool:
    """Whether it may be of an address that was the site's before the present one."""
    return (
        addressed_at is not None and addressed_at != row.configured_at and from_slot(reading.slot) < row.configured_at
    )


def _was_current(reading: Reading, addressed_at: datetime | None, configurations: Sequence[JudgeConfiguration]) -> bool:
    slot = from_slot(reading.slot)
    in_force = [dated for dated in configurations if dated.started_at <= slot][-1:]
    return addressed_at is not None and any(dated.addressed_at == addressed_at for dated in in_force)
