"""Grants of push tests: each allows one download and one upload, claimed once in whichever process serves it.

The maximum cost of a direction stays reserved until it is settled; a vanished agent or a killed service leaves it so.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.core.errors import Conflict, NotFound
from app.postgres.engine import among
from app.throughput import plausibility
from app.throughput.admission import LINK_IN_USE
from app.throughput.budget import SLACK_BYTES, UP_SLACK_BYTES
from app.throughput.models import SpeedtestStatus, ThroughputTest
from probes.rate import Rate

REPORT_WITHIN_S = 60  # after both directions' time


class Direction(StrEnum):
    DOWN = "down"
    UP = "up"


@dataclass(frozen=True, slots=True)
class OpenGrant:
    code: str
    limits: dict[str, int]


@dataclass(frozen=True, slots=True)
class AgentReport:
    """An agent's own figures of its test; its times may include connecting and polling."""

    down_bytes: int | None = None
    down_ms: float | None = None
    up_bytes: int | None = None
    up_ms: float | None = None
    rtt_idle_ms: float | None = None
    rtt_loaded_ms: float | None = None


async def list_open(session: AsyncSession, site_ids: Collection[int]) -> dict[int, OpenGrant]:
    """By site id: the grant to send to its agent. None once either direction was claimed."""
    row = ThroughputTest
    rows = await session.scalars(
        select(row).where(
            among(row.site_id, site_ids),
            row.status == SpeedtestStatus.RUNNING,
            row.grant.is_not(None),
            row.expires_at > utc_now(),
            row.down_began_at.is_(None),
            row.up_began_at.is_(None),
        )
    )
    return {
        test.site_id: OpenGrant(
            test.grant or "",
            {
                "down_bytes": test.allowed_down_bytes,
                "up_bytes": test.allowed_up_bytes,
                "max_s": test.max_s,
            },
        )
        for test in rows
    }


async def claim_direction(session: AsyncSession, grant: str, direction: Direction) -> ThroughputTest:
    """Mark the direction as begun and extend the grant. Return the test.

    Raises NotFound for an unknown grant, Conflict if it has ended or the direction was claimed before.
    """
    row, now = ThroughputTest, utc_now()
    began = row.down_began_at if direction is Direction.DOWN else row.up_began_at
    lasts_until = now + func.make_interval(0, 0, 0, 0, 0, 0, 2 * row.max_s + REPORT_WITHIN_S)
    claimed: ThroughputTest | None = await session.scalar(
        update(row)
        .where(row.grant == grant, row.status == SpeedtestStatus.RUNNING, row.expires_at > now, began.is_(None))
        .values({began: now, row.expires_at: func.greatest(row.expires_at, lasts_until)})
        .returning(row)
    )
    if claimed is not None:
        return claimed
    test = await _get(session, grant)
    if test.status is SpeedtestStatus.RUNNING and test.expires_at is not None and test.expires_at > now:
        raise Conflict("This grant was already used for that direction: it allows one download and one upload")
    raise Conflict("This grant has ended: wait for the next one")


async def settle_direction(
    session: AsyncSession, test_id: int, direction: Direction, size: int, ms: float, rate: Rate, *, open_end: bool
) -> None:
    """Store what a direction cost and its rate by the server's clock, once; also for a test that was given up.

    `open_end`: the peer may send more than was counted, so only the counted bytes are released.
    """
    test, down = ThroughputTest, direction is Direction.DOWN
    allowed = test.allowed_down_bytes + SLACK_BYTES if down else test.allowed_up_bytes + UP_SLACK_BYTES
    ours = (
        {test.down_bytes: size, test.down_ms: round(ms), test.down_mbps: rate.mbps}
        if down
        else {test.up_bytes: size, test.up_ms: round(ms), test.up_mbps: rate.mbps}
    )
    released: dict[Any, Any] = {
        test.reserved_bytes: func.greatest(0, test.reserved_bytes - (size if open_end else allowed)),
        test.reason: func.coalesce(test.reason, rate.reason),
    }
    unsettled = (test.down_ms if down else test.up_ms).is_(None)
    await session.execute(update(test).where(test.id == test_id, unsettled).values(ours | released))


async def defer(session: AsyncSession, grant: str, *, rx_bps: int | None, tx_bps: int | None) -> ThroughputTest:
    """Let the test wait again, as its agent says that the link is in use; the grant ends. Return the test.

    Raises NotFound, or Conflict if the grant has ended or a direction was claimed.
    """
    test = await _get_running(session, grant)
    if test.down_began_at is not None or test.up_began_at is not None:
        raise Conflict("This grant was already used: report what was measured")
    test.status, test.reason, test.reserved_bytes = SpeedtestStatus.WAITING, LINK_IN_USE, 0
    test.grant = test.started_at = test.expires_at = None
    test.deferrals, test.deferred_at = test.deferrals + 1, utc_now()
    test.deferred_rx_bps, test.deferred_tx_bps = rx_bps, tx_bps
    return test


async def end_with_report(session: AsyncSession, grant: str, report: AgentReport) -> ThroughputTest:
    """End the test and return it. Raises NotFound, or Conflict if it has ended or neither direction was claimed."""
    test = await _get_running(session, grant)
    if test.down_began_at is None and test.up_began_at is None:
        raise Conflict("Nothing was measured with this grant yet: download or upload first")
    test.reserved_bytes -= _unused(test)
    test.agent_down_mbps = plausibility.mbps(_or(report.down_bytes, test.down_bytes), report.down_ms)
    test.agent_up_mbps = plausibility.mbps(_or(report.up_bytes, test.up_bytes), report.up_ms)
    test.rtt_idle_ms, test.rtt_loaded_ms = report.rtt_idle_ms, report.rtt_loaded_ms
    test.status, test.reason = _outcome(test, report)
    test.ended_at, test.expires_at = utc_now(), None
    return test


async def _get_running(session: AsyncSession, grant: str) -> ThroughputTest:
    """Return the test of a grant that has not ended, locked. Raises NotFound, Conflict."""
    test = await _get(session, grant, for_update=True)
    if test.status is not SpeedtestStatus.RUNNING or test.expires_at is None or test.expires_at <= utc_now():
        raise Conflict("This grant has ended: wait for the next one")
    return test


def _outcome(test: ThroughputTest, report: AgentReport) -> tuple[SpeedtestStatus, str | None]:
    rtt_ms = report.rtt_idle_ms
    down_buffered = plausibility.is_buffered(
        test.down_bytes, test.down_ms, report.down_bytes, report.down_ms, figure_mbps=test.down_mbps, rtt_ms=rtt_ms
    )
    up_buffered = plausibility.is_buffered(
        test.up_bytes, test.up_ms, report.up_bytes, report.up_ms, figure_mbps=test.up_mbps, rtt_ms=rtt_ms
    )
    if down_buffered or up_buffered:
        return SpeedtestStatus.INVALID, "buffered"
    if test.down_mbps is None and test.up_mbps is None:
        return SpeedtestStatus.INVALID, test.reason or "cut_off"
    return SpeedtestStatus.DONE, test.reason


def _unused(test: ThroughputTest) -> int:
    """Return what is reserved for directions that never began."""
    down = test.allowed_down_bytes + SLACK_BYTES if test.down_began_at is None else 0
    return down + (test.allowed_up_bytes + UP_SLACK_BYTES if test.up_began_at is None else 0)


def _or(reported: int | None, ours: int) -> int:
    return ours if reported is None else reported


async def _get(session: AsyncSession, grant: str, *, for_update: bool = False) -> ThroughputTest:
    query = select(ThroughputTest).where(ThroughputTest.grant == grant)
    if for_update:
        query = query.with_for_update().execution_options(populate_existing=True)
    test = await session.scalar(query)
    if test is None:
        raise NotFound("There is no such grant: a site's agent receives one in the response to its push")
    return test
