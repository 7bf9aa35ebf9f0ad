"""Generated scenarios: repeatable, within the run, and with events of all kinds."""

import math
from collections import defaultdict

import pytest

from simulator.script import EventKind, parse
from simulator.scripted_network import ScriptedNetwork
from tests.benchmarks.truth.scenario import hosts
from tests.benchmarks.truth.scenario_generator import MIN_SHARED, QUIET_S, generate

SIZES = [(60, 3, 4.0), (300, 10, 15.0)]


@pytest.mark.parametrize(("sites", "nodes", "minutes"), SIZES)
def test_the_script_is_parsed_as_it_was_generated_and_the_same_seed_generates_the_same(
    sites: int, nodes: int, minutes: float
) -> None:
    scenario = generate(1, sites, nodes, minutes)
    script = parse(scenario.script)
    assert (script.sites, script.nodes, script.interval_s) == (sites, nodes, 10)
    assert list(script.events) == sorted(scenario.events, key=lambda event: event.start_s)
    assert generate(1, sites, nodes, minutes).script == scenario.script != generate(2, sites, nodes, minutes).script


@pytest.mark.parametrize(("sites", "nodes", "minutes"), SIZES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_events_lie_within_the_run_and_a_site_has_one_at_a_time(
    sites: int, nodes: int, minutes: float, seed: int
) -> None:
    scenario = generate(seed, sites, nodes, minutes)
    assert all(event.start_s >= QUIET_S - 10 for event in scenario.events)
    assert scenario.ends_s <= minutes * 60
    network = ScriptedNetwork(parse(scenario.script), hosts(sites, nodes))
    last: dict[str, float] = defaultdict(lambda: -math.inf)
    inside = 0
    begun = [change.active for change in network.advance(minutes * 60) if change.begins]
    for active in begun:
        assert active.codes, active.event
        for code in active.codes if active.event.kind is not EventKind.BLIND else ():
            inside += active.start_s < last[code]
            assert active.start_s > last[code] + 40 or active.start_s < last[code], "apart, or one within the other"
            last[code] = max(last[code], active.end_s)
    children = sum(event.select.kind == "node" for event in scenario.events)
    assert inside <= 2 * children, "only a node that goes out while its child is out already"


def test_a_full_run_has_every_kind_of_event() -> None:
    scenario = generate(1, 300, 10, 15)
    outages = [event for event in scenario.events if event.kind is EventKind.OUTAGE]
    assert sum(event.kind is EventKind.BLIND for event in scenario.events) == 3
    assert sum(event.kind is EventKind.SLOW for event in scenario.events) >= 20
    assert len(scenario.loss_pct) >= 15
    assert sum(event.select.kind == "node" for event in outages) >= 10
    assert sum(event.select.provider is not None for event in outages) >= 2
    assert sum(event.select.sites is not None for event in outages) >= 120
    assert {kill.child for kill in scenario.kills} == {"worker", "database"}
    assert MIN_SHARED == 5
