"""Insert due tests and start them; the maximum cost is reserved at the start. `settlement` and `grants` end them."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability.maintenance_overlay import running_now
from app.core.clock import WITA, WITA_SQL, month_of
from app.registry.models import State
from app.throughput.admission import AdmissionInputs, AdmissionVerdict, Decision, decide
from app.throughput.budget import SLACK_BYTES, UP_SLACK_BYTES, month_end, push_bytes
from app.throughput.hourly_tests import MIN_SPACING_S, due_tests, kept_bytes
from app.throughput.models import Mode, PlanningWatermark, SpeedtestStatus, ThroughputTest
from app.throughput.planned_tests import Plans
from app.throughput.planner import SpeedtestSite

PLANNED = "planned"
MAX_BACKLOG = timedelta(days=35)  # tests that fell due longer ago while no worker ran get no row
GRANT_MARGIN_S, PULL_MARGIN_S = 60, 60  # beyond a test's own time, until it expires
# Agents that run no speed tests: a grant would block their gateway for nothing.
UNSUPPORTED_AGENTS = re.compile(r"windows/|routeros/1$")

LOCK = text("SELECT pg_advisory_xact_lock(hashtext('sinyal throughput'))")
PLAN = text(f"""
    INSERT INTO throughput_test (site_id, planned_at, month, mode, status, technology, provider_id, parent_id,
        village_code, contract_down_mbps, contract_up_mbps, allowed_down_bytes, allowed_up_bytes, max_s,
        reserved_bytes, waits_until, down_bytes, up_bytes, for_certificate)
    SELECT n.site_id, n.planned_at, n.month, n.mode, 'waiting', n.technology, n.provider_id, n.parent_id,
        n.village_code, coalesce(s.bandwidth_down_mbps, c.bandwidth_down_mbps),
        coalesce(s.bandwidth_up_mbps, c.bandwidth_up_mbps), n.down, n.up, n.max_s, 0, n.waits_until, 0, 0,
        coalesce(n.for_certificate, false)
    FROM json_to_recordset(cast(:rows AS json)) AS n(site_id int, planned_at timestamptz, month date, mode text,
        technology text, provider_id int, parent_id int, village_code text, down bigint, up bigint, max_s int,
        waits_until timestamptz, for_certificate bool)
    JOIN site s ON s.id = n.site_id
    CROSS JOIN LATERAL (SELECT (n.planned_at AT TIME ZONE {WITA_SQL})::date AS day) p
    LEFT JOIN LATERAL (
        SELECT t.bandwidth_down_mbps, t.bandwidth_up_mbps
        FROM site_contract a JOIN contract_terms t ON t.contract_id = a.contract_id
        WHERE a.site_id = s.id AND a.withdrawn_at IS NULL
            AND daterange(a.started_on, a.ended_on) @> p.day
        ORDER BY a.link_role DESC, t.started_on <= p.day DESC,
            CASE WHEN t.started_on <= p.day THEN t.started_on END DESC, t.started_on
        LIMIT 1
    ) c ON true
    ON CONFLICT (site_id, planned_at) DO NOTHING
""")
# Sites that were drawn for the published method (app/compliance) come first, those whose link was in use last.
WAITING = text("""
    SELECT t.id, t.site_id, t.mode, t.month, t.reason, t.waits_until, t.parent_id, t.provider_id, t.max_s,
        t.allowed_down_bytes, t.allowed_up_bytes, t.for_certificate, t.deferred_at, s.host, st.state,
        st.evidence_at, st.valid_s,
        d.heard_at, d.agent,
        (SELECT max(started_at) FROM throughput_test r WHERE r.site_id = t.site_id AND r.planned_at < t.planned_at
            AND r.planned_at > t.planned_at - interval '32 days') AS last_ran_at,
        (SELECT coalesce(sum(r.down_bytes + r.up_bytes + r.reserved_bytes), 0) FROM throughput_test r
            WHERE r.month = t.month AND r.site_id = t.site_id) AS spent_bytes,
        coalesce(p.requests, 0) AS push_requests, coalesce(p.bytes, 0) AS push_bytes,
        coalesce(v.bytes + v.reserved_bytes, 0) AS visits_bytes
    FROM throughput_test t JOIN site s ON s.id = t.site_id JOIN site_status st ON st.site_id = t.site_id
        LEFT JOIN device d ON d.site_id = t.site_id
        LEFT JOIN push_traffic p ON p.site_id = t.site_id AND p.month = t.month
        LEFT JOIN visit_traffic v ON v.site_id = t.site_id AND v.month = t.month
    WHERE t.status = 'waiting' ORDER BY EXISTS (
        SELECT FROM compliance_sampled_site d JOIN compliance_sample c USING (period)
        WHERE d.site_id = t.site_id AND daterange(c.starts_on, c.ends_on) @> cast(:today AS date)
    ) DESC, t.deferrals > 0, t.planned_at, t.id
""")
BUSY = text("SELECT parent_id, provider_id FROM throughput_test WHERE status = 'running'")


@dataclass(frozen=True, slots=True)
class PullTest:
    """A download for the worker to run: its row is running and its maximum cost reserved."""

    test_id: int
    site_id: int
    parent_id: int | None
    url: str
    host: str | None
    max_bytes: int
    max_s: int


async def lock(session: AsyncSession) -> None:
    """Serialise planning and starting across workers until the transaction ends, so that none spends bytes twice."""
    await session.execute(LOCK)


async def plan_due(session: AsyncSession, plans: Plans, now: datetime) -> int:
    """Insert a row for each test that fell due since the last call. Return how many fell due."""
    watermark = await session.get(PlanningWatermark, PLANNED)
    if watermark is None:
        session.add(PlanningWatermark(name=PLANNED, upto=now))
        return 0
    if watermark.upto >= now:  # the clock was set back: inserting the same tests again does nothing
        watermark.upto = now
        return 0
    after = max(watermark.upto, now - MAX_BACKLOG)
    watermark.upto = now
    rows = [_row(site, moment, plan.waits_until(moment)) for site, plan, moment in plans.due(after, now)]
    for test in await due_tests(session, plans.sites, after, now):
        rows.append(_row(test.site, test.planned_at, test.waits_until, for_certificate=True))
    if rows:
        await session.execute(PLAN, {"rows": orjson.dumps(rows).decode()})
    return len(rows)


def _row(
    site: SpeedtestSite, moment: datetime, waits_until: datetime, *, for_certificate: bool = False
) -> dict[str, Any]:
    return {
        "site_id": site.id,
        "planned_at": moment,
        "month": month_of(moment),
        "mode": site.mode,
        "technology": site.technology,
        "provider_id": site.provider_id,
        "parent_id": site.parent_id,
        "village_code": site.village_code,
        "down": site.down_bytes,
        "up": site.up_bytes,
        "max_s": site.allowance.max_s,
        "waits_until": waits_until,
        "for_certificate": for_certificate,
    }


async def start_waiting(session: AsyncSession, sites: Mapping[int, SpeedtestSite], now: datetime) -> list[PullTest]:
    """Start, skip or keep each waiting test, those of drawn sites first, then the oldest. Return the downloads to run.

    Push tests are granted: their agents receive the grant with their next push.
    """
    rows = (await session.execute(WAITING, {"today": now.astimezone(WITA).date()})).all()
    if not rows:
        return []
    busy = (await session.execute(BUSY)).all()
    parents, providers = {row.parent_id for row in busy} - {None}, {row.provider_id for row in busy}
    in_maintenance = (await running_now(session, now)).site_ids
    pull_tests = []
    for row in rows:
        site = sites.get(row.site_id)
        inputs = _admission_inputs(
            row, site, now, row.site_id in in_maintenance, row.parent_id in parents, row.provider_id in providers
        )
        decision = decide(inputs, row.reason, row.waits_until, now)
        if decision.verdict is AdmissionVerdict.RUN and site is not None:
            pull_tests += await _start(session, row, site, inputs, now)
            parents |= {row.parent_id} - {None}
            providers.add(row.provider_id)
        elif decision.reason != row.reason or decision.verdict is AdmissionVerdict.SKIP:
            await _store_decision(session, row.id, decision)
    return pull_tests


def _admission_inputs(
    row: Any, site: SpeedtestSite | None, now: datetime, in_maintenance: bool, parent_busy: bool, provider_busy: bool
) -> AdmissionInputs:
    send_every = timedelta(seconds=site.allowance.push_every_s or 0) if site else timedelta()
    due_at = row.heard_at + send_every if row.heard_at and row.mode == Mode.PUSH else None
    if due_at is not None and due_at < now - send_every:  # overdue: it may push at any time
        due_at = None
    return AdmissionInputs(
        active=site is not None and site.mode == row.mode,
        state=State(row.state),
        evidence_at=row.evidence_at,
        valid_s=row.valid_s,
        in_maintenance=in_maintenance,
        last_ran_at=row.last_ran_at,
        spacing_s=_spacing_s(row, site),
        left_bytes=_left_bytes(row, site, now),
        cost_bytes=cost_bytes(row),
        parent_busy=parent_busy,
        provider_busy=provider_busy,
        push_due_at=due_at,
        agent_supported=row.mode == Mode.PULL or UNSUPPORTED_AGENTS.match(row.agent or "") is None,
        deferred_at=row.deferred_at,
    )


def cost_bytes(row: Any) -> int:
    """Return the maximum cost: each direction may exceed its limit by its slack."""
    up = row.allowed_up_bytes + UP_SLACK_BYTES if row.mode == Mode.PUSH else 0
    return int(row.allowed_down_bytes + SLACK_BYTES + up)


def _left_bytes(row: Any, site: SpeedtestSite | None, now: datetime) -> int:
    """Return what is left of the month's budget once the rest of the month's pushes are paid for."""
    if site is None:
        return 0
    each = push_bytes(row.push_bytes, row.push_requests)
    pushing = site.allowance.pushes_bytes((month_end(row.month) - now).total_seconds(), each=each)
    kept = kept_bytes(site.allowance, now) if row.for_certificate else 0
    visits = min(row.visits_bytes, site.allowance.visits_bytes)
    return int(site.allowance.monthly_bytes - row.spent_bytes - row.push_bytes - visits - pushing - kept)


def _spacing_s(row: Any, site: SpeedtestSite | None) -> int:
    if row.for_certificate:
        return MIN_SPACING_S
    return site.allowance.spacing_s if site else 0


async def _start(
    session: AsyncSession, row: Any, site: SpeedtestSite, inputs: AdmissionInputs, now: datetime
) -> list[PullTest]:
    pushes = row.mode == Mode.PUSH
    await session.execute(
        update(ThroughputTest)
        .where(ThroughputTest.id == row.id, ThroughputTest.status == SpeedtestStatus.WAITING)
        .values(
            status=SpeedtestStatus.RUNNING,
            reason=None,
            started_at=now,
            reserved_bytes=cost_bytes(row),
            grant=secrets.token_urlsafe(9) if pushes else None,
            expires_at=_expires_at(row, site, inputs, now),
        )
    )
    if pushes:
        return []
    url = site.speed_url or ""
    return [PullTest(row.id, row.site_id, row.parent_id, url, row.host, row.allowed_down_bytes, row.max_s)]


def _expires_at(row: Any, site: SpeedtestSite, inputs: AdmissionInputs, now: datetime) -> datetime:
    if row.mode == Mode.PULL:
        return now + timedelta(seconds=row.max_s + PULL_MARGIN_S)
    every = timedelta(seconds=site.allowance.push_every_s or 0)
    next_push_at = max(inputs.push_due_at, now) + every / 2 if inputs.push_due_at else now + 2 * every
    return next_push_at + timedelta(seconds=2 * row.max_s + GRANT_MARGIN_S)


async def _store_decision(session: AsyncSession, test_id: int, decision: Decision) -> None:
    status = SpeedtestStatus.SKIPPED if decision.verdict is AdmissionVerdict.SKIP else SpeedtestStatus.WAITING
    waiting = ThroughputTest.id == test_id, ThroughputTest.status == SpeedtestStatus.WAITING
    await session.execute(update(ThroughputTest).where(*waiting).values(status=status, reason=decision.reason))
