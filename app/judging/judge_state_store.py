"""Judge states as rows: of `site_status` (the present) and as JSON of `checkpoint` (at a full hour)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import from_slot
from app.judging import shards
from app.judging.degraded import WindowReading
from app.judging.fold import FoldResult, median_us
from app.judging.judge import BAD, JudgeState
from app.postgres.engine import Counter, next_version
from app.postgres.work_signals import announce_judged
from app.registry.models import State, UnknownReason
from probes.contract import VANTAGES, Reading

LOCK = text("""
    WITH RECURSIVE wanted AS (
        SELECT unnest(cast(:ids AS integer[])) AS id
        UNION SELECT s.id FROM site s JOIN wanted w ON s.parent_id = w.id
    )
    SELECT st.*, s.addressed_at AS configured_at, s.kind, s.created_at, s.village_code, s.probe,
        c.started_at AS setup_at, c.technology, c.parent_id, c.provider_id, c.lifecycle, c.vantages
    FROM site_status st JOIN site s ON s.id = st.site_id
        JOIN site_configuration c ON c.site_id = st.site_id AND c.ended_at IS NULL
    WHERE st.site_id IN (SELECT id FROM wanted) ORDER BY st.site_id FOR UPDATE OF st
""")
WRITE = text("""
    UPDATE site_status st SET
        version = :version, state = n.state, unknown_reason = n.unknown_reason, since = n.since,
        evidence_at = n.evidence_at, valid_s = n.valid_s, seen_at = n.seen_at, timeouts = n.timeouts,
        pending_at = n.pending_at, pending_behind = n.pending_behind, pending_valid_s = n.pending_valid_s,
        last_ok_at = n.last_ok_at, commissioned_at = n.commissioned_at, addressed_at = n.addressed_at,
        pooled = n.pooled, window_from = n.window_from, rtt_us = n.rtt_us, loss_pct = n.loss_pct,
        lost_from = n.lost_from
    FROM json_populate_recordset(NULL::site_status, cast(:rows AS json)) n
    WHERE st.site_id = n.site_id
""")

MOMENTS = ("since", "addressed_at", "evidence_at", "seen_at", "pending_at", "last_ok_at", "commissioned_at")
PLAIN = ("valid_s", "timeouts", "pending_behind", "pending_valid_s")


UNWRITTEN = "unwritten states"  # in a session's `info`


@dataclass(frozen=True, slots=True)
class WrittenState:
    """A judge state as `site_status` has it now, with the site's row before and what is shown of its last reading."""

    row: Any
    folded: FoldResult
    version: int
    rtt_us: int | None
    loss_pct: float | None

    @property
    def state(self) -> JudgeState:
        return self.folded.state

    @property
    def may_be_lost(self) -> bool:
        """Whether the site may have been lost until lately: since its first answer ever it was not."""
        if self.state.since == self.state.commissioned_at:
            return False
        return self.row.state != State.UP or any(change.state in BAD for change in self.folded.changes)

    def fields(self) -> dict[str, Any]:
        first = self.state.window[0].slot if self.state.window else None
        window_from = None if first is None else from_slot(first)
        lost_from = self.row.lost_from if self.folded.lost_from is None else _numbers(self.folded.lost_from)
        shown = {"rtt_us": self.rtt_us, "loss_pct": self.loss_pct, "window_from": window_from, "lost_from": lost_from}
        return state_fields(self.state) | shown | {"site_id": self.row.site_id}


class UnwrittenStates(Protocol):
    """What a leading worker has judged and not written to `site_status` yet (app/judging/carry_table.py)."""

    def overlay(self, rows: dict[int, Any]) -> dict[int, Any]:
        """Return locked rows as they will be once all is written."""

    def note_written(self, written: Sequence[WrittenState]) -> None: ...

    def note_held(self, site_ids: Collection[int], held: Collection[int]) -> None: ...

    def note_given_away(self, site_ids: Collection[int]) -> None:
        """Another shard judges these sites from the commit on."""

    async def write(self, session: AsyncSession, site_ids: Collection[int] | None = None) -> None:
        """Write what is unwritten of these sites, or of all, for statements that read `site_status` themselves."""


class NothingUnwritten:
    """Of a session in which `site_status` is all there is."""

    def overlay(self, rows: dict[int, Any]) -> dict[int, Any]:
        return rows

    def note_written(self, written: Sequence[WrittenState]) -> None:
        pass

    def note_held(self, site_ids: Collection[int], held: Collection[int]) -> None:
        pass

    def note_given_away(self, site_ids: Collection[int]) -> None:
        pass

    async def write(self, session: AsyncSession, site_ids: Collection[int] | None = None) -> None:
        pass


def unwritten_states(session: AsyncSession) -> UnwrittenStates:
    unwritten: UnwrittenStates = session.info.get(UNWRITTEN) or NothingUnwritten()
    return unwritten


async def lock_sites(session: AsyncSession, site_ids: Sequence[int]) -> dict[int, Any]:
    """Return the rows of these sites and of all below them, with the configuration in force.

    They stay locked until the transaction ends; locks are taken in the order of ids. What a leading worker has not
    written yet is laid over them.
    """
    rows: dict[int, Any] = {row.site_id: row for row in await session.execute(LOCK, {"ids": sorted(site_ids)})}
    return unwritten_states(session).overlay(rows)


def state_from_row(row: Any, *, window: Sequence[WindowReading] | None = None) -> JudgeState:
    """`window`: instead of the one in the row."""
    stored = {name: getattr(row, name) for name in ("state", "unknown_reason", *PLAIN)}
    pooled = row.pooled if window is None else window
    return _judge_state(stored | {"pooled": pooled}, {name: getattr(row, name) for name in MOMENTS})


def state_from_checkpoint(json: str) -> JudgeState:
    stored = orjson.loads(json)
    return _judge_state(stored, {name: stored[name] and datetime.fromisoformat(stored[name]) for name in MOMENTS})


def _judge_state(stored: Mapping[Any, Any], moments: dict[str, Any]) -> JudgeState:
    reason = stored["unknown_reason"]
    return JudgeState(
        state=State(stored["state"]),
        unknown_reason=UnknownReason(reason) if reason else None,
        window=tuple(map(WindowReading._make, stored["pooled"])),
        **{name: stored[name] for name in PLAIN if name in stored},  # older checkpoints lack the newest
        **moments,
    )


def state_fields(state: JudgeState) -> dict[str, Any]:
    """Return the judge state as columns of `site_status`, which are the keys of a checkpoint's JSON too."""
    fields = {name: getattr(state, name) for name in ("state", "unknown_reason", *MOMENTS, *PLAIN)}
    return fields | {"pooled": list(map(tuple, state.window))}


async def write_states(session: AsyncSession, folded: Sequence[tuple[Any, FoldResult]]) -> None:
    """Write what each locked row's site was folded to; of the last reading judged, RTT and loss are shown."""
    if not folded:
        return
    version = await next_version(session, Counter.STATUS)
    written = [WrittenState(row, site, version, *_shown(row, site.last)) for row, site in folded]
    await session.execute(WRITE, {"version": version, "rows": as_json([item.fields() for item in written])})
    unwritten_states(session).note_written(written)
    if (seat := shards.seat_of(session)) is not None and seat.shard != shards.LEADERS:
        await announce_judged(session, [row.site_id for row, _ in folded])


def _shown(row: Any, last: Reading | None) -> tuple[int | None, float | None]:
    if last is None:
        return row.rtt_us, row.loss_pct
    loss_pct = round(100 * (1 - len(last.rtt_us) / last.sent), 1) if last.sent else None
    return median_us(last) or None, loss_pct


def _numbers(sources: Iterable[str]) -> list[int]:
    return [VANTAGES.index(source) for source in sources]


def as_json(rows: Sequence[dict[str, Any]]) -> str:
    return orjson.dumps(rows).decode()
