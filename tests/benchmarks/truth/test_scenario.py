import math
from collections import defaultdict

import pytest

from simulator.network import ScriptedNetwork
from simulator.script import EventKind, parse
from tests.benchmarks.truth.scenario import hosts
from tests.benchmarks.truth.scenario_generator import LEAST_SHARED, QUIET_S, plot

SIZES = [(60, 3, 4.0), (300, 10, 15.0)]


@pytest.mark.parametrize(("sites", "nodes", "minutes"), SIZES)
def test_the_script_is_read_as_it_was_drawn_and_the_same_seed_draws_the_same(
    sites: int, nodes: int, minutes: float
) -> None:
    drawn = plot(1, sites, nodes, minutes)
    script = parse(drawn.script)
    assert (script.sites, script.nodes, script.interval_s) == (sites, nodes, 10)
    assert list(script.events) == sorted(drawn.events, key=lambda event: event.start_s)
    assert plot(1, sites, nodes, minutes).script == drawn.script != plot(2, sites, nodes, minutes).script


@pytest.mark.parametrize(("sites", "nodes", "minutes"), SIZES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_happens_within_the_run_and_one_site_has_one_trouble_at_a_time(
    sites: int, nodes: int, minutes: float, seed: int
) -> None:
    drawn = plot(seed, sites, nodes, minutes)
    assert all(event.start_s >= QUIET_S - 10 for event in drawn.events)
    assert drawn.ends_s <= minutes * 60
    network = ScriptedNetwork(parse(drawn.script), hosts(sites, nodes))
    last: dict[str, float] = defaultdict(lambda: -math.inf)
    inside = 0
    begun = [change.active for change in network.advance(minutes * 60) if change.begins]
    for acting in begun:
        assert acting.codes, acting.event
        for code in acting.codes if acting.event.kind is not EventKind.BLIND else ():
            inside += acting.start_s < last[code]
            assert acting.start_s > last[code] + 40 or acting.start_s < last[code], "apart, or one within the other"
            last[code] = max(last[code], acting.end_s)
    children = sum(event.select.kind == "node" for event in drawn.events)
    assert inside <= 2 * children, "only a node that goes out while its child is out already"


def test_a_whole_run_has_every_kind_of_trouble() -> None:
    drawn = plot(1, 300, 10, 15)
    outages = [event for event in drawn.events if event.kind is EventKind.OUTAGE]
    assert sum(event.kind is EventKind.BLIND for event in drawn.events) == 3
    assert sum(event.kind is EventKind.SLOW for event in drawn.events) >= 20
    assert len(drawn.loss_pct) >= 15
    assert sum(event.select.kind == "node" for event in outages) >= 10
    assert sum(event.select.provider is not None for event in outages) >= 2
    assert sum(event.select.sites is not None for event in outages) >= 120
    assert {kill.child for kill in drawn.kills} == {"worker", "database"}
    assert LEAST_SHARED == 5
