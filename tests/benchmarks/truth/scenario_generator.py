"""Generate the scenario of a truth run from a seed.

Blind spells and kills come first, then outages around them, then nodes, shared outages, slow and lossy spells, and
single outages wherever there is room. Two events of a site keep a distance, so that each can be recognised.
"""

import math
from collections import defaultdict
from random import Random

from simulator.host_plan import HostPlan, SimulatedHost
from simulator.script import EventKind, Script, ScriptEvent, SiteSelector
from simulator.scripted_network import matches
from tests.benchmarks.truth.scenario import Kill, Pause, Scenario, hosts

QUIET_S = 35.0  # every site has been seen by then
TAIL_S = 40.0
APART_S, WINDOW_S = 45.0, 125.0  # between outages; around spells that are judged over several looks
SLOW_MS = {"fiber": 600, "radio": 600, "cellular": 900, "leo": 700, "geo": 1800}
MIN_SHARED = 5
LONG_MINUTES = 8  # a shorter run has fewer of our own failures


def generate(seed: int, sites: int, nodes: int, minutes: float) -> Scenario:
    return _Generator(Scenario(seed, sites, nodes, minutes)).generate()


class _Generator:
    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.random = Random(scenario.seed)
        self.hosts = hosts(scenario.sites, scenario.nodes)
        self.network = HostPlan(Script(), self.hosts)
        self.reserved: dict[str, list[tuple[float, float, float]]] = defaultdict(list)  # start, end, distance
        self.last_s = scenario.minutes * 60 - TAIL_S
        self.size = scenario.sites * scenario.minutes

    def generate(self) -> Scenario:
        blind, kills = self._add_our_failures()
        self._add_pauses()
        self._add_around_failures(blind, kills)
        if self.scenario.minutes < LONG_MINUTES:  # little room: nodes come first
            self._add_node_outages(blind, kills)
        self._add_shared_outages()
        if self.scenario.minutes >= LONG_MINUTES:
            self._add_node_outages(blind, kills)
        for kind, count, shortest_s, longest_s, apart_s in (
            (EventKind.LOSS, max(3, self.size * 0.006), 60, 180, WINDOW_S),
            (EventKind.SLOW, max(3, self.size * 0.008), 60, 180, WINDOW_S),
            (EventKind.OUTAGE, max(8, self.size * 0.035), 5, 300, APART_S),
        ):
            for _ in range(round(count)):
                self._add_single(kind, shortest_s, longest_s, apart_s)
        return self.scenario

    def _add_our_failures(self) -> tuple[list[ScriptEvent], list[Kill]]:
        long = self.scenario.minutes >= LONG_MINUTES
        spells = ((0.28, 25), (0.55, 35), (0.86, 20)) if long else ((0.24, 25),)
        blind = [ScriptEvent(EventKind.BLIND, self._at(share), duration_s) for share, duration_s in spells]
        kills = [Kill(self._at(0.14 if long else 0.08), "worker"), Kill(self._at(0.42 if long else 0.85), "database")]
        kills += [Kill(self._at(0.7), "worker", held_s=30)] if long else []
        self.scenario.events += blind
        self.scenario.kills += kills
        return blind, kills

    def _at(self, share: float) -> float:
        return round(QUIET_S + share * (self.last_s - QUIET_S), 1)

    def _add_around_failures(self, blind: list[ScriptEvent], kills: list[Kill]) -> None:
        """Add outages that span our own failures, begin in, end in or are hidden by them."""
        for spell in blind:
            start_s, end_s = spell.start_s, spell.start_s + spell.duration_s
            for first_s, last_s in (
                (start_s - 45, end_s + 40),
                (start_s - 50, start_s + 9),
                (start_s + 9, end_s + 50),
                (start_s + 3, end_s - 3),
                (start_s - 12, end_s + 60),
            ):
                self._add_anywhere(first_s, last_s)
            self._add_anywhere(start_s - 60, end_s + 60, EventKind.SLOW)
        for kill in kills:
            over_s = kill.at_s + kill.held_s
            for first_s, last_s in (
                (kill.at_s - 40, over_s + 50),
                (kill.at_s - 6, over_s + 45),
                (kill.at_s + 1, over_s + 50),
                (kill.at_s - 45, over_s + 1),
                (kill.at_s - 18, over_s + 8),
            ):
                self._add_anywhere(first_s, last_s)

    def _add_pauses(self) -> None:
        """Add pauses of sites that have no other event."""
        for host in self.random.sample([host for host in self.hosts if host.kind == "access_point"], 2):
            self._reserve([host.code], 0, self.scenario.minutes * 60, 0)
            self.scenario.pauses.append(Pause(self._at(0.6), host.code, 45))

    def _add_anywhere(self, start_s: float, end_s: float, kind: EventKind = EventKind.OUTAGE) -> None:
        """Add an event at some site that is free then."""
        loose = [host for host in self.hosts if host.kind == "access_point" and not host.parent]
        apart_s = APART_S if kind is EventKind.OUTAGE else WINDOW_S
        for host in self.random.sample(loose, len(loose)):
            if start_s >= QUIET_S - 10 and self._reserve([host.code], start_s, end_s, apart_s):
                rtt_ms = SLOW_MS[host.technology] if kind is EventKind.SLOW else None
                self._add(kind, start_s, end_s, SiteSelector(sites=(host.code,)), rtt_ms=rtt_ms)
                return

    def _add_node_outages(self, blind: list[ScriptEvent], kills: list[Kill]) -> None:
        """Add outages of nodes: the first across our own failures, some while a child has an outage of its own."""
        nodes = [host for host in self.hosts if host.kind == "node"]
        cut = [(kill.at_s - 45, kill.at_s + kill.held_s + 60) for kill in kills]
        cut += [(spell.start_s - 40, spell.start_s + spell.duration_s + 55) for spell in blind]
        for number, node in enumerate(nodes):
            family = [node.code, *sorted(self.network.descendants([node.code]))]
            times = [cut[number]] if number < len(cut) and self.scenario.minutes >= LONG_MINUTES else []
            times += [self._draw_time(60, 240) for _ in range(200)]
            self._add_family_outage(node, family, times, with_child=number % 3 == 0)
            if self.scenario.minutes >= LONG_MINUTES:
                self._add_family_outage(node, family, times[-100:], with_child=False)

    def _add_family_outage(
        self, node: SimulatedHost, family: list[str], times: list[tuple[float, float]], *, with_child: bool
    ) -> None:
        around_s = 35.0 if with_child else 0.0
        for start_s, end_s in times:
            if start_s - around_s < QUIET_S or end_s + around_s > self.last_s:
                continue
            if self._reserve(family, start_s - around_s, end_s + around_s, APART_S):
                select = SiteSelector(kind="node", region=node.village_code)
                self._add(EventKind.OUTAGE, start_s, end_s, select)
                if with_child:
                    child = SiteSelector(sites=(family[-1],))
                    self._add(EventKind.OUTAGE, start_s - around_s, end_s + around_s, child)
                return

    def _add_shared_outages(self) -> None:
        """Add outages of a provider's network in one district."""
        pairs = sorted({(host.provider, host.village_code[:5]) for host in self.hosts})
        selects = [
            SiteSelector(provider=provider, region=district, kind="access_point") for provider, district in pairs
        ]
        members = {select: [h.code for h in self.hosts if matches(select, h)] for select in selects}
        large = sorted((s for s in selects if len(members[s]) >= MIN_SHARED), key=lambda s: len(members[s]))
        wanted = max(1, round(self.scenario.minutes / 4))
        for select in large:
            wanted -= wanted > 0 and self._add_shared(select, members[select])

    def _add_shared(self, select: SiteSelector, members: list[str]) -> bool:
        for start_s, end_s in (self._draw_time(60, 150) for _ in range(200)):
            if self._reserve(members, start_s, end_s, APART_S):
                self._add(EventKind.OUTAGE, start_s, end_s, select)
                return True
        return False

    def _add_single(self, kind: EventKind, shortest_s: float, longest_s: float, apart_s: float) -> None:
        for _ in range(300):
            host = self.random.choice(self.hosts)
            start_s, end_s = self._draw_time(shortest_s, longest_s)
            if kind is not EventKind.OUTAGE and self._is_cut(kind, start_s, end_s):
                continue
            if host.kind == "access_point" and self._reserve([host.code], start_s, end_s, apart_s):
                loss_pct = round(self.random.uniform(15, 70)) if kind is EventKind.LOSS else None
                rtt_ms = SLOW_MS[host.technology] if kind is EventKind.SLOW else None
                self._add(kind, start_s, end_s, SiteSelector(sites=(host.code,)), loss_pct, rtt_ms)
                return

    def _is_cut(self, kind: EventKind, start_s: float, end_s: float) -> bool:
        """Return whether one of our failures overlaps; in a long run slow spells may overlap with them."""
        if kind is EventKind.SLOW and self.scenario.minutes >= LONG_MINUTES:
            return False
        ours = [(kill.at_s, kill.at_s + kill.held_s) for kill in self.scenario.kills if kill.child == "worker"]
        ours += [(e.start_s, e.start_s + e.duration_s) for e in self.scenario.events if e.kind is EventKind.BLIND]
        return any(start_s - 15 < last_s and first_s < end_s + 15 for first_s, last_s in ours)

    def _draw_time(self, shortest_s: float, longest_s: float) -> tuple[float, float]:
        longest_s = min(longest_s, 0.6 * (self.last_s - QUIET_S))
        duration_s = shortest_s * math.pow(longest_s / shortest_s, self.random.random())
        start_s = self.random.uniform(QUIET_S, self.last_s - duration_s)
        return round(start_s, 3), round(start_s + duration_s, 3)

    def _reserve(self, codes: list[str], start_s: float, end_s: float, apart_s: float) -> bool:
        """Reserve the time at all these sites; return False if one is not free."""
        for code in codes:
            for other_start_s, other_end_s, other_apart_s in self.reserved[code]:
                gap_s = max(apart_s, other_apart_s)
                if start_s - gap_s < other_end_s and other_start_s < end_s + gap_s:
                    return False
        for code in codes:
            self.reserved[code].append((start_s, end_s, apart_s))
        return True

    def _add(
        self,
        kind: EventKind,
        start_s: float,
        end_s: float,
        select: SiteSelector,
        loss_pct: float | None = None,
        rtt_ms: float | None = None,
    ) -> None:
        self.scenario.events.append(ScriptEvent(kind, start_s, round(end_s - start_s, 3), select, loss_pct, rtt_ms))
