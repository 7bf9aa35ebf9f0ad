"""Writes segments: the live path appends state changes, a rejudgement replaces the segments of a range."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.judging.judge import StateChange
from app.judging.judge_state_store import as_json
from app.registry.models import State, UnknownReason

CHANGES = (
    "json_to_recordset(cast(:rows AS json)) AS n(site_id int, at timestamptz, state text, "
    "unknown_reason text, last_ok_at timestamptz, confirmed_at timestamptz, last_loss_at timestamptz, "
    "first_ok_after timestamptz)"
)
DELETE_FROM = text(f"DELETE FROM state_segment g USING {CHANGES} WHERE g.site_id = n.site_id AND g.started_at >= n.at")
CLOSE = text(f"""
    UPDATE state_segment g SET ended_at = n.at, first_ok_after = n.first_ok_after, last_loss_at = n.last_loss_at
    FROM {CHANGES} WHERE g.site_id = n.site_id AND g.started_at < n.at AND (g.ended_at IS NULL OR g.ended_at > n.at)
""")
OPEN = text(f"""
    INSERT INTO state_segment (site_id, started_at, state, unknown_reason, last_ok_at, confirmed_at)
    SELECT n.site_id, n.at, n.state, n.unknown_reason, n.last_ok_at, n.confirmed_at FROM {CHANGES}
""")

FIELDS = "started_at, ended_at, state, unknown_reason, last_ok_at, confirmed_at, first_ok_after, last_loss_at"
RANGES = "json_to_recordset(cast(:rows AS json)) AS n(site_id int, first timestamptz, last timestamptz)"
READ = text(f"""
    SELECT site_id, {FIELDS} FROM state_segment g JOIN {RANGES} USING (site_id)
    WHERE g.started_at >= n.first AND g.started_at <= n.last ORDER BY site_id, started_at
""")
REMOVE = text("""
    DELETE FROM state_segment g USING json_to_recordset(cast(:rows AS json)) AS n(site_id int, started_at timestamptz)
    WHERE g.site_id = n.site_id AND g.started_at = n.started_at
""")
WRITE = text(f"""
    INSERT INTO state_segment (site_id, {FIELDS}) SELECT site_id, {FIELDS}
    FROM json_populate_recordset(NULL::state_segment, cast(:rows AS json))
""")


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of one state of one site; `ended_at` is None for the last one."""

    started_at: datetime
    ended_at: datetime | None
    state: State
    unknown_reason: UnknownReason | None
    last_ok_at: datetime | None
    confirmed_at: datetime | None
    first_ok_after: datetime | None
    last_loss_at: datetime | None  # of one that has ended


@dataclass(frozen=True, slots=True)
class SegmentRange:
    """The segments that start from `first` to `last`, both included."""

    first: datetime
    last: datetime


def apply_changes(segments: Sequence[Segment], changes: Iterable[StateChange]) -> list[Segment]:
    """Return the segments as `write_changes` would leave them."""
    result = list(segments)
    for change in changes:
        while result and result[-1].started_at >= change.at:
            result.pop()
        if result and (result[-1].ended_at is None or result[-1].ended_at > change.at):
            result[-1] = replace(
                result[-1],
                ended_at=change.at,
                first_ok_after=change.first_ok_after,
                last_loss_at=change.last_loss_at,
            )
        evidence = (change.last_ok_at, change.confirmed_at, None, None)
        result.append(Segment(change.at, None, change.state, change.unknown_reason, *evidence))
    return result


def reopened(segment: Segment) -> Segment:
    return replace(segment, ended_at=None, first_ok_after=None, last_loss_at=None)


def ended_like(segment: Segment, other: Segment) -> Segment:
    ended = {name: getattr(other, name) for name in ("ended_at", "first_ok_after", "last_loss_at")}
    return replace(segment, **ended)


async def write_changes(session: AsyncSession, changes: Mapping[int, Sequence[StateChange]]) -> None:
    """Write state changes by site: first every site's first change, then every site's second, and so on."""
    for nth in range(max(map(len, changes.values()), default=0)):
        rows = as_json([_row(site_id, of_site[nth]) for site_id, of_site in changes.items() if len(of_site) > nth])
        for statement in (DELETE_FROM, CLOSE, OPEN):
            await session.execute(statement, {"rows": rows})


async def read_ranges(session: AsyncSession, ranges: Mapping[int, SegmentRange]) -> dict[int, list[Segment]]:
    """Return the segments of each site's range, in order of time."""
    segments: dict[int, list[Segment]] = {site_id: [] for site_id in ranges}
    rows = as_json([_row(site_id, segment_range) for site_id, segment_range in ranges.items()])
    for site_id, started_at, ended_at, state, reason, *evidence in await session.execute(READ, {"rows": rows}):
        reason = UnknownReason(reason) if reason else None
        segments[site_id].append(Segment(started_at, ended_at, State(state), reason, *evidence))
    return segments


async def replace_segments(
    session: AsyncSession, before: Mapping[int, Sequence[Segment]], after: Mapping[int, Sequence[Segment]]
) -> set[int]:
    """Replace each site's segments `before` by those `after`, leaving alone what is in both.

    Return the sites whose segments differed.
    """
    removed = _rows({site_id: set(segments) - set(after[site_id]) for site_id, segments in before.items()})
    added = _rows({site_id: set(segments) - set(before[site_id]) for site_id, segments in after.items()})
    if removed:
        await session.execute(REMOVE, {"rows": as_json(removed)})
    if added:
        await session.execute(WRITE, {"rows": as_json(added)})
    return {row["site_id"] for row in (*removed, *added)}


def _rows(segments: Mapping[int, Iterable[Segment]]) -> list[dict[str, Any]]:
    return [_row(site_id, segment) for site_id, of_site in segments.items() for segment in of_site]


def _row(site_id: int, record: StateChange | Segment | SegmentRange) -> dict[str, Any]:
    return {"site_id": site_id} | {name: getattr(record, name) for name in record.__slots__}
