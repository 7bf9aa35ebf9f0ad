"""Takes the batches of an account whose read index moves with every answer: each once, and a lost one as a gap.

1. `begin`: before it is asked, `asked_at` is committed.
2. `take`: the answer's rows and the end of `asked_at` are one transaction.
3. Whoever finds `asked_at` set finds a reader that died in between: its answer, if there was one, is lost, and told.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.telemetry import recording
from app.telemetry.models import GapReason, TelemetryKind
from probes.telemetry import Telemetry

KEPT_BY_PROVIDER = timedelta(hours=8)
MAX_UNASSIGNED = 200
FIRST_PAUSE_S, LONGEST_PAUSE_S = 15, 3_600

LOCK = text("SELECT id, asked_at, answered_at, taken_until FROM telemetry_account WHERE id = :id FOR UPDATE")
ASK = text("UPDATE telemetry_account SET asked_at = :now WHERE id = :id")
ADD_GAP = text("""
    INSERT INTO telemetry_gap (account_id, started_at, reason, found_at)
    SELECT :id, :started_at, :reason, :now
    WHERE NOT EXISTS (SELECT FROM telemetry_gap WHERE account_id = :id AND ended_at IS NULL)
""")
END_GAPS = text("""
    UPDATE telemetry_gap SET ended_at = greatest(cast(:first_at AS timestamptz), started_at)
    WHERE account_id = :id AND ended_at IS NULL
""")
SITES = text("""
    SELECT device_id, site_id FROM telemetry_source
    WHERE account_id = :id AND device_id = ANY(cast(:devices AS text[]))
""")
TAKEN = text("""
    UPDATE telemetry_account SET asked_at = NULL, answered_at = :now, failures = 0, problem = NULL, retry_at = NULL,
        taken_until = greatest(taken_until, cast(:until AS timestamptz)), batches = batches + 1, rows = rows + :rows,
        late = late + :late, bytes = bytes + :bytes, unassigned = cast(:unassigned AS text[])
    WHERE id = :id
""")
FAILED = text(f"""
    UPDATE telemetry_account SET asked_at = NULL, failures = failures + 1, problem = :problem,
        retry_at = cast(:now AS timestamptz)
            + make_interval(secs => least({LONGEST_PAUSE_S}, {FIRST_PAUSE_S} * 2 ^ least(failures, 12)))
    WHERE id = :id
""")


@dataclass(frozen=True, slots=True)
class AccountAnswer:
    """What an account answered: rows of its terminals, how many rows of all kinds, and the bytes received."""

    samples: Sequence[Telemetry]
    rows: int
    size: int


async def begin(session: AsyncSession, account_id: int, *, now: datetime) -> bool:
    """Note that the account is being asked, and what a reader before may have lost; return whether it still exists."""
    account = await _lock(session, account_id)
    if account is None:
        return False
    if account.asked_at is not None:
        await _add_gap(session, account, GapReason.LOST_ANSWER, now)
    elif account.answered_at is not None and now - account.answered_at > KEPT_BY_PROVIDER:
        await _add_gap(session, account, GapReason.EXPIRED, now)
    await session.execute(ASK, {"id": account_id, "now": now})
    return True


async def take(session: AsyncSession, account_id: int, answer: AccountAnswer, *, now: datetime) -> None:
    """Record a batch. Nothing if the account was deleted meanwhile."""
    account = await _lock(session, account_id)
    if account is None:
        return
    devices: dict[str, list[Telemetry]] = defaultdict(list)
    for sample in answer.samples:
        devices[sample.device].append(sample)
    rows = await session.execute(SITES, {"id": account_id, "devices": sorted(devices)})
    sites = {row.device_id: row.site_id for row in rows}
    said = {site_id: devices[device] for device, site_id in sites.items()}
    late = await recording.record(session, TelemetryKind.STARLINK_ACCOUNT, said, now=now) if said else 0
    times = [sample.at for sample in answer.samples if now - recording.MAX_AGE <= sample.at <= now + recording.AHEAD]
    newer = [at for at in times if account.taken_until is None or at > account.taken_until]
    if newer:  # one that was held back on its way says nothing of a gap
        await session.execute(END_GAPS, {"id": account_id, "first_at": min(newer)})
    values = {
        "id": account_id,
        "now": now,
        "until": min(max(times), now) if times else None,
        "rows": answer.rows,
        "late": late,
        "bytes": answer.size,
        "unassigned": sorted(devices.keys() - sites.keys())[:MAX_UNASSIGNED],
    }
    await session.execute(TAKEN, values)


async def fail(session: AsyncSession, account_id: int, problem: str, *, lost: bool, now: datetime) -> None:
    """Note why it was not read, and ask later: after 15 s first, then twice as long each time, up to an hour."""
    account = await _lock(session, account_id)
    if account is None:
        return
    if lost:
        await _add_gap(session, account, GapReason.LOST_ANSWER, now)
    await session.execute(FAILED, {"id": account_id, "problem": problem[:100], "now": now})


async def _lock(session: AsyncSession, account_id: int) -> Any:
    return (await session.execute(LOCK, {"id": account_id})).one_or_none()


async def _add_gap(session: AsyncSession, account: Any, reason: GapReason, now: datetime) -> None:
    """From the newest row taken; where none was, from when it was last asked."""
    since = account.taken_until or account.asked_at or account.answered_at or now
    await session.execute(ADD_GAP, {"id": account.id, "started_at": since, "reason": reason.value, "now": now})
