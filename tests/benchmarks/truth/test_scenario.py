"""Generated scenarios: repeatable, within the run, and with everything that a run is about."""

import math
from collections import Counter, defaultdict

import pytest

from simulator.script import EventKind, parse
from simulator.scripted_network import ScriptedNetwork
from tests.benchmarks.truth.scenario import hosts
from tests.benchmarks.truth.scenario_generator import FLAP_S, FORGED_S, generate
from tests.benchmarks.truth.timeline import QUIET_S

SIZES = [(100, 4, 4.0), (300, 10, 15.0)]


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
    assert all(event.start_s >= QUIET_S for event in scenario.events)
    assert all(event.start_s + event.duration_s <= scenario.ends_s for event in scenario.events)
    network = ScriptedNetwork(parse(scenario.script), hosts(sites, nodes))
    last: dict[str, float] = defaultdict(lambda: -math.inf)
    inside = 0
    for active in [change.active for change in network.advance(scenario.ends_s) if change.begins]:
        assert active.codes, active.event
        for code in active.codes if active.event.kind is not EventKind.BLIND else ():
            inside += active.start_s < last[code]
            assert active.start_s > last[code] + 20 or active.start_s < last[code], "apart, or one within the other"
            last[code] = max(last[code], active.end_s)
    assert inside <= 2 * nodes, "only a node that goes out while its child is out already"


def test_a_full_run_has_everything_that_it_is_about() -> None:
    scenario = generate(1, 300, 10, 15)
    silences = [event for event in scenario.events if event.kind in {EventKind.OUTAGE, EventKind.POWER}]
    by_code = {host.code: host for host in hosts(300, 10)}
    counts = Counter(event.kind for event in scenario.events)
    assert counts[EventKind.BLIND] == 3
    assert counts[EventKind.SLOW] >= 20
    assert counts[EventKind.LOSS] >= 10
    assert counts[EventKind.POWER] >= 20
    assert sum(event.duration_s == FLAP_S for event in silences) >= 50
    assert sum(by_code[(event.select.sites or ("",))[0]].kind == "node" for event in silences) >= 15
    masses = [event for event in silences if len(event.select.sites or ()) >= 40]
    assert {event.duration_s for event in masses} == {20, 23, 40, 60}
    for event in masses:
        assert len({by_code[code].provider for code in event.select.sites or ()}) >= 2
    blind = [event for event in scenario.events if event.kind is EventKind.BLIND]
    within = [
        e
        for e in silences
        for b in blind
        if e.start_s < b.start_s and b.start_s + b.duration_s < e.start_s + e.duration_s
    ]
    assert len(within) >= 6, "blind spells within outages"
    assert Counter(action.what for action in scenario.actions) == {
        "suspend": 4,
        "resume": 4,
        "move": 2,
        "kind": 10,
        "retire": 2,
    }
    assert len(scenario.forgeries) == 6
    for forgery in scenario.forgeries:
        (cut,) = [event for event in scenario.events if event.select.sites == (forgery.code,)]
        assert (cut.kind, cut.duration_s) == (EventKind.POWER, FORGED_S)
        assert forgery.at_s > cut.start_s + cut.duration_s + 60, "the device is back and has told its own"
    assert [kill.child for kill in scenario.kills] == ["worker", "database", "ingest", "worker", "api"]
