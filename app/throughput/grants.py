"""Push tests: a grant is good for one download and one upload, each taken once, whichever process serves it.

What a direction may cost is reserved while it runs. Who vanishes, or a service that is killed, leaves it reserved.
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
from app.throughput.budget import SLACK_BYTES, UP_SLACK_BYTES
from app.throughput.models import Stage, ThroughputTest
from probes.rate import Rate

AFTERWARDS_S = 60  # for the other direction, and the report


class Direction(StrEnum):
    DOWN = "down"
    UP = "up"


@dataclass(frozen=True, slots=True)
class OpenGrant:
    code: str
    limits: dict[str, int]


@dataclass(frozen=True, slots=True)
class Told:
    """What an agent says of its test: its own time, whatever it includes."""

    down_bytes: int | None = None
    down_ms: float | None = None
    up_bytes: int | None = None
    up_ms: float | None = None
    rtt_idle_ms: float | None = None
    rtt_loaded_ms: float | None = None


async def list_open(session: AsyncSession, site_ids: Collection[int]) -> dict[int, OpenGrant]:
    """By site, the grant that its agent is to be told of; none once it has begun."""
    test = ThroughputTest
    rows = await session.scalars(
        select(test).where(
            among(test.site_id, site_ids),
            test.status == Stage.RUNNING,
            test.grant.is_not(None),
            test.expires_at > utc_now(),
            test.down_began_at.is_(None),
            test.up_began_at.is_(None),
        )
    )
    return {
        row.site_id: OpenGrant(
            row.grant or "",
            {
                "down_bytes": row.allowed_down_bytes,
                "up_bytes": row.allowed_up_bytes,
                "max_s": row.max_s,
            },
        )
        for row in rows
    }


async def take(session: AsyncSession, grant: str, direction: Direction) -> ThroughputTest:
    """Raises NotFound for no grant of ours, Conflict for one that is over or whose direction was taken before."""
    test, now = ThroughputTest, utc_now()
    began = test.down_began_at if direction is Direction.DOWN else test.up_began_at
    lasts_until = now + func.make_interval(0, 0, 0, 0, 0, 0, 2 * test.max_s + AFTERWARDS_S)
    taken: ThroughputTest | None = await session.scalar(
        update(test)
        .where(test.grant == grant, test.status == Stage.RUNNING, test.expires_at > now, began.is_(None))
        .values({began: now, test.expires_at: func.greatest(test.expires_at, lasts_until)})
        .returning(test)
    )
    if taken is not None:
        return taken
    found = await _get(session, grant)
    if found.status is Stage.RUNNING and found.expires_at is not None and found.expires_at > now:
        raise Conflict("This grant was used for that direction already: one download and one upload are allowed")
    raise Conflict("This grant is over: wait for the next one")


async def settle(
    session: AsyncSession, test_id: int, direction: Direction, size: int, ms: float, rate: Rate, *, open_end: bool
) -> None:
    """What a direction cost, and how fast it was by our clock: also of a test that was given up meanwhile.

    `open_end`: more may be sent than we counted, and what is not accounted for stays reserved.
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


async def report(session: AsyncSession, grant: str, told: Told) -> ThroughputTest:
    """Ends the test. Raises NotFound, or Conflict for one that is over or that nothing was measured of."""
    found = await _get(session, grant, for_update=True)
    now = utc_now()
    if found.status is not Stage.RUNNING or found.expires_at is None or found.expires_at <= now:
        raise Conflict("This grant is over: wait for the next one")
    if found.down_began_at is None and found.up_began_at is None:
        raise Conflict("Nothing was measured under this grant yet: download or upload first")
    found.reserved_bytes -= _unused(found)
    found.agent_down_mbps = plausibility.mbps(_or(told.down_bytes, found.down_bytes), told.down_ms)
    found.agent_up_mbps = plausibility.mbps(_or(told.up_bytes, found.up_bytes), told.up_ms)
    found.rtt_idle_ms, found.rtt_loaded_ms = told.rtt_idle_ms, told.rtt_loaded_ms
    found.status, found.reason = _outcome(found, told)
    found.ended_at, found.expires_at = now, None
    return found


def _outcome(found: ThroughputTest, told: Told) -> tuple[Stage, str | None]:
    rtt_ms = told.rtt_idle_ms
    problem = plausibility.problem(
        found.down_bytes, found.down_ms, told.down_bytes, told.down_ms, figure_mbps=found.down_mbps, rtt_ms=rtt_ms
    ) or plausibility.problem(
        found.up_bytes, found.up_ms, told.up_bytes, told.up_ms, figure_mbps=found.up_mbps, rtt_ms=rtt_ms
    )
    if problem is not None:
        return Stage.INVALID, problem
    if found.down_mbps is None and found.up_mbps is None:
        return Stage.INVALID, found.reason or "cut_off"
    return Stage.DONE, found.reason


def _unused(found: ThroughputTest) -> int:
    """What was kept for a direction that never began; of one that was never settled it stays."""
    down = found.allowed_down_bytes + SLACK_BYTES if found.down_began_at is None else 0
    return down + (found.allowed_up_bytes + UP_SLACK_BYTES if found.up_began_at is None else 0)


def _or(told: int | None, ours: int) -> int:
    return ours if told is None else told


async def _get(session: AsyncSession, grant: str, *, for_update: bool = False) -> ThroughputTest:
    query = select(ThroughputTest).where(ThroughputTest.grant == grant)
    if for_update:
        query = query.with_for_update().execution_options(populate_existing=True)
    found = await session.scalar(query)
    if found is None:
        raise NotFound("There is no such grant: a site's agent is told of one in the answer to its push")
    return found
