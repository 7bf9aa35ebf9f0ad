"""The scripted network: which events act on which packets, on a clock of the test's own."""

import math
from dataclasses import replace
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.host_plan import HostPlan, SimulatedHost, pack_address
from simulator.link_defaults import DEFAULTS
from simulator.script import EventKind, LinkBehaviour, Script, ScriptEvent, SiteSelector
from simulator.scripted_network import ScriptedNetwork
from simulator.villages import CANARIES

TECHNOLOGIES = ("fiber", "radio", "cellular", "leo", "geo")
HOSTS = [
    SimulatedHost(
        address=f"127.2.{number // 50}.{number % 50 + 1}",
        technology=TECHNOLOGIES[number % 5],
        code=f"64.{number % 3 + 1:02}.05.{number + 2001}-01",
        village_code=f"64.{number % 3 + 1:02}.05.{number + 2001}",
        provider=("telkom-wms", "orbit")[number % 2],
    )
    for number in range(150)
]
ONE = HOSTS[0]
EXACT = {name: LinkBehaviour(rtt_ms=40, jitter_ms=0, loss_pct=0) for name in TECHNOLOGIES}
PACKETS = st.integers(min_value=1, max_value=1_000_000)
SEEDS = st.integers(min_value=0, max_value=2**32)


def network(*events: ScriptEvent, seed: int = 1, exact: bool = True) -> ScriptedNetwork:
    return ScriptedNetwork(Script(seed=seed, technologies=EXACT if exact else {}, events=events), HOSTS)


def at(network: ScriptedNetwork, now_s: float, host: SimulatedHost = ONE, packet: int = 1) -> float | None:
    network.advance(now_s)
    return network.answer_delay_s(host.address, now_s, packet)


@given(SEEDS, st.sampled_from(HOSTS), PACKETS)
def test_the_same_seed_address_and_packet_have_the_same_delay(seed: int, host: SimulatedHost, packet: int) -> None:
    first, second = network(seed=seed, exact=False), network(seed=seed, exact=False)
    for other in HOSTS[:3]:
        second.answer_delay_s(other.address, 0.0, 1)
    assert first.answer_delay_s(host.address, 0.0, packet) == second.answer_delay_s(host.address, 0.0, packet)


@given(SEEDS, st.sampled_from(HOSTS), PACKETS)
def test_a_healthy_host_answers_in_its_technologys_range(seed: int, host: SimulatedHost, packet: int) -> None:
    delay_s = network(seed=seed, exact=False).answer_delay_s(host.address, 0.0, packet)
    usual = DEFAULTS[host.technology]
    if delay_s is None:
        assert usual.loss_pct > 0
    else:
        lowest_ms, highest_ms = usual.fastest_ms - usual.jitter_ms, usual.slowest_ms + usual.jitter_ms
        assert lowest_ms <= delay_s * 1000 <= highest_ms


def test_hosts_of_a_technology_differ_unless_the_round_trip_is_scripted() -> None:
    fibre = [host for host in HOSTS if host.technology == "fiber"]
    free, scripted = network(exact=False), network()
    assert len({free.plan.links[pack_address(host.address)].rtt_ms for host in fibre}) == len(fibre)
    assert {at(scripted, 0.0, host, packet) for host in fibre for packet in range(1, 20)} == {0.04}


def test_jitter_is_symmetric_and_within_the_scripted_bound() -> None:
    script = Script(technologies={"fiber": LinkBehaviour(rtt_ms=100, jitter_ms=30, loss_pct=0)})
    jittery = ScriptedNetwork(script, [ONE])
    delays_ms = [1000 * (at(jittery, 0.0, packet=packet) or 0) for packet in range(1, 4000)]
    assert 70 <= min(delays_ms) < 75 < 125 < max(delays_ms) <= 130
    assert median(delays_ms) == pytest.approx(100, abs=1)


@pytest.mark.parametrize("loss_pct", [0, 0.5, 40, 100])
def test_the_share_of_lost_packets_is_the_scripted_one(loss_pct: float) -> None:
    script = Script(technologies={"fiber": LinkBehaviour(loss_pct=loss_pct)})
    lossy = ScriptedNetwork(script, [ONE])
    lost = sum(at(lossy, 0.0, packet=packet) is None for packet in range(1, 20_001)) / 200
    assert lost == pytest.approx(loss_pct, abs=1 if 0 < loss_pct < 100 else 0)


@given(PACKETS, st.floats(min_value=0.1, max_value=100), st.floats(min_value=0.1, max_value=100))
def test_the_worst_of_overlapping_losses_counts(packet: int, one_pct: float, other_pct: float) -> None:
    one = ScriptEvent(EventKind.LOSS, 0, 10, loss_pct=one_pct)
    other = ScriptEvent(EventKind.LOSS, 0, 10, loss_pct=other_pct)
    worst = max(one, other, key=lambda event: event.loss_pct or 0)
    assert at(network(one, other), 5.0, packet=packet) == at(network(worst), 5.0, packet=packet)


@given(PACKETS, st.floats(min_value=0, max_value=10_000))
def test_a_slow_spell_sets_the_round_trip_and_an_outage_beats_it(packet: int, rtt_ms: float) -> None:
    slow = ScriptEvent(EventKind.SLOW, 0, 10, rtt_ms=rtt_ms)
    loss = ScriptEvent(EventKind.LOSS, 0, 10, loss_pct=0.1)
    outage = ScriptEvent(EventKind.OUTAGE, 0, 10)
    assert at(network(slow), 5.0, packet=packet) == pytest.approx(rtt_ms / 1000)
    assert at(network(slow, outage, loss), 5.0, packet=packet) is None


@given(st.floats(min_value=0, max_value=1000), st.floats(min_value=0.001, max_value=1000))
def test_an_outage_lasts_from_its_start_until_just_before_its_end(start_s: float, duration_s: float) -> None:
    cut = network(ScriptEvent(EventKind.OUTAGE, start_s, duration_s))
    (begin,) = cut.advance(start_s + 1e-6)
    acting = begin.active
    cut.advance(acting.end_s + 1e-6)
    for moment_s, answers in (
        (math.nextafter(acting.start_s, -1), True),
        (acting.start_s, False),
        (math.nextafter(acting.end_s, -1), False),
        (acting.end_s, True),
    ):
        assert (cut.answer_delay_s(ONE.address, moment_s, 1) is not None) == answers


def test_changes_are_in_order_of_time_however_late_they_are_requested() -> None:
    busy = network(
        ScriptEvent(EventKind.OUTAGE, 5, 10), ScriptEvent(EventKind.OUTAGE, 1, 2), ScriptEvent(EventKind.OUTAGE, 3, 1)
    )
    changes = [(change.begins, change.active.start_s, change.active.end_s) for change in busy.advance(100.0)]
    assert changes == [(True, 1, 3), (False, 1, 3), (True, 3, 4), (False, 3, 4), (True, 5, 15), (False, 5, 15)]
    assert busy.next_change_s == math.inf


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        (SiteSelector(), set(HOSTS)),
        (SiteSelector(technology="geo"), {host for host in HOSTS if host.technology == "geo"}),
        (SiteSelector(region="64.02"), {host for host in HOSTS if host.village_code.startswith("64.02.")}),
        (SiteSelector(region="64.0"), set()),
        (SiteSelector(region=ONE.village_code), {ONE}),
        (SiteSelector(sites=(ONE.code, "64.99.99.9999-01")), {ONE}),
        (
            SiteSelector(provider="orbit", technology="leo"),
            {host for host in HOSTS if host.provider == "orbit" and host.technology == "leo"},
        ),
    ],
)
def test_a_select_filters_by_each_of_its_fields(select: SiteSelector, expected: set[SimulatedHost]) -> None:
    cut = network(ScriptEvent(EventKind.OUTAGE, 1, 10, select))
    (begin,) = cut.advance(2.0)
    assert set(begin.active.codes) == {host.code for host in expected}
    assert {host for host in HOSTS if cut.answer_delay_s(host.address, 2.0, 1) is None} == expected


@given(SEEDS, st.floats(min_value=0.001, max_value=1))
def test_a_fraction_picks_the_same_share_for_the_same_seed(seed: int, fraction: float) -> None:
    event = ScriptEvent(EventKind.OUTAGE, 1, 10, SiteSelector(fraction=fraction))
    picked = [network(event, seed=seed).advance(1.0)[0].active.codes for _ in range(2)]
    assert picked[0] == picked[1]
    assert len(set(picked[0])) == max(1, math.floor(fraction * len(HOSTS) + 0.5))


def test_unregistered_addresses_are_silent_and_canaries_always_answer() -> None:
    growing = network()
    stranger = SimulatedHost("127.66.1.1", "fiber", "new-01")
    assert growing.answer_delay_s(stranger.address, 0.0, 1) is None
    assert all(growing.answer_delay_s(canary, 0.0, 1) == pytest.approx(0.002, abs=0.0002) for canary in CANARIES)
    growing.set_plan(HostPlan(growing.script, [*HOSTS, stranger]))
    assert growing.answer_delay_s(stranger.address, 0.0, 1) == pytest.approx(0.04)


TOWER = SimulatedHost("127.2.9.254", "fiber", "tower", "64.02.05.2001", "telkom-wms", "node")
BELOW = SimulatedHost("127.2.9.253", "radio", "below", "64.02.05.2001", "orbit", "node", parent="tower")
NEAR = SimulatedHost("127.2.9.1", "fiber", "near", "64.02.05.2002", "telkom-wms", parent="tower")
FAR = SimulatedHost("127.2.9.2", "cellular", "far", "64.02.05.2003", "orbit", parent="below")
ASIDE = SimulatedHost("127.2.9.3", "fiber", "aside", "64.02.05.2004", "telkom-wms")
TREE = [FAR, NEAR, ASIDE, BELOW, TOWER]


@pytest.mark.parametrize(
    ("select", "silent"),
    [
        (SiteSelector(sites=("tower",)), ("tower", "below", "far", "near")),
        (SiteSelector(kind="node"), ("below", "tower", "far", "near")),
        (SiteSelector(kind="node", provider="orbit"), ("below", "far")),
        (SiteSelector(region="64.02.05.2001"), ("below", "tower", "far", "near")),
        (SiteSelector(technology="radio"), ("below", "far")),
        (SiteSelector(kind="access_point", region="64.02.05"), ("aside", "far", "near")),
        (SiteSelector(sites=("near",)), ("near",)),
    ],
)
def test_sites_behind_a_silent_node_are_silent_and_listed_after_it(
    select: SiteSelector, silent: tuple[str, ...]
) -> None:
    tree = ScriptedNetwork(Script(technologies=EXACT, events=(ScriptEvent(EventKind.OUTAGE, 1, 10, select),)), TREE)
    (begin,) = tree.advance(2.0)
    assert begin.active.codes == silent
    assert {host.code for host in TREE if tree.answer_delay_s(host.address, 2.0, 1) is None} == set(silent)
    tree.advance(11.0)
    assert all(tree.answer_delay_s(host.address, 11.0, 1) is not None for host in TREE)


@pytest.mark.parametrize(
    "event", [ScriptEvent(EventKind.SLOW, 1, 10, rtt_ms=900), ScriptEvent(EventKind.LOSS, 1, 10, loss_pct=9)]
)
def test_slowness_or_loss_of_a_node_does_not_affect_sites_behind_it(event: ScriptEvent) -> None:
    tree = ScriptedNetwork(Script(events=(replace(event, select=SiteSelector(sites=("tower",))),)), TREE)
    assert tree.advance(2.0)[0].active.codes == ("tower",)


def test_a_cycle_of_parents_does_not_hang_the_simulator() -> None:
    ring = [replace(TOWER, parent="below"), BELOW, FAR]
    turning = ScriptedNetwork(
        Script(events=(ScriptEvent(EventKind.OUTAGE, 1, 10, SiteSelector(sites=("far",))),)), ring
    )
    assert turning.plan.descendants(["tower"]) == {"below", "far"}
    assert turning.advance(2.0)[0].active.codes == ("far",)


def test_a_blind_event_silences_everything_and_names_every_site() -> None:
    blind = network(ScriptEvent(EventKind.BLIND, 1, 2))
    (begin,) = blind.advance(1.5)
    assert begin.active.codes == tuple(sorted(host.code for host in HOSTS))
    assert all(blind.answer_delay_s(address, 1.5, 1) is None for address in (*CANARIES, ONE.address))
    assert at(blind, 3.0) is not None


@pytest.mark.parametrize(
    ("event", "cut"),
    [
        (ScriptEvent(EventKind.OUTAGE, 1, 2), True),
        (ScriptEvent(EventKind.BLIND, 1, 2), True),
        (ScriptEvent(EventKind.LOSS, 1, 2, loss_pct=50), False),
    ],
)
def test_nothing_passes_a_link_that_is_out(event: ScriptEvent, cut: bool) -> None:
    cutting = network(event)
    cutting.advance(1.5)
    assert cutting.is_cut(ONE.address, 1.5) is cut
    assert not cutting.is_cut(ONE.address, 3.5)


def test_an_event_follows_its_site_to_another_address_and_spares_later_sites() -> None:
    moving = network(ScriptEvent(EventKind.OUTAGE, 1, 10))
    moving.advance(1.0)
    moved = SimulatedHost("127.88.0.1", ONE.technology, ONE.code, ONE.village_code, ONE.provider)
    later = SimulatedHost("127.88.0.2", "fiber", "later-01")
    moving.set_plan(HostPlan(moving.script, [moved, later]))
    assert moving.answer_delay_s(moved.address, 2.0, 1) is None
    assert moving.answer_delay_s(ONE.address, 2.0, 1) is None
    assert moving.answer_delay_s(later.address, 2.0, 1) is not None


def test_an_event_affects_both_sites_at_the_same_address() -> None:
    twin = SimulatedHost(ONE.address, ONE.technology, "twin-01")
    shared = ScriptedNetwork(
        Script(events=(ScriptEvent(EventKind.OUTAGE, 1, 10, SiteSelector(sites=("twin-01",))),)), [ONE, twin]
    )
    assert at(shared, 2.0) is None


def test_names_and_addresses_elsewhere_are_not_on_the_network() -> None:
    plan = HostPlan(
        Script(), [SimulatedHost("kantor-desa.example", "fiber", "a"), SimulatedHost("192.0.2.1", "fiber", "b"), ONE]
    )
    assert [host.code for host in plan.hosts] == [ONE.code]


def test_an_event_without_sites_is_still_reported() -> None:
    nobody = network(ScriptEvent(EventKind.OUTAGE, 1, 1, SiteSelector(provider="nobody")))
    assert [change.active.codes for change in nobody.advance(5.0)] == [(), ()]


def test_a_power_cut_silences_its_sites_and_is_an_outage_behind_them() -> None:
    tower = replace(ONE, kind="node")
    child = replace(HOSTS[5], parent=tower.code)
    cut = ScriptEvent(EventKind.POWER, 10, 20, SiteSelector(sites=(tower.code,)))
    alive = ScriptedNetwork(Script(technologies=EXACT, events=(cut,)), [tower, child])
    begun = [change.active for change in alive.advance(15) if change.begins]
    assert [(active.event.kind, active.codes) for active in begun] == [
        (EventKind.POWER, (tower.code,)),
        (EventKind.OUTAGE, (child.code,)),
    ]
    assert (at(alive, 15, tower), at(alive, 15, child)) == (None, None)
    assert alive.power_back_at_s(pack_address(tower.address), 15) == 30
    assert alive.power_back_at_s(pack_address(child.address), 15) is None
    assert at(alive, 31, tower) is not None


def test_packets_sent_from_a_site_do_not_cross_our_uplink() -> None:
    alive = network(ScriptEvent(EventKind.BLIND, 10, 20))
    assert at(alive, 15) is None
    assert alive.anchor_delay_s(pack_address(ONE.address), 15, 1) == pytest.approx(0.04)
