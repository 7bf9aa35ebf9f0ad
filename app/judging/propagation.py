"""Rejudges dirty ranges, then the children of sites that changed, until nothing follows any more."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import compress

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot, utc_now
from app.core.freshness import CLOCK_TOLERANCE, hold_s
from app.judging import blind_ranges, shard_tasks, shards
from app.judging.blind_ranges import BlindRange
from app.judging.dirty_range import DirtyRange
from app.judging.rejudge import RejudgeResult, rejudge
from app.measurements import reader
from app.measurements import store as measurements
from app.profiles import profiles
from probes.contract import AGENT, CENTRAL, SILENCE, VANTAGES, Outcome

CHILDREN = text("""
    SELECT site_id, greatest(started_at, :start), least(coalesce(ended_at, :end), :end) FROM site_configuration
    WHERE parent_id = :parent AND started_at < :end AND coalesce(ended_at > :start, true)
""")


async def rejudge_with_children(session: AsyncSession, dirty_ranges: Iterable[DirtyRange]) -> RejudgeResult:
    """Rejudge this shard's sites; ranges of others' are left to their holders."""
    total = RejudgeResult()
    waiting = await shard_tasks.keep_own(session, dirty_ranges)
    if waiting:
        await shards.serialize(session)
    while waiting:
        result = await rejudge(session, waiting)
        total.dirty_ranges += result.dirty_ranges
        total.changed |= result.changed
        total.states |= result.states
        total.skipped |= result.skipped
        changed = [dirty for dirty in result.dirty_ranges if dirty.site_id in result.changed]
        waiting = await shard_tasks.keep_own(session, await children_of(session, changed))
    return total


async def rejudge_reconfigured(session: AsyncSession, reconfigured: Sequence[DirtyRange]) -> list[DirtyRange]:
    """Rejudge sites whose configuration changed at the starts of these ranges, and their children.

    Return what was written anew.
    """
    children = await children_of(session, reconfigured)
    return (await rejudge_with_children(session, [*reconfigured, *children])).dirty_ranges


async def rejudge_after_clock_set_back(session: AsyncSession, at: datetime, *, by: timedelta) -> list[DirtyRange]:
    """Repair readings with slots after `at`, to which the clock was set back `by` so much; return what changed.

    Nobody knows when our own readings and the silences among them really were: they are deleted. What devices and
    probers elsewhere sent was acknowledged and is kept; its slots were given by that clock, so they move back with it.
    """
    site_ids = await measurements.delete_from(session, at, sources=[CENTRAL, SILENCE])
    dirty_ranges = [DirtyRange(site_id, at, at) for site_id in site_ids]
    for source in (AGENT, *VANTAGES[1:]):
        ahead = await measurements.pop_from(session, at + CLOCK_TOLERANCE, source=source)
        moved = [replace(reading, slot=max(reading.slot - int(by.total_seconds()), 0)) for reading in ahead]
        if moved:
            moved = await measurements.in_distinct_slots(session, moved)
            await measurements.record(session, moved)
            dirty_ranges += [DirtyRange(reading.key, min(from_slot(reading.slot), at), at) for reading in moved]
    return (await rejudge_with_children(session, dirty_ranges)).dirty_ranges


async def affected_by_blindness(
    session: AsyncSession, ranges: Sequence[BlindRange], *, source: str
) -> list[DirtyRange]:
    """Return what was judged before these blind ranges of `source` were known, and may be judged otherwise now.

    Of this shard's sites: those of others are sought by their holders, after all that these judged without knowing.
    """
    hold = longest_hold()
    dirty_ranges = []
    for blind in ranges:
        for site_id in await blind_ranges.list_affected_sites(session, blind, source=source, hold=hold):
            dirty_ranges.append(DirtyRange(site_id, blind.started_at - hold, blind.ended_at))
    seat = shards.seat_of(session)
    return dirty_ranges if seat is None else list(compress(dirty_ranges, shard_tasks.owns(seat, dirty_ranges)))


async def children_of(session: AsyncSession, parents: Iterable[DirtyRange]) -> list[DirtyRange]:
    """Return the children with timeouts since these parents' states changed: they may be `unreachable` now.

    Those that another shard judges by now are all among them: what it judges just now is not stored yet.
    """
    hold, now, seat = longest_hold(), utc_now(), shards.seat_of(session)
    dirty_ranges = []
    for parent in parents:
        start = parent.start - hold
        children = (await session.execute(CHILDREN, {"parent": parent.site_id, "start": start, "end": now})).all()
        lost = await reader.read(session, map(tuple, children), outcomes=[Outcome.TIMEOUT])
        concerned = np.unique(lost.key)
        if seat is not None:
            ids = np.array([child.site_id for child in children], np.int32)
            concerned = np.union1d(concerned, ids[~seat.owns(ids)])
        dirty_ranges += [DirtyRange(site_id, start, now) for site_id in concerned.tolist()]
    return dirty_ranges


def longest_hold() -> timedelta:
    """Return the longest that any state may outlive its last evidence."""
    longest = max(max(profile.interval_s, profile.beat_s, profile.send_every_s) for profile in profiles().values())
    return timedelta(seconds=hold_s(longest))
