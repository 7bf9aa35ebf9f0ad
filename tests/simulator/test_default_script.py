from simulator.host_plan import SimulatedHost
from simulator.network import ScriptedNetwork
from simulator.network_model import ActiveEvent
from simulator.script import EventKind, Script


def lively(hosts: int = 1038, seed: int = 3) -> ScriptedNetwork:
    many = [
        SimulatedHost(
            f"127.3.{n // 200}.{n % 200 + 1}", "fiber", f"site-{n}", f"64.{n % 10 + 1:02}.01.{n}", f"p{n % 7}"
        )
        for n in range(hosts)
    ]
    return ScriptedNetwork(Script(seed=seed, lively=True), many)


def test_the_default_script_keeps_about_two_percent_of_the_sites_ill() -> None:
    alive = lively()
    ill: set[ActiveEvent] = set()
    shares = []
    for minute in range(1, 24 * 60):
        for change in alive.advance(minute * 60.0):
            if change.active.event.kind is not EventKind.BLIND:
                (ill.add if change.begins else ill.discard)(change.active)
        shares.append(sum(len(acting.codes) for acting in ill) / 1038)
    assert 0.012 < sum(shares) / len(shares) < 0.028


def test_the_default_script_has_every_kind_of_event_and_no_early_blindness() -> None:
    begun = [change.active for change in lively().advance(6 * 3600.0) if change.begins]
    assert {acting.event.kind for acting in begun} == set(EventKind)
    assert min(a.start_s for a in begun if a.event.kind is EventKind.BLIND) > 600
    shared = [a for a in begun if a.event.select.provider]
    assert shared
    assert all(len(a.codes) >= 3 for a in shared)


def test_the_default_script_repeats_itself_for_the_same_seed_alone() -> None:
    told = [
        [(c.begins, c.active.codes, c.active.start_s) for c in lively(100, seed).advance(7200.0)] for seed in (1, 1, 2)
    ]
    assert told[0] == told[1] != told[2]
