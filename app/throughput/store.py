"""Tests as rows: planned, begun, settled. What a test may cost is reserved before it begins, and settled once."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability.maintenance_overlay import running_now
from app.core.clock import WITA, WITA_SQL
from app.registry.models import State
from app.throughput.admission import Decision, Standing, Verdict, decide
from app.throughput.budget import PUSH_BYTES, SLACK_BYTES, UP_SLACK_BYTES, month_end
from app.throughput.models import Mode, Stage, ThroughputTest, Watermark
from app.throughput.planner import Measured, Plans

PLANNED = "planned"
REMEMBERED = timedelta(days=35)  # moments that passed longer ago while nobody planned leave no row
GRANTED_S, PULLED_S = 60, 60  # beyond what it takes by itself, until a grant or a download is over
CANNOT = ("routeros/", "windows/")  # agents that do no speed tests: a grant would keep their gateway for nothing
KNOWN_REQUESTS = 20  # from so many pushes on, what one costs is known
UNMEASURED = frozenset({"too_short", "too_little", "still_rising", "buffered", "not_reported"})  # without a figure

LOCK = text("SELECT pg_advisory_xact_lock(hashtext('sinyal throughput'))")
PLAN = text(f"""
    INSERT INTO throughput_test (site_id, planned_at, month, mode, status, technology, provider_id, parent_id,
        village_code, contract_down_mbps, contract_up_mbps, allowed_down_bytes, allowed_up_bytes, max_s,
        reserved_bytes, waits_until, down_bytes, up_bytes)
    SELECT n.site_id, n.planned_at, n.month, n.mode, 'waiting', n.technology, n.provider_id, n.parent_id,
        n.village_code, coalesce(s.bandwidth_down_mbps, c.bandwidth_down_mbps),
        coalesce(s.bandwidth_up_mbps, c.bandwidth_up_mbps), n.down, n.up, n.max_s, 0, n.waits_until, 0, 0
    FROM json_to_recordset(cast(:rows AS json)) AS n(site_id int, planned_at timestamptz, month date, mode text,
        technology text, provider_id int, parent_id int, village_code text, down bigint, up bigint, max_s int,
        waits_until timestamptz)
    JOIN site s ON s.id = n.site_id
    LEFT JOIN LATERAL (
        SELECT bandwidth_down_mbps, bandwidth_up_mbps FROM contract_terms t WHERE t.contract_id = s.contract_id
        ORDER BY t.started_on <= (n.planned_at AT TIME ZONE {WITA_SQL})::date DESC,
            CASE WHEN t.started_on <= (n.planned_at AT TIME ZONE {WITA_SQL})::date THEN t.started_on END DESC,
            t.started_on
        LIMIT 1
    ) c ON true
    ON CONFLICT (site_id, planned_at) DO NOTHING
""")
WAITING = text("""
    SELECT t.id, t.site_id, t.mode, t.month, t.reason, t.waits_until, t.parent_id, t.provider_id, t.max_s,
        t.allowed_down_bytes, t.allowed_up_bytes, s.host, st.state, st.evidence_at, st.valid_s, d.heard_at, d.agent,
        (SELECT max(started_at) FROM throughput_test r WHERE r.site_id = t.site_id AND r.planned_at < t.planned_at
            AND r.planned_at > t.planned_at - interval '32 days') AS last_ran_at,
        (SELECT coalesce(sum(r.down_bytes + r.up_bytes + r.reserved_bytes), 0) FROM throughput_test r
            WHERE r.month = t.month AND r.site_id = t.site_id) AS spent_bytes,
        coalesce(p.requests, 0) AS push_requests, coalesce(p.bytes, 0) AS push_bytes
    FROM throughput_test t JOIN site s ON s.id = t.site_id JOIN site_status st ON st.site_id = t.site_id
        LEFT JOIN device d ON d.site_id = t.site_id
        LEFT JOIN push_traffic p ON p.site_id = t.site_id AND p.month = t.month
    WHERE t.status = 'waiting' ORDER BY t.planned_at, t.id
""")
BUSY = text("SELECT parent_id, provider_id FROM throughput_test WHERE status = 'running'")
OVERDUE = text("""
    UPDATE throughput_test SET status = 'skipped', reason = coalesce(reason, 'stopped')
    WHERE status = 'waiting' AND waits_until < :now
""")
# Whoever ran it told nothing: what it may have cost stays reserved, unless nobody ever began.
EXPIRED = text("""
    UPDATE throughput_test SET ended_at = :now, expires_at = NULL,
        status = CASE WHEN mode = 'pull' THEN 'failed' WHEN down_began_at IS NULL AND up_began_at IS NULL THEN 'skipped'
            WHEN down_ms IS NOT NULL OR up_ms IS NOT NULL THEN 'invalid' ELSE 'failed' END,
        reason = CASE WHEN mode = 'pull' THEN 'stopped' WHEN down_began_at IS NULL AND up_began_at IS NULL
            THEN 'not_taken' WHEN down_ms IS NOT NULL OR up_ms IS NOT NULL THEN 'not_reported' ELSE 'cut_off' END,
        started_at = CASE WHEN mode = 'push' AND down_began_at IS NULL AND up_began_at IS NULL THEN NULL
            ELSE started_at END,
        reserved_bytes = reserved_bytes
            - CASE WHEN mode = 'push' AND down_began_at IS NULL THEN allowed_down_bytes + :slack ELSE 0 END
            - CASE WHEN mode = 'push' AND up_began_at IS NULL THEN allowed_up_bytes + :up_slack ELSE 0 END
    WHERE status = 'running' AND expires_at < :now
""")


@dataclass(frozen=True, slots=True)
class Order:
    """A download that is to begin: its row is there, and what it may cost reserved."""

    test_id: int
    site_id: int
    parent_id: int | None
    url: str
    host: str | None
    max_bytes: int
    max_s: int


async def lock(session: AsyncSession) -> None:
    """One at a time plans and begins: two workers never spend the same bytes. Until the transaction's end."""
    await session.execute(LOCK)


async def plan_due(session: AsyncSession, plans: Plans, now: datetime) -> int:
    """Makes rows of the moments that have come since it was last done. How many."""
    mark = await session.get(Watermark, PLANNED)
    if mark is None:
        session.add(Watermark(name=PLANNED, upto=now))
        return 0
    if mark.upto >= now:  # the clock was set back: what is planned again is there already
        mark.upto = now
        return 0
    due = list(plans.due(max(mark.upto, now - REMEMBERED), now))
    mark.upto = now
    if due:
        rows = [_row(site, moment, plan.waits_until(moment)) for site, plan, moment in due]
        await session.execute(PLAN, {"rows": orjson.dumps(rows).decode()})
    return len(due)


def _row(site: Measured, moment: datetime, waits_until: datetime) -> dict[str, Any]:
    return {
        "site_id": site.id,
        "planned_at": moment,
        "month": moment.astimezone(WITA).date().replace(day=1),
        "mode": site.mode,
        "technology": site.technology,
        "provider_id": site.provider_id,
        "parent_id": site.parent_id,
        "village_code": site.village_code,
        "down": site.down_bytes,
        "up": site.up_bytes,
        "max_s": site.allowance.max_s,
        "waits_until": waits_until,
    }


async def end_overdue(session: AsyncSession, now: datetime) -> None:
    await session.execute(OVERDUE, {"now": now})
    await session.execute(EXPIRED, {"now": now, "slack": SLACK_BYTES, "up_slack": UP_SLACK_BYTES})


async def begin_waiting(session: AsyncSession, sites: Mapping[int, Measured], now: datetime) -> list[Order]:
    """Decides on each that waits. Answers the downloads that are ours to run; grants wait for their agents."""
    rows = (await session.execute(WAITING)).all()
    if not rows:
        return []
    busy = (await session.execute(BUSY)).all()
    parents, providers = {row.parent_id for row in busy} - {None}, {row.provider_id for row in busy}
    maintained = (await running_now(session, now)).site_ids
    orders = []
    for row in rows:
        site = sites.get(row.site_id)
        standing = _standing(
            row, site, now, row.site_id in maintained, row.parent_id in parents, row.provider_id in providers
        )
        decision = decide(standing, row.reason, row.waits_until, now)
        if decision.verdict is Verdict.RUN and site is not None:
            orders += await _begin(session, row, site, standing, now)
            parents |= {row.parent_id} - {None}
            providers.add(row.provider_id)
        elif decision.reason != row.reason or decision.verdict is Verdict.SKIP:
            await _put_off(session, row.id, decision)
    return orders


def _standing(
    row: Any, site: Measured | None, now: datetime, maintained: bool, parent_busy: bool, provider_busy: bool
) -> Standing:
    send_every = timedelta(seconds=site.allowance.push_every_s or 0) if site else timedelta()
    due_at = row.heard_at + send_every if row.heard_at and row.mode == Mode.PUSH else None
    if due_at is not None and due_at < now - send_every:  # it has missed its turn: whenever it comes
        due_at = None
    return Standing(
        active=site is not None and site.mode == row.mode,
        state=State(row.state),
        evidence_at=row.evidence_at,
        valid_s=row.valid_s,
        in_maintenance=maintained,
        last_ran_at=row.last_ran_at,
        spacing_s=site.allowance.spacing_s if site else 0,
        left_bytes=_left_bytes(row, site, now),
        cost_bytes=cost_bytes(row),
        parent_busy=parent_busy,
        provider_busy=provider_busy,
        push_due_at=due_at,
        agent_can=row.mode == Mode.PULL or not (row.agent or "").startswith(CANNOT),
    )


def cost_bytes(row: Any) -> int:
    """Each direction may pass its limit by the slack."""
    up = row.allowed_up_bytes + UP_SLACK_BYTES if row.mode == Mode.PUSH else 0
    return int(row.allowed_down_bytes + SLACK_BYTES + up)


def _left_bytes(row: Any, site: Measured | None, now: datetime) -> int:
    """Of the month's budget, once the rest of the month's pushes are paid for."""
    if site is None:
        return 0
    each = row.push_bytes / row.push_requests if row.push_requests >= KNOWN_REQUESTS else PUSH_BYTES
    pushing = site.allowance.pushes_bytes((month_end(row.month) - now).total_seconds(), each=each)
    return int(site.allowance.monthly_bytes - row.spent_bytes - row.push_bytes - pushing)


async def _begin(session: AsyncSession, row: Any, site: Measured, standing: Standing, now: datetime) -> list[Order]:
    pushes = row.mode == Mode.PUSH
    await session.execute(
        update(ThroughputTest)
        .where(ThroughputTest.id == row.id, ThroughputTest.status == Stage.WAITING)
        .values(
            status=Stage.RUNNING,
            reason=None,
            started_at=now,
            reserved_bytes=cost_bytes(row),
            grant=secrets.token_urlsafe(9) if pushes else None,
            expires_at=_over_at(row, site, standing, now),
        )
    )
    if pushes:
        return []
    url = site.speed_url or ""
    return [Order(row.id, row.site_id, row.parent_id, url, row.host, row.allowed_down_bytes, row.max_s)]


def _over_at(row: Any, site: Measured, standing: Standing, now: datetime) -> datetime:
    if row.mode == Mode.PULL:
        return now + timedelta(seconds=row.max_s + PULLED_S)
    every = timedelta(seconds=site.allowance.push_every_s or 0)
    comes_at = max(standing.push_due_at, now) + every / 2 if standing.push_due_at else now + 2 * every
    return comes_at + timedelta(seconds=2 * row.max_s + GRANTED_S)


async def _put_off(session: AsyncSession, test_id: int, decision: Decision) -> None:
    status = Stage.SKIPPED if decision.verdict is Verdict.SKIP else Stage.WAITING
    mine = ThroughputTest.id == test_id, ThroughputTest.status == Stage.WAITING
    await session.execute(update(ThroughputTest).where(*mine).values(status=status, reason=decision.reason))


async def count_open(session: AsyncSession) -> int:
    open_ones = select(ThroughputTest.id).where(ThroughputTest.status.in_((Stage.WAITING, Stage.RUNNING)))
    return len((await session.scalars(open_ones)).all())


async def give_up(session: AsyncSession, test_ids: Sequence[int], now: datetime) -> None:
    """Downloads that we end before they do: nobody knows what they cost, so their reservations stay."""
    mine = ThroughputTest.id.in_(test_ids), ThroughputTest.status == Stage.RUNNING
    ended = {"status": Stage.FAILED, "reason": "stopped", "ended_at": now}
    await session.execute(update(ThroughputTest).where(*mine).values(**ended))
