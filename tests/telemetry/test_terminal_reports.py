"""What agents pass on of a terminal beside their rows: taken once, and never the reading's fault."""

import base64
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import floor_second, utc_now
from app.postgres.engine import Sessions, transaction
from app.push import parser
from app.telemetry import terminal_reports
from app.telemetry.terminal_reports import TerminalReport
from tests.conftest import Cast
from tests.factories import register
from tests.support.agent_fixtures import Agent
from tests.support.starlink_terminal import framed, status_message

NOW = floor_second(utc_now()) - timedelta(hours=1)
ROW = {"boot": "k3f9", "seq": 1, "uptime_s": 60, "sent": 3, "rtt_ms": [21.3]}
ANSWER = base64.b64encode(framed(status_message())).decode()


@pytest.mark.parametrize("value", ["kein base64!", "", "A" * 20_000, 7, ["AAAA"], "AAA"])
@pytest.mark.parametrize("batch", [False, True])
def test_a_bad_answer_is_its_own_fault_and_rejects_no_row(value: Any, batch: bool) -> None:
    body = {"starlink": value} | ({"boot": "k3f9", "batch": [ROW]} if batch else ROW)
    push = parser.parse(body)
    assert [fault.code for fault in push.faults] == ["bad_starlink"]
    assert (len(push.rows), push.faults[0].row, push.starlink) == (1, None, None)


def test_a_good_answer_is_passed_on_as_it_is() -> None:
    push = parser.parse(ROW | {"starlink": ANSWER})
    assert (push.starlink, push.faults) == (framed(status_message()), [])


@pytest.fixture
async def site(cast: Cast) -> int:
    return int((await register(cast, technology="leo", probe="push", host=None))["id"])


async def record(sessions: Sessions, site: int, minute: int, answer: bytes, *, key: str | None = None) -> None:
    at = NOW + timedelta(minutes=minute)
    async with transaction(sessions) as session:
        await terminal_reports.record(session, [TerminalReport(site, key or f"b:{minute}", at, answer)])


async def test_a_terminal_is_a_source_from_its_first_push_on_and_a_repeated_push_adds_nothing(
    cast: Cast, sessions: Sessions, site: int
) -> None:
    up, out, later = (
        framed(status_message(outage=cause, uptime_s=s)) for cause, s in ((None, 600), (6, 900), (6, 1200))
    )
    await record(sessions, site, 0, up)
    await record(sessions, site, 4, up, key="b:0")  # the same push, sent again
    await record(sessions, site, 5, out)
    await record(sessions, site, 10, later)
    found = (await cast.ana.get(f"/sites/{site}/telemetry")).json()
    (source,) = found["sources"]
    assert (source["kind"], source["witness"], source["created_by"]) == ("starlink_terminal", "terminal", None)
    assert (source["state"], source["cause"]) == ("down", "obstructed")
    assert [(row["state"], row["answers"]) for row in found["stretches"]] == [("down", 2), ("up", 1)]


async def test_an_answer_that_is_no_status_is_the_sources_problem(
    cast: Cast, sessions: Sessions, session: AsyncSession, site: int
) -> None:
    await record(sessions, site, 0, b"<html>login</html>")
    (source,) = (await cast.ana.get(f"/sites/{site}/telemetry")).json()["sources"]
    assert source["problem"].startswith("no_status")
    async with session.begin():
        assert await session.scalar(text("SELECT count(*) FROM telemetry_stretch")) == 0


async def test_a_push_carries_it_to_the_sites_source_beside_its_reading(agent: Agent) -> None:
    answer = await agent.push(ROW | {"starlink": ANSWER})
    assert (answer["accepted"], answer["rejected"]) == (1, [])
    source = await agent.row("telemetry_source")
    stretch = await agent.row("telemetry_stretch")
    assert (source["kind"], source["witness"], source["last_key"]) == ("starlink_terminal", "terminal", "k3f9:60000000")
    assert (stretch["state"], stretch["samples"], stretch["figures"]["latency_ms"]) == ("up", 1, 41.5)
    answer = await agent.push(ROW | {"seq": 2, "starlink": "?"})
    assert (answer["accepted"], [fault["code"] for fault in answer["rejected"]]) == (1, ["bad_starlink"])
