"""What devices saw near themselves: what of it is kept, and that it costs no reading."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from app.measurements.near import Near
from app.push import parser
from app.push.near_rows import DAY_S, NearState, choose_looks
from app.push.timestamps import PushSite, assign_slots
from tests.support.agent_fixtures import Agent
from tests.support.push_samples import BEAT, backdate_site

WELL = {"lan": 1, "terminal": 1, "carrier": 1}
NOON = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp())
SITE = PushSite(1, "active", 0, 60, 60)


def batch(*rows: tuple[int, bool, dict[str, Any]]) -> dict[str, Any]:
    """Rows of the seconds before a push at second 1,000 of the boot, answered or lost, with what they saw."""
    return {
        "boot": "k3f9",
        "uptime_s": 1_000,
        "batch": [
            {"seq": second, "uptime_s": second, "sent": 3, "rtt_ms": [20] * 3 if answered else [], **near}
            for second, answered, near in rows
        ],
    }


def kept(body: dict[str, Any], newest: NearState | None = None) -> list[tuple[int, bool, bool | None]]:
    """Return the looks that are kept as (second, lost, lan)."""
    timed = assign_slots(parser.parse(body), (NOON + 1_000) * 1_000_000, SITE)
    readings = [row.reading for row in timed if row.reading is not None]
    looks, _ = choose_looks(1, timed, readings, newest)
    return [(int(look["slot"].timestamp()) - NOON, look["lost"], look["lan"]) for look in looks]


def test_lost_looks_are_kept_and_changes_and_one_a_day() -> None:
    rows = [(60, True, WELL), (120, True, WELL), (180, False, WELL), (240, False, WELL | {"lan": 0}), (300, True, WELL)]
    body = batch(*rows)
    assert kept(body) == [(60, False, True), (180, True, True), (240, True, False), (300, False, True)]
    well = Near(True, True, True)
    assert kept(body, NearState(NOON, well))[0] == (180, True, True), "nothing changed since the push before"
    assert kept(body, NearState(NOON - DAY_S, well))[0] == (60, False, True), "once a day it is said all the same"
    assert kept(batch((60, True, {}), (120, False, {}))) == [], "a device that asks nobody tells nothing"


def test_a_field_that_cannot_be_used_is_left_out_and_its_row_counts() -> None:
    push = parser.parse(batch((60, True, WELL | {"lan": 7, "carrier": "up"}), (120, True, WELL)))
    assert [row.near for row in push.rows] == [Near(None, True, None), Near(True, True, True)]
    assert [(fault.row, fault.field, fault.code) for fault in push.faults] == [
        (0, "lan", "not_a_flag"),
        (0, "carrier", "not_a_flag"),
    ]
    beat = parser.parse(BEAT | {"lan": [], "rx_bps": -1, "tx_bps": 40_000})
    assert (len(beat.rows), beat.rates) == (1, {"tx_bps": 40_000})
    assert [(fault.field, fault.code) for fault in beat.faults] == [("lan", "not_a_flag"), ("rx_bps", "out_of_range")]


@given(st.dictionaries(st.sampled_from(["lan", "terminal", "carrier", "rx_bps", "tx_bps"]), st.from_type(object)))
def test_nothing_that_is_sent_there_costs_a_row(fields: dict[str, Any]) -> None:
    assert len(parser.parse(BEAT | fields).rows) == 1


async def test_what_was_seen_is_stored_once_however_often_it_is_sent(agent: Agent) -> None:
    await backdate_site(agent)
    body = batch((880, True, WELL), (940, False, WELL | {"terminal": 0})) | {"rx_bps": 1_840_000, "tx_bps": 212_000}
    for expected in (2, 0):
        assert (await agent.push(body))["accepted"] == expected
    async with agent.session.begin():
        rows = await agent.session.execute(text("SELECT lost, lan, terminal, carrier FROM near_look ORDER BY slot"))
        assert [tuple(row) for row in rows] == [(False, True, True, True), (True, True, False, True)]
    device = await agent.row("device")
    assert (device["lan"], device["terminal"], device["carrier"]) == (True, False, True)
    assert (device["rx_bps"], device["tx_bps"], device["rates_at"] is not None) == (1_840_000, 212_000, True)
    await agent.push({"boot": "k3f9", "uptime_s": 1_060, "batch": []})
    after = await agent.row("device")
    assert (after["near_at"], after["terminal"]) == (device["near_at"], False), "a push without looks says nothing new"
