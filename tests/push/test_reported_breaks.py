"""What a device says of its stream's breaks beside a push."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.app import API
from app.push import parser
from app.push.reported_breaks import MAX_BREAKS, DeviceBreak, parse_breaks, place
from app.push.value_parsers import RejectedValue
from tests.conftest import Cast
from tests.support.agent_fixtures import Agent

AT = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
BREAK = {"seq": 4, "heard_s": 80, "from_s": 91.4, "lost_s": 110.2, "to_s": 111.6}


def test_a_break_is_placed_by_the_uptime_of_its_boot() -> None:
    epoch_us = int(AT.timestamp() * 1_000_000)
    (one,) = place(7, "k3f9", epoch_us, AT + timedelta(seconds=200), parse_breaks("breaks", [BREAK]))
    after, before, still, over = (AT + timedelta(seconds=second) for second in (79, 92, 109, 112))
    bounds = one.bounds
    assert (bounds.started_after, bounds.started_before) == (after, before)
    assert (bounds.ended_after, bounds.ended_before) == (still, over)
    assert (one.site_id, one.boot, one.seq) == (7, "k3f9", 4)


def test_the_services_own_epoch_leaves_no_doubt_of_the_way() -> None:
    epoch_us = int(AT.timestamp() * 1_000_000)
    (one,) = place(7, "k3f9", epoch_us, AT + timedelta(seconds=200), parse_breaks("breaks", [BREAK]), is_exact=True)
    assert (one.bounds.seconds_min, one.bounds.seconds_max) == (18, 32)


@given(st.lists(st.floats(0, 1e5), min_size=4, max_size=4), st.integers(0, 10**6))
def test_bounds_are_in_order_and_hold_what_the_device_saw(uptimes: list[float], epoch_s: int) -> None:
    heard, first, last, to = sorted(uptimes)
    received = datetime.fromtimestamp(epoch_s + to, UTC)
    for one in place(7, "k3f9", epoch_s * 1_000_000, received, [DeviceBreak(1, heard, first, last, to)]):
        bounds = one.bounds
        assert bounds.started_after.timestamp() <= epoch_s + heard
        assert bounds.started_before.timestamp() >= epoch_s + first - 1e-3
        assert bounds.ended_after.timestamp() <= epoch_s + last + 1e-3
        assert bounds.ended_before.timestamp() >= epoch_s + to - 1e-3
        assert 0 <= bounds.seconds_min <= bounds.seconds_max


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("x", "not_objects"),
        ([7], "not_objects"),
        ([BREAK] * (MAX_BREAKS + 1), "out_of_range"),
        ([BREAK | {"seq": -1}], "out_of_range"),
        ([BREAK | {"seq": True}], "not_whole"),
        ([BREAK | {"from_s": None}], "missing"),
        ([BREAK | {"to_s": "9"}], "not_a_number"),
        ([BREAK | {"heard_s": 1e99}], "out_of_range"),
        ([BREAK | {"to_s": 100}], "not_in_order"),
    ],
)
def test_what_is_no_break_is_a_fault_of_the_field(value: Any, code: str) -> None:
    with pytest.raises(RejectedValue) as raised:
        parse_breaks("breaks", value)
    assert raised.value.fault.code == code
    push = parser.parse({"boot": "k3f9", "breaks": value, "batch": [{"seq": 1, "sent": 1, "rtt_ms": [20]}]})
    assert ([fault.code for fault in push.faults], len(push.rows), push.breaks) == ([code], 1, [])


async def test_reported_breaks_are_shown_once_and_change_no_state(agent: Agent, cast: Cast) -> None:
    body = {"boot": "k3f9", "uptime_s": 200, "breaks": [BREAK], "batch": []}
    for _ in range(2):
        answer = await agent.push(body)
        assert answer["rejected"] == []
    shown = (await cast.ana.get(f"/sites/{agent.site['id']}/breaks?period=24h")).json()
    assert (shown["breaks"], shown["excused"], shown["truncated"]) == (1, 0, False)
    assert 16 <= shown["seconds_min"] <= 18 < 32 <= shown["seconds_max"] <= 35
    (one,) = shown["items"]
    assert (one["seen_by"], one["excuse"]) == ("device", None)
    assert [reading.outcome for reading in await agent.dequeue()] == ["ok", "ok"], "the arrivals alone"


async def test_breaks_are_seen_by_who_sees_the_site(agent: Agent, cast: Cast) -> None:
    path = f"/sites/{agent.site['id']}/breaks"
    assert (await cast.ben.get(path)).status_code == 404
    assert (await cast.stranger.get(path)).status_code == 401
    assert (await cast.vera.get(path)).json()["items"] == []
    assert (
        await agent.client.get(f"{API}{path}", headers={"Authorization": f"Bearer {agent.token}"})
    ).status_code == 401


def test_breaks_that_no_link_can_have_are_not_taken() -> None:
    epoch_us, received = int(AT.timestamp() * 1_000_000), AT + timedelta(seconds=5_000)
    crowd = [DeviceBreak(seq, 80 + seq / 20, 4_000, 4_000, 4_100) for seq in range(MAX_BREAKS)]
    assert len(place(7, "k3f9", epoch_us, received, crowd)) == 1
    flapping = [DeviceBreak(seq, 20 * seq, 20 * seq + 2, 20 * seq + 9, 20 * seq + 20) for seq in range(MAX_BREAKS)]
    assert len(place(7, "k3f9", epoch_us, received, flapping)) == MAX_BREAKS, "a link that breaks without a rest may"


async def test_breaks_made_up_by_other_boots_are_no_more_than_a_link_can_have(cast: Cast, agent: Agent) -> None:
    break_ = {"seq": 1, "heard_s": 10, "from_s": 12, "lost_s": 90, "to_s": 95}
    for boot in ("a", "b", "c"):
        batch = {"boot": boot, "uptime_s": 100, "batch": [], "breaks": [break_]}
        await agent.push(batch)
    shown = (await cast.ana.get(f"/sites/{agent.site['id']}/breaks?period=24h")).json()
    assert shown["breaks"] == 1


async def test_a_boot_of_the_year_9999_has_no_breaks_and_its_push_is_stored(agent: Agent) -> None:
    late = {"seq": 1, "heard_s": 1e9, "from_s": 1e9, "lost_s": 1e9, "to_s": 1e9}
    body = {"boot": "a", "epochs": {"a": 253_402_300_799}, "batch": [], "breaks": [late]}
    assert (await agent.push(body))["rejected"] == []
