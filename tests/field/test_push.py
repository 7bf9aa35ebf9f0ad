import time
from datetime import UTC, datetime

from sqlalchemy import text

from app.field.inbox import Row
from tests.field.conftest import Agent

BEAT = {"boot": "k3f9", "seq": 181, "uptime_s": 86400, "sent": 3, "rtt_ms": [21.3, 22.0], "clients": 14}


async def grown_old(agent: Agent) -> None:
    """A site that was set up a month ago."""
    async with agent.session.begin():
        await agent.session.execute(text("UPDATE site SET addressed_at = now() - interval '30 days'"))


async def test_a_live_beat_is_taken_in_the_second_it_came(agent: Agent) -> None:
    before = int(time.time())
    answer = await agent.push(BEAT | {"agent": "openwrt/1"})
    assert (answer["accepted"], answer["duplicates"], answer["rejected"]) == (1, 0, [])
    assert (answer["next_s"], answer["speedtest_grant"], answer["speedtest"]) == (60, None, None)
    assert abs((datetime.fromisoformat(answer["server_time"]) - datetime.now(UTC)).total_seconds()) < 60
    (row,) = await agent.taken()
    assert before <= row.slot <= time.time()
    assert row[1:] == ("ok", 3, [21300, 22000], 60, None)


async def test_a_beat_that_came_twice_counts_once(agent: Agent) -> None:
    assert (await agent.push(BEAT))["accepted"] == 1
    again = await agent.push(BEAT)
    assert (again["accepted"], again["duplicates"]) == (0, 1)
    assert len(await agent.taken()) == 1
    device = await agent.row("device")
    assert (device["accepted"], device["duplicates"], device["boot"], device["seq"]) == (1, 1, "k3f9", 181)


async def test_a_batch_is_placed_by_uptime_and_its_newest_row_is_how_the_site_is_now(agent: Agent) -> None:
    await grown_old(agent)
    batch = [
        {"seq": 1, "uptime_s": 1000 - 15, "sent": 3, "rtt_ms": []},
        {"seq": 2, "uptime_s": 1000 - 5, "sent": 3, "rtt_ms": []},
    ]
    answer = await agent.push({"boot": "b1", "uptime_s": 1000, "batch": batch})
    assert answer["accepted"] == 2, answer
    older, newer = await agent.taken()
    assert newer.slot - older.slot == 10
    assert older[1:] == ("timeout", 3, [], 60, "claimed")
    assert newer[1:] == ("ok", 3, [], 60, None)
    assert isinstance(newer, Row)
