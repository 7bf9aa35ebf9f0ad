"""Draws the plot of a truth run from a seed.

Blind spells and kills come first, then scenes that they cut across, then nodes, shared outages, slow and lossy spells,
and single outages wherever there is room. Two events of one site keep apart, so that each can be told by itself.
"""

import math
from collections import defaultdict
from random import Random

from simulator.host_plan import HostPlan, SimulatedHost
from simulator.network import matches
from simulator.script import EventKind, Script, ScriptEvent, SiteSelector
from tests.benchmarks.truth.scenario import Kill, Pause, Plot, hosts

QUIET_S = 35.0  # every site has been seen by then
TAIL_S = 40.0
APART_S, WINDOW_S = 45.0, 125.0  # between outages; around spells that are judged over several looks
SLOW_MS = {"fiber": 600, "radio": 600, "cellular": 900, "leo": 700, "geo": 1800}
LEAST_SHARED = 5
LONG_MINUTES = 8  # a shorter run has fewer of our own failures


def plot(seed: int, sites: int, nodes: int, minutes: float) -> Plot:
    return _Drawing(Plot(seed, sites, nodes, minutes)).draw()


class _Drawing:
    def __init__(self, plot: Plot) -> None:
        self.plot = plot
        self.random = Random(plot.seed)
        self.hosts = hosts(plot.sites, plot.nodes)
        self.network = HostPlan(Script(), self.hosts)
        self.taken: dict[str, list[tuple[float, float, float]]] = defaultdict(list)  # start, end, keeps apart by
        self.last_s = plot.minutes * 60 - TAIL_S
        self.size = plot.sites * plot.minutes

    def draw(self) -> Plot:
        blind, kills = self._ours()
        self._pauses()
        self._scenes(blind, kills)
        if self.plot.minutes < LONG_MINUTES:  # little room: nodes before all else
            self._nodes(blind, kills)
        self._shared()
        if self.plot.minutes >= LONG_MINUTES:
            self._nodes(blind, kills)
        for kind, count, shortest_s, longest_s, apart_s in (
            (EventKind.LOSS, max(3, self.size * 0.006), 60, 180, WINDOW_S),
            (EventKind.SLOW, max(3, self.size * 0.008), 60, 180, WINDOW_S),
            (EventKind.OUTAGE, max(8, self.size * 0.035), 5, 300, APART_S),
        ):
            for _ in range(round(count)):
                self._single(kind, shortest_s, longest_s, apart_s)
        return self.plot

    def _ours(self) -> tuple[list[ScriptEvent], list[Kill]]:
        long = self.plot.minutes >= LONG_MINUTES
        spells = ((0.28, 25), (0.55, 35), (0.86, 20)) if long else ((0.24, 25),)
        blind = [ScriptEvent(EventKind.BLIND, self._at(share), duration_s) for share, duration_s in spells]
        kills = [Kill(self._at(0.14 if long else 0.08), "worker"), Kill(self._at(0.42 if long else 0.85), "database")]
        kills += [Kill(self._at(0.7), "worker", held_s=30)] if long else []
        self.plot.events += blind
        self.plot.kills += kills
        return blind, kills

    def _at(self, share: float) -> float:
        return round(QUIET_S + share * (self.last_s - QUIET_S), 1)

    def _scenes(self, blind: list[ScriptEvent], kills: list[Kill]) -> None:
        """Outages that our own failures cut across, begin in, end in or hide."""
        for spell in blind:
            start_s, end_s = spell.start_s, spell.start_s + spell.duration_s
            for first_s, last_s in (
                (start_s - 45, end_s + 40),
                (start_s - 50, start_s + 9),
                (start_s + 9, end_s + 50),
                (start_s + 3, end_s - 3),
                (start_s - 12, end_s + 60),
            ):
                self._somebody(first_s, last_s)
            self._somebody(start_s - 60, end_s + 60, EventKind.SLOW)
        for kill in kills:
            over_s = kill.at_s + kill.held_s
            for first_s, last_s in (
                (kill.at_s - 40, over_s + 50),
                (kill.at_s - 6, over_s + 45),
                (kill.at_s + 1, over_s + 50),
                (kill.at_s - 45, over_s + 1),
                (kill.at_s - 18, over_s + 8),
            ):
                self._somebody(first_s, last_s)

    def _pauses(self) -> None:
        """Sites that nothing else happens to."""
        for host in self.random.sample([host for host in self.hosts if host.kind == "access_point"], 2):
            self._take([host.code], 0, self.plot.minutes * 60, 0)
            self.plot.pauses.append(Pause(self._at(0.6), host.code, 45))

    def _somebody(self, start_s: float, end_s: float, kind: EventKind = EventKind.OUTAGE) -> None:
        """One site that is free then."""
        loose = [host for host in self.hosts if host.kind == "access_point" and not host.parent]
        apart_s = APART_S if kind is EventKind.OUTAGE else WINDOW_S
        for host in self.random.sample(loose, len(loose)):
            if start_s >= QUIET_S - 10 and self._take([host.code], start_s, end_s, apart_s):
                rtt_ms = SLOW_MS[host.technology] if kind is EventKind.SLOW else None
                self._happens(kind, start_s, end_s, SiteSelector(sites=(host.code,)), rtt_ms=rtt_ms)
                return

    def _nodes(self, blind: list[ScriptEvent], kills: list[Kill]) -> None:
        """The first nodes go out across our own failures, and one while a child of its is out by itself."""
        nodes = [host for host in self.hosts if host.kind == "node"]
        cut = [(kill.at_s - 45, kill.at_s + kill.held_s + 60) for kill in kills]
        cut += [(spell.start_s - 40, spell.start_s + spell.duration_s + 55) for spell in blind]
        for number, node in enumerate(nodes):
            family = [node.code, *sorted(self.network.descendants([node.code]))]
            times = [cut[number]] if number < len(cut) and self.plot.minutes >= LONG_MINUTES else []
            times += [self._anywhere(60, 240) for _ in range(200)]
            self._family_out(node, family, times, with_child=number % 3 == 0)
            if self.plot.minutes >= LONG_MINUTES:
                self._family_out(node, family, times[-100:], with_child=False)

    def _family_out(
        self, node: SimulatedHost, family: list[str], times: list[tuple[float, float]], *, with_child: bool
    ) -> None:
        around_s = 35.0 if with_child else 0.0
        for start_s, end_s in times:
            if start_s - around_s < QUIET_S or end_s + around_s > self.last_s:
                continue
            if self._take(family, start_s - around_s, end_s + around_s, APART_S):
                select = SiteSelector(kind="node", region=node.village_code)
                self._happens(EventKind.OUTAGE, start_s, end_s, select)
                if with_child:
                    child = SiteSelector(sites=(family[-1],))
                    self._happens(EventKind.OUTAGE, start_s - around_s, end_s + around_s, child)
                return

    def _shared(self) -> None:
        """A provider's network in one district."""
        pairs = sorted({(host.provider, host.village_code[:5]) for host in self.hosts})
        selects = [
            SiteSelector(provider=provider, region=district, kind="access_point") for provider, district in pairs
        ]
        members = {select: [h.code for h in self.hosts if matches(select, h)] for select in selects}
        large = sorted((s for s in selects if len(members[s]) >= LEAST_SHARED), key=lambda s: len(members[s]))
        wanted = max(1, round(self.plot.minutes / 4))
        for select in large:
            wanted -= wanted > 0 and self._is_shared(select, members[select])

    def _is_shared(self, select: SiteSelector, members: list[str]) -> bool:
        for start_s, end_s in (self._anywhere(60, 150) for _ in range(200)):
            if self._take(members, start_s, end_s, APART_S):
                self._happens(EventKind.OUTAGE, start_s, end_s, select)
                return True
        return False

    def _single(self, kind: EventKind, shortest_s: float, longest_s: float, apart_s: float) -> None:
        for _ in range(300):
            host = self.random.choice(self.hosts)
            start_s, end_s = self._anywhere(shortest_s, longest_s)
            if kind is not EventKind.OUTAGE and self._is_cut(kind, start_s, end_s):
                continue
            if host.kind == "access_point" and self._take([host.code], start_s, end_s, apart_s):
                loss_pct = round(self.random.uniform(15, 70)) if kind is EventKind.LOSS else None
                rtt_ms = SLOW_MS[host.technology] if kind is EventKind.SLOW else None
                self._happens(kind, start_s, end_s, SiteSelector(sites=(host.code,)), loss_pct, rtt_ms)
                return

    def _is_cut(self, kind: EventKind, start_s: float, end_s: float) -> bool:
        """Whether a failure of our own falls into it; in a long run some slow spells may be cut."""
        if kind is EventKind.SLOW and self.plot.minutes >= LONG_MINUTES:
            return False
        ours = [(kill.at_s, kill.at_s + kill.held_s) for kill in self.plot.kills if kill.child == "worker"]
        ours += [(e.start_s, e.start_s + e.duration_s) for e in self.plot.events if e.kind is EventKind.BLIND]
        return any(start_s - 15 < last_s and first_s < end_s + 15 for first_s, last_s in ours)

    def _anywhere(self, shortest_s: float, longest_s: float) -> tuple[float, float]:
        longest_s = min(longest_s, 0.6 * (self.last_s - QUIET_S))
        duration_s = shortest_s * math.pow(longest_s / shortest_s, self.random.random())
        start_s = self.random.uniform(QUIET_S, self.last_s - duration_s)
        return round(start_s, 3), round(start_s + duration_s, 3)

    def _take(self, codes: list[str], start_s: float, end_s: float, apart_s: float) -> bool:
        """Whether all of them were free; then they are not any more."""
        for code in codes:
            for other_start_s, other_end_s, other_apart_s in self.taken[code]:
                gap_s = max(apart_s, other_apart_s)
                if start_s - gap_s < other_end_s and other_start_s < end_s + gap_s:
                    return False
        for code in codes:
            self.taken[code].append((start_s, end_s, apart_s))
        return True

    def _happens(
        self,
        kind: EventKind,
        start_s: float,
        end_s: float,
        select: SiteSelector,
        loss_pct: float | None = None,
        rtt_ms: float | None = None,
    ) -> None:
        self.plot.events.append(ScriptEvent(kind, start_s, round(end_s - start_s, 3), select, loss_pct, rtt_ms))
