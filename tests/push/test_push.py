import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from app.core.clock import utc_now
from app.registry.models import Site
from app.throughput.models import Mode, ThroughputTest
from probes.contract import Reading
from tests.support.agent_fixtures import Agent
from tests.support.push_samples import BEAT, backdate_site, was_heard


def facts(reading: Reading) -> tuple[object, ...]:
    return reading.outcome, reading.sent, reading.rtt_us, reading.valid_s, reading.reason


async def test_a_live_beat_gets_the_slot_of_its_receipt(agent: Agent) -> None:
    before = int(time.time())
    answer = await agent.push(BEAT | {"agent": "openwrt/1"})
    assert (answer["accepted"], answer["duplicates"], answer["rejected"]) == (1, 0, [])
    assert (answer["next_s"], answer["speedtest_grant"], answer["speedtest"]) == (60, None, None)
    assert abs((datetime.fromisoformat(answer["server_time"]) - datetime.now(UTC)).total_seconds()) < 60
    (reading,) = await agent.dequeue()
    assert before <= reading.slot <= time.time()
    assert facts(reading) == ("ok", 3, (21300, 22000), 60, None)


async def test_a_beat_received_twice_counts_once(agent: Agent) -> None:
    assert (await agent.push(BEAT))["accepted"] == 1
    again = await agent.push(BEAT)
    assert (again["accepted"], again["duplicates"]) == (0, 1)
    assert len(await agent.dequeue()) == 1
    device = await agent.row("device")
    assert (device["accepted"], device["duplicates"], device["boot"], device["seq"]) == (1, 1, "k3f9", 181)


async def test_a_batch_is_dated_by_uptime_and_its_newest_row_is_live(agent: Agent) -> None:
    await backdate_site(agent)
    await was_heard(agent, seconds_ago=60)
    batch = [
        {"seq": 1, "uptime_s": 1000 - 15, "sent": 3, "rtt_ms": []},
        {"seq": 2, "uptime_s": 1000 - 5, "sent": 3, "rtt_ms": [21]},
    ]
    answer = await agent.push({"boot": "b1", "uptime_s": 1000, "batch": batch})
    assert answer["accepted"] == 2, answer
    older, newer = await agent.dequeue()
    assert newer.slot - older.slot == 10
    assert facts(older) == ("timeout", 3, (), 60, "claimed")
    assert facts(newer) == ("ok", 3, (21000,), 60, None)


async def test_a_batch_after_a_missed_push_claims_what_was_not_heard_and_proves_the_link_by_its_arrival(
    agent: Agent,
) -> None:
    await backdate_site(agent)
    await was_heard(agent, seconds_ago=100)
    batch = [
        {"seq": 1, "uptime_s": 1000 - 60, "sent": 3, "rtt_ms": []},
        {"seq": 2, "uptime_s": 1000 - 5, "sent": 3, "rtt_ms": [21]},
    ]
    assert (await agent.push({"boot": "b1", "uptime_s": 1000, "batch": batch}))["accepted"] == 2
    lost, answered, arrival = await agent.dequeue()
    assert facts(lost) == ("timeout", 3, (), 60, "late")
    assert facts(answered) == ("fault", 3, (21000,), 60, "late")
    assert facts(arrival) == ("ok", 0, (), 60, "arrival")


async def test_a_batch_whose_newest_row_was_lost_proves_the_link_at_its_receipt(agent: Agent) -> None:
    await backdate_site(agent)
    await was_heard(agent, seconds_ago=60)
    batch = [{"seq": 1, "uptime_s": 1000 - 40, "sent": 3, "rtt_ms": []}]
    before = int(time.time())
    await agent.push({"boot": "b1", "uptime_s": 1000, "batch": batch})
    lost, arrival = await agent.dequeue()
    assert facts(lost) == ("timeout", 3, (), 60, "claimed")
    assert facts(arrival) == ("ok", 0, (), 60, "arrival")
    assert before <= arrival.slot <= time.time()
    assert arrival.slot - lost.slot == 40


async def test_the_response_holds_an_open_grant_until_it_is_used_or_expired(agent: Agent) -> None:
    async with agent.session.begin():
        site = await agent.session.get_one(Site, agent.site["id"])
        agent.session.add(test := granted(site, "kupon-7"))
    answer = await agent.push(BEAT)
    assert answer["speedtest_grant"] == "kupon-7"
    assert answer["speedtest"] == {"down_bytes": 4_000_000, "up_bytes": 1_000_000, "max_s": 10}
    for change in ({"down_began_at": utc_now()}, {"down_began_at": None, "expires_at": utc_now()}):
        async with agent.session.begin():
            await agent.session.execute(update(ThroughputTest).where(ThroughputTest.id == test.id).values(change))
        assert (await agent.push(BEAT))["speedtest_grant"] is None


def granted(site: Site, code: str) -> ThroughputTest:
    now = utc_now()
    return ThroughputTest(
        site_id=site.id,
        planned_at=now,
        month=now.date().replace(day=1),
        mode=Mode.PUSH,
        status="running",
        technology=site.technology,
        provider_id=site.provider_id,
        village_code=site.village_code,
        allowed_down_bytes=4_000_000,
        allowed_up_bytes=1_000_000,
        max_s=10,
        reserved_bytes=6_000_000,
        waits_until=now,
        started_at=now,
        down_bytes=0,
        up_bytes=0,
        grant=code,
        expires_at=now + timedelta(minutes=5),
    )
