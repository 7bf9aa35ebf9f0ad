"""The timeline of a scenario: events are placed so that each can be told from every other of its site."""

import math
from collections import defaultdict
from random import Random

from simulator.host_plan import HostPlan, SimulatedHost
from simulator.script import EventKind, Script, ScriptEvent, SiteSelector
from tests.benchmarks.truth.scenario import Scenario, hosts

QUIET_S = 50.0  # every site has been seen by then
TAIL_S = 40.0
APART_S, WINDOW_S = 45.0, 125.0  # between outages; around spells that are judged over several looks
SLOW_MS = {"fiber": 600, "radio": 600, "cellular": 900, "leo": 700, "geo": 1800}
LONG_MINUTES = 8  # a shorter run has fewer of everything


class Timeline:
    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.random = Random(scenario.seed)
        self.hosts = hosts(scenario.sites, scenario.nodes)
        self.network = HostPlan(Script(), self.hosts)
        self.reserved: dict[str, list[tuple[float, float, float]]] = defaultdict(list)  # start, end, distance
        self.last_s = scenario.minutes * 60 - TAIL_S
        self.is_long = scenario.minutes >= LONG_MINUTES
        self.size = scenario.sites * scenario.minutes

    def at(self, share: float) -> float:
        return round(QUIET_S + share * (self.last_s - QUIET_S), 1)

    def draw(self, technologies: tuple[str, ...], count: int) -> list[SimulatedHost]:
        """Return sites without a node above them, in whose time nothing is planned."""
        free = [
            host
            for host in self.hosts
            if host.kind == "access_point"
            and not host.parent
            and host.technology in technologies
            and not self.reserved[host.code]
        ]
        return self.random.sample(free, count)

    def place(self, kind: EventKind, host: SimulatedHost, start_s: float, end_s: float) -> bool:
        is_window = kind in {EventKind.LOSS, EventKind.SLOW}
        if not self.reserve([host.code], start_s, end_s, WINDOW_S if is_window else APART_S):
            return False
        loss_pct = round(self.random.uniform(15, 70)) if kind is EventKind.LOSS else None
        rtt_ms = SLOW_MS[host.technology] if kind is EventKind.SLOW else None
        self.add(kind, start_s, end_s, [host.code], loss_pct, rtt_ms)
        return True

    def draw_time(self, shortest_s: float, longest_s: float) -> tuple[float, float]:
        longest_s = min(longest_s, max(shortest_s, 0.6 * (self.last_s - QUIET_S)))
        duration_s = shortest_s * math.pow(longest_s / shortest_s, self.random.random())
        start_s = self.random.uniform(QUIET_S, self.last_s - duration_s)
        return round(start_s, 3), round(start_s + duration_s, 3)

    def reserve(self, codes: list[str], start_s: float, end_s: float, apart_s: float) -> bool:
        """Reserve the time at all these sites; return False if one is not free."""
        for code in codes:
            for other_start_s, other_end_s, other_apart_s in self.reserved[code]:
                gap_s = max(apart_s, other_apart_s)
                if start_s - gap_s < other_end_s and other_start_s < end_s + gap_s:
                    return False
        for code in codes:
            self.reserved[code].append((start_s, end_s, apart_s))
        return True

    def add(
        self,
        kind: EventKind,
        start_s: float,
        end_s: float,
        codes: list[str],
        loss_pct: float | None = None,
        rtt_ms: float | None = None,
    ) -> None:
        select = SiteSelector(sites=tuple(codes))
        self.scenario.events.append(ScriptEvent(kind, start_s, round(end_s - start_s, 3), select, loss_pct, rtt_ms))
