"""Segments as rows: the live path lays change upon change, a rejudgement replaces a stretch whole."""

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
    "unknown_reason text, last_ok_at timestamptz, confirmed_at timestamptz)"
)
GIVE_WAY = text(f"DELETE FROM state_segment g USING {CHANGES} WHERE g.site_id = n.site_id AND g.started_at >= n.at")
CLOSE = text(f"""
    UPDATE state_segment g SET ended_at = n.at, first_ok_after = CASE WHEN n.state = 'up' THEN n.at END
    FROM {CHANGES} WHERE g.site_id = n.site_id AND g.started_at < n.at AND (g.ended_at IS NULL OR g.ended_at > n.at)
""")
OPEN = text(f"""
    INSERT INTO state_segment (site_id, started_at, state, unknown_reason, last_ok_at, confirmed_at)
    SELECT n.site_id, n.at, n.state, n.unknown_reason, n.last_ok_at, n.confirmed_at FROM {CHANGES}
""")

FIELDS = "started_at, ended_at, state, unknown_reason, last_ok_at, confirmed_at, first_ok_after"
STRETCHES = "json_to_recordset(cast(:rows AS json)) AS n(site_id int, first timestamptz, last timestamptz)"
READ = text(f"""
    SELECT site_id, {FIELDS} FROM state_segment g JOIN {STRETCHES} USING (site_id)
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
    """One state of one site; `ended_at` is None while it is the last."""

    started_at: datetime
    ended_at: datetime | None
    state: State
    unknown_reason: UnknownReason | None
    last_ok_at: datetime | None
    confirmed_at: datetime | None
    first_ok_after: datetime | None


@dataclass(frozen=True, slots=True)
class SegmentRange:
    """The segments that begin from `first` to `last`, both included."""

    first: datetime
    last: datetime


def apply_changes(segments: Sequence[Segment], changes: Iterable[StateChange]) -> list[Segment]:
    """What the database comes to when the same changes are applied there, one after the other."""
    laid = list(segments)
    for change in changes:
        while laid and laid[-1].started_at >= change.at:
            laid.pop()
        if laid and (laid[-1].ended_at is None or laid[-1].ended_at > change.at):
            answered = change.at if change.state is State.UP else None
            laid[-1] = replace(laid[-1], ended_at=change.at, first_ok_after=answered)
        laid.append(
            Segment(change.at, None, change.state, change.unknown_reason, change.last_ok_at, change.confirmed_at, None)
        )
    return laid


def reopened(segment: Segment) -> Segment:
    return replace(segment, ended_at=None, first_ok_after=None)


def ended_like(segment: Segment, other: Segment) -> Segment:
    return replace(segment, ended_at=other.ended_at, first_ok_after=other.first_ok_after)


async def write_changes(session: AsyncSession, changes: Mapping[int, Sequence[StateChange]]) -> None:
    """Writes changes of state, the first of every site, then the second, and so on: each site's in their order."""
    for wave in range(max(map(len, changes.values()), default=0)):
        rows = as_json([_row(site_id, found[wave]) for site_id, found in changes.items() if len(found) > wave])
        for statement in (GIVE_WAY, CLOSE, OPEN):
            await session.execute(statement, {"rows": rows})


async def read_ranges(session: AsyncSession, stretches: Mapping[int, SegmentRange]) -> dict[int, list[Segment]]:
    found: dict[int, list[Segment]] = {site_id: [] for site_id in stretches}
    rows = as_json([_row(site_id, one) for site_id, one in stretches.items()])
    for site_id, started_at, ended_at, state, reason, *evidence in await session.execute(READ, {"rows": rows}):
        reason = UnknownReason(reason) if reason else None
        found[site_id].append(Segment(started_at, ended_at, State(state), reason, *evidence))
    return found


async def replace_segments(
    session: AsyncSession, before: Mapping[int, Sequence[Segment]], after: Mapping[int, Sequence[Segment]]
) -> set[int]:
    """Makes each site's stretch read like `after`: what is in both stays untouched. The sites that differed."""
    gone = _rows({site_id: set(found) - set(after[site_id]) for site_id, found in before.items()})
    new = _rows({site_id: set(found) - set(before[site_id]) for site_id, found in after.items()})
    if gone:
        await session.execute(REMOVE, {"rows": as_json(gone)})
    if new:
        await session.execute(WRITE, {"rows": as_json(new)})
    return {row["site_id"] for row in (*gone, *new)}


def _rows(segments: Mapping[int, Iterable[Segment]]) -> list[dict[str, Any]]:
    return [_row(site_id, one) for site_id, found in segments.items() for one in found]


def _row(site_id: int, one: StateChange | Segment | SegmentRange) -> dict[str, Any]:
    return {"site_id": site_id} | {name: getattr(one, name) for name in one.__slots__}
