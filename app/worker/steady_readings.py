"""Records readings that leave their site up: nothing is judged one by one, and almost nothing follows."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import WITA, from_micros, from_slot, midnight, to_micros, utc_now
from app.judging import checkpoints
from app.judging.carry import lost_lately
from app.judging.carry_store import CarryOutdated
from app.judging.carry_table import CarryChanges, SteadyReadings
from app.judging.dirty_range import DirtyRange
from app.measurements.recording import record_block


async def record_steady(
    session: AsyncSession, steady: SteadyReadings, changes: CarryChanges, *, is_sweep: bool
) -> list[DirtyRange]:
    """Record them, with the checkpoints of hours that they pass.

    Return what is to be counted again: of a site that was lost lately, whose incident may depend on what is known by
    now of its parent; of a day that is over; and in a sweep of one site in any case, for whatever waits.
    """
    if not len(steady):
        return []
    if not (await record_block(session, steady.readings)).all():
        raise CarryOutdated("readings are stored that were not judged: a commit took effect after its connection broke")
    changes.advance(steady)
    await checkpoints.save_carry(session, steady.before, steady.readings.slot)
    evidence_at, today = steady.before["evidence_at"], midnight(utc_now().astimezone(WITA).date())
    counted = (evidence_at < to_micros(today)) | lost_lately(steady.before)
    counted[:1] |= is_sweep
    rows = zip(
        steady.readings.key[counted].tolist(),
        evidence_at[counted].tolist(),
        steady.readings.slot[counted].tolist(),
        strict=True,
    )
    return [DirtyRange(site_id, from_micros(since), from_slot(slot), whole=False) for site_id, since, slot in rows]
