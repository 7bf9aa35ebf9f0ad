"""The ledger: readings folded into segments, and read back as a timeline without gaps."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import from_slot
from app.database import Counter, next_version
from app.evidence import lapses_at
from app.ledger import blindness
from app.ledger.blindness import BlindRange
from app.ledger.judge import Carry, Change, Look, judge, readdress, rewind
from app.registry.models import SiteStatus, State, UnknownReason
from probes.contract import Outcome, Reading

CARRIES = text("""
    SELECT st.*, s.addressed_at AS configured_at FROM site_status st JOIN site s ON s.id = st.site_id
    WHERE st.site_id = ANY(:ids) ORDER BY st.site_id FOR UPDATE OF st
""")

WRITE_CARRIES = text("""
    UPDATE site_status st SET
        version = :version, state = n.state, unknown_reason = n.unknown_reason, since = n.since,
        evidence_at = n.evidence_at, valid_s = n.valid_s, seen_at = n.seen_at, timeouts = n.timeouts,
        pending_at = n.pending_at, last_ok_at = n.last_ok_at, commissioned_at = n.commissioned_at,
        addressed_at = n.addressed_at, rtt_us = n.rtt_us, loss_pct = n.loss_pct
    FROM json_populate_recordset(NULL::site_status, cast(:rows AS json)) n
    WHERE st.site_id = n.site_id
""")

CHANGES = "json_to_recordset(cast(:rows AS json)) AS n(site_id int, at timestamptz, state text, " \
          "unknown_reason text, last_ok_at timestamptz)"  # fmt: skip
GIVE_WAY = text(f"DELETE FROM state_segment g USING {CHANGES} WHERE g.site_id = n.site_id AND g.started_at >= n.at")
CLOSE = text(f"""
    UPDATE state_segment g SET ended_at = n.at, first_ok_after = CASE WHEN n.state = 'up' THEN n.at END
    FROM {CHANGES} WHERE g.site_id = n.site_id AND g.started_at < n.at AND (g.ended_at IS NULL OR g.ended_at > n.at)
""")
OPEN = text(f"""
    INSERT INTO state_segment (site_id, started_at, state, unknown_reason, last_ok_at)
    SELECT n.site_id, n.at, n.state, n.unknown_reason, n.last_ok_at FROM {CHANGES}
""")


@dataclass(frozen=True, slots=True)
class Judged:
    """What a site came to after a batch: its schedule follows from it."""

    site_id: int
    state: State
    since: datetime
    seen_at: datetime | None
    pending: bool


async def fold(session: AsyncSession, readings: Sequence[tuple[Reading, datetime]], *, source: str) -> list[Judged]:
    """Judges readings, each with the moment since when its address was the site's, and writes what follows.

    A reading of an address that is no longer the site's is left out; one that is not newer than what was judged
    changes nothing, so a batch may come twice.
    """
    by_site: dict[int, list[tuple[Reading, datetime]]] = defaultdict(list)
    for item in readings:
        by_site[item[0].key].append(item)
    rows = (await session.execute(CARRIES, {"ids": sorted(by_site)})).all()
    blind = await _blind_ranges(session, rows, readings, source=source)
    carries: list[dict[str, Any]] = []
    changes: dict[int, list[Change]] = {}
    judged: list[Judged] = []
    for row in rows:
        carry, found, last = _fold_site(row, by_site[row.site_id], blind)
        carries.append(_carry_row(row, carry, last))
        if found:
            changes[row.site_id] = found
        judged.append(Judged(row.site_id, carry.state, carry.since, carry.seen_at, carry.pending_at is not None))
    await apply_changes(session, changes)
    if carries:
        version = await next_version(session, Counter.STATUS)
        await session.execute(WRITE_CARRIES, {"version": version, "rows": _json(carries)})
    return judged


async def restart(session: AsyncSession, at: datetime) -> None:
    """The clock was set back to `at`: what was judged beyond it lies in the future, and gives way to unknown."""
    ids = select(SiteStatus.site_id).where(SiteStatus.seen_at >= at)
    rows = (await session.execute(CARRIES, {"ids": list(await session.scalars(ids))})).all()
    restarted = {row.site_id: rewind(_carry(row), at) for row in rows}
    await apply_changes(session, {site_id: changes for site_id, (_, changes) in restarted.items()})
    if rows:
        carries = [_carry_row(row, restarted[row.site_id][0], None) for row in rows]
        version = await next_version(session, Counter.STATUS)
        await session.execute(WRITE_CARRIES, {"version": version, "rows": _json(carries)})


def _fold_site(
    row: Row[Any], items: list[tuple[Reading, datetime]], blind: Sequence[BlindRange]
) -> tuple[Carry, list[Change], Reading | None]:
    carry, last = _carry(row), None
    changes: list[Change] = []
    if row.configured_at > carry.addressed_at:
        carry, changes = readdress(carry, row.configured_at)
        carry = replace(carry, addressed_at=row.configured_at)
    for reading, addressed_at in sorted(items, key=lambda item: item[0].slot):
        if addressed_at != row.configured_at:
            continue
        look = _look(reading, blind)
        since = carry.evidence_at or carry.since
        carry, found = judge(carry, look, gap_reason=blindness.gap_reason(blind, since, look.slot))
        changes = changes + found
        if carry.seen_at == look.slot and look.outcome is not Outcome.FAULT:
            last = reading
    return carry, changes, last


def _look(reading: Reading, blind: Sequence[BlindRange]) -> Look:
    slot, outcome = from_slot(reading.slot), reading.outcome
    if outcome is Outcome.TIMEOUT:
        ends = blindness.look_ends(slot, reading.sent)
        if any(r.overlaps(slot, ends) for r in blind):
            outcome = Outcome.FAULT
    return Look(slot, outcome, reading.valid_s)


async def _blind_ranges(
    session: AsyncSession, rows: Sequence[Row[Any]], readings: Sequence[tuple[Reading, datetime]], *, source: str
) -> list[BlindRange]:
    """The blind ranges that this batch needs: around its timeouts, and over what it finds unseen. Mostly none."""
    newest: dict[int, datetime] = {}
    for reading, _ in readings:
        newest[reading.key] = max(from_slot(reading.slot), newest.get(reading.key, from_slot(0)))
    starts = [from_slot(reading.slot) for reading, _ in readings if reading.outcome is Outcome.TIMEOUT]
    starts += [
        row.evidence_at for row in rows
        if row.evidence_at is not None and lapses_at(row.evidence_at, row.valid_s) < newest[row.site_id]
    ]  # fmt: skip
    if not starts:
        return []
    return await blindness.list_ranges(
        session, min(starts), blindness.look_ends(max(newest.values()), 5), source=source
    )


async def apply_changes(session: AsyncSession, changes: dict[int, list[Change]]) -> None:
    """Writes changes of state, the first of every site, then the second, and so on: each site's in their order."""
    for wave in range(max(map(len, changes.values()), default=0)):
        rows = [_change_row(site_id, found[wave]) for site_id, found in changes.items() if len(found) > wave]
        for statement in (GIVE_WAY, CLOSE, OPEN):
            await session.execute(statement, {"rows": _json(rows)})


def _change_row(site_id: int, change: Change) -> dict[str, Any]:
    return {
        "site_id": site_id, "at": change.at, "state": change.state, "unknown_reason": change.unknown_reason,
        "last_ok_at": change.last_ok_at,
    }  # fmt: skip


def _carry(row: Row[Any]) -> Carry:
    return Carry(
        State(row.state), UnknownReason(row.unknown_reason) if row.unknown_reason else None, row.since, row.valid_s,
        row.addressed_at, row.evidence_at, row.seen_at, row.timeouts, row.pending_at, row.last_ok_at,
        row.commissioned_at,
    )  # fmt: skip


def _carry_row(row: Row[Any], carry: Carry, last: Reading | None) -> dict[str, Any]:
    out = {name: getattr(carry, name) for name in Carry.__slots__}
    out |= {"site_id": row.site_id, "rtt_us": row.rtt_us, "loss_pct": row.loss_pct}
    if last is not None:
        answered = sorted(last.rtt_us)
        out["rtt_us"] = answered[len(answered) // 2] if answered else None
        out["loss_pct"] = round(100 * (1 - len(answered) / last.sent), 1) if last.sent else None
    return out


def _json(rows: list[dict[str, Any]]) -> str:
    return orjson.dumps(rows).decode()
