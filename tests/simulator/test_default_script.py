"""The default script: random events without end."""

from simulator.host_plan import SimulatedHost
from simulator.network_model import ActiveEvent
from simulator.script import EventKind, Script
from simulator.scripted_network import ScriptedNetwork


def random_network(hosts: int = 1038, seed: int = 3) -> ScriptedNetwork:
    many = [
        SimulatedHost(
            f"127.3.{n // 200}.{n % 200 + 1}", "fiber", f"site-{n}", f"64.{n % 10 + 1:02}.01.{n}", f"p{n % 7}"
        )
        for n in range(hosts)
    ]
    return ScriptedNetwork(Script(seed=seed, lively=True), many)


def test_about_two_percent_of_the_sites_are_affected() -> None:
    network = random_network()
    affected: set[ActiveEvent] = set()
    shares = []
    for minute in range(1, 24 * 60):
        for change in network.advance(minute * 60.0):
            if change.active.event.kind is not EventKind.BLIND:
                (affected.add if change.begins else affected.discard)(change.active)
        shares.append(sum(len(active.codes) for active in affected) / 1038)
    assert 0.012 < sum(shares) / len(shares) < 0.028


def test_every_kind_of_event_occurs_and_blindness_not_early() -> None:
    begun = [change.active for change in random_network().advance(6 * 3600.0) if change.begins]
    assert {active.event.kind for active in begun} == set(EventKind)
    assert min(a.start_s for a in begun if a.event.kind is EventKind.BLIND) > 600
    shared = [a for a in begun if a.event.select.provider]
    assert shared
    assert all(len(a.codes) >= 3 for a in shared)


def test_the_same_seed_draws_the_same_events() -> None:
    events = [
        [(c.begins, c.active.codes, c.active.start_s) for c in random_network(100, seed).advance(7200.0)]
        for seed in (1, 1, 2)
    ]
    assert events[0] == events[1] != events[2]
