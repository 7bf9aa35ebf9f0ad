"""Folds new readings onto the present judge state of their sites, and writes what they come to."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot
from app.core.freshness import lapses_at
from app.judging import checkpoints, judge_context, judge_state_store, segments
from app.judging.dirty_range import DirtyRange
from app.judging.fold import FoldResult, JudgeConfiguration, fold, fold_order, has_losses
from app.judging.judge import BAD
from app.judging.site_rejudgement import FAR_FUTURE
from app.profiles import Technology
from probes.contract import SILENCE, Reading

Rows = Mapping[int, Any]  # of the locked sites, by id


async def fold_live(
    session: AsyncSession, site_readings: Mapping[int, Sequence[Reading]], rows: Rows
) -> dict[int, FoldResult]:
    """Fold these readings from each site's present state on, and write what they come to."""
    readings = {site_id: sorted(of_site, key=fold_order) for site_id, of_site in site_readings.items()}
    current = {
        site_id: _configuration(rows[site_id])
        for site_id, of_site in readings.items()
        if _is_settled(rows[site_id], of_site)
    }
    contexts = await judge_context.load(session, list(readings), **_context_bounds(rows, readings), current=current)
    folded = {
        site_id: fold(judge_state_store.state_from_row(rows[site_id]), of_site, contexts[site_id])
        for site_id, of_site in readings.items()
    }
    await segments.write_changes(session, {site_id: site.changes for site_id, site in folded.items() if site.changes})
    await checkpoints.save(session, folded)
    await judge_state_store.write_states(session, [(rows[site_id], site) for site_id, site in folded.items()])
    return folded


def _configuration(row: Any) -> JudgeConfiguration:
    return JudgeConfiguration(
        row.setup_at,
        row.configured_at,
        Technology(row.technology),
        row.parent_id,
        provider_id=row.provider_id,
        vantages=tuple(row.vantages),
    )


def _is_settled(row: Any, readings: Sequence[Reading]) -> bool:
    """Whether the configuration in force is the only one that bears on these readings, and the locked row has it."""
    if any(reading.source == SILENCE for reading in readings):
        return False  # whether its device is always present stands in the configuration alone
    return bool(row.addressed_at == row.configured_at and row.setup_at <= from_slot(readings[0].slot))


def _context_bounds(rows: Rows, readings: Mapping[int, Sequence[Reading]]) -> dict[str, Any]:
    """Return sources, start and end of the blind ranges and parent outages that matter: about losses and gaps."""
    moments = [from_slot(reading.slot) for of_site in readings.values() for reading in of_site if has_losses(reading)]
    for site_id, of_site in readings.items():
        row, oldest, newest = rows[site_id], from_slot(of_site[0].slot), from_slot(of_site[-1].slot)
        shortest = min([row.valid_s, *(reading.valid_s for reading in of_site)])
        supported_at = row.evidence_at or row.pending_at or oldest
        if lapses_at(supported_at, shortest) < newest:
            moments += [supported_at, newest]
    sources = {reading.source for of_site in readings.values() for reading in of_site} if moments else set()
    return {"sources": sources, "start": min(moments, default=FAR_FUTURE), "end": max(moments, default=FAR_FUTURE)}


def written_range(row: Any, folded: FoldResult) -> DirtyRange:
    """Return what a live fold wrote: from the evidence before it, whose hold may have been shown to end sooner."""
    end = folded.state.seen_at or folded.state.since
    starts = [(change.last_ok_at or change.at) if change.state in BAD else change.at for change in folded.changes]
    return DirtyRange(row.site_id, min([row.evidence_at or end, *starts]), end, whole=bool(folded.changes))
