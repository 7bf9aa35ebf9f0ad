"""The plot of a truth run, drawn from a seed: what happens to whom and when, and which processes are killed.

Blind spells and kills come first, then scenes that they cut across, then nodes, shared outages, slow and lossy spells,
and single outages wherever there is room. Two events of one site keep apart, so that each can be told by itself.
"""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from random import Random

from app.registry.regions import REGIONS_CSV
from simulator.network import matches
from simulator.plan import Host, Plan
from simulator.script import Event, EventKind, Script, Select
from simulator.towers import towers
from simulator.villages import villages

INTERVAL_S = 10
QUIET_S = 35.0  # every site has been seen by then
TAIL_S = 40.0
APART_S, WINDOW_S = 45.0, 125.0  # between outages; around spells that are judged over several looks
SLOW_MS = {"fiber": 600, "radio": 600, "cellular": 900, "leo": 700, "geo": 1800}
LEAST_SHARED = 5
LONG_MINUTES = 8  # a shorter run has fewer of our own failures


@dataclass(frozen=True, slots=True)
class Kill:
    at_s: float
    child: str
    held_s: float = 0.0  # killed again and again for so long


@dataclass
class Plot:
    seed: int
    sites: int
    nodes: int
    minutes: float
    events: list[Event] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)

    @property
    def ends_s(self) -> float:
        return max(event.start_s + event.duration_s for event in self.events)

    @property
    def loss_pct(self) -> dict[str, float]:
        return {event.select.sites[0]: event.loss_pct or 0 for event in self.events
                if event.kind is EventKind.LOSS and event.select.sites}  # fmt: skip

    @property
    def script(self) -> str:
        """As `sinyal demo --script` takes it. Healthy links lose nothing: what is lost was scripted."""
        head = f"seed = {self.seed}\ninterval_s = {INTERVAL_S}\nsites = {self.sites}\nnodes = {self.nodes}\n"
        links = "".join(f"[technology.{name}]\nloss_pct = 0\n" for name in SLOW_MS)
        return head + links + "".join(map(_toml, sorted(self.events, key=lambda event: event.start_s)))


def plot(seed: int, sites: int, nodes: int, minutes: float) -> Plot:
    return _Drawing(Plot(seed, sites, nodes, minutes)).draw()


def hosts(sites: int, nodes: int) -> list[Host]:
    """Who will be on the network of a new demo: a tower is the second site of the village that houses it."""
    there = villages(REGIONS_CSV, sites)
    found: list[Host] = []
    parents: dict[str, str] = {}
    for tower in towers(REGIONS_CSV, there, nodes):
        code = f"{tower.fields['village_code']}-02"
        parents |= dict.fromkeys(tower.children, code)
        found.append(_host(tower.fields, code, "node"))
    return found + [_host(one, f"{one['village_code']}-01", parent=parents.get(one["host"], "")) for one in there]


def _host(fields: dict[str, str], code: str, kind: str = "access_point", parent: str = "") -> Host:
    return Host(fields["host"], fields["technology"], code, fields["village_code"], fields["provider"], kind, parent)


class _Drawing:
    def __init__(self, plot: Plot) -> None:
        self.plot = plot
        self.random = Random(plot.seed)
        self.hosts = hosts(plot.sites, plot.nodes)
        self.network = Plan(Script(), self.hosts)
        self.taken: dict[str, list[tuple[float, float, float]]] = defaultdict(list)  # start, end, keeps apart by
        self.last_s = plot.minutes * 60 - TAIL_S
        self.size = plot.sites * plot.minutes

    def draw(self) -> Plot:
        blind, kills = self._ours()
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

    def _ours(self) -> tuple[list[Event], list[Kill]]:
        long = self.plot.minutes >= LONG_MINUTES
        spells = ((0.28, 25), (0.55, 35), (0.86, 20)) if long else ((0.5, 25),)
        blind = [Event(EventKind.BLIND, self._at(share), duration_s) for share, duration_s in spells]
        kills = [Kill(self._at(0.14), "worker"), Kill(self._at(0.42), "database")]
        kills += [Kill(self._at(0.7), "worker", held_s=30)] if long else []
        if not long:
            kills[1] = Kill(self._at(0.85), "database")
        self.plot.events += blind
        self.plot.kills += kills
        return blind, kills

    def _at(self, share: float) -> float:
        return round(QUIET_S + share * (self.last_s - QUIET_S), 1)

    def _scenes(self, blind: list[Event], kills: list[Kill]) -> None:
        """Outages that our own failures cut across, begin in, end in or hide."""
        for spell in blind:
            start_s, end_s = spell.start_s, spell.start_s + spell.duration_s
            for first_s, last_s in (
                (start_s - 45, end_s + 40), (start_s - 50, start_s + 9), (start_s + 9, end_s + 50),
                (start_s + 3, end_s - 3), (start_s - 12, end_s + 60),
            ):  # fmt: skip
                self._somebody(first_s, last_s)
        for kill in kills:
            over_s = kill.at_s + kill.held_s
            for first_s, last_s in (
                (kill.at_s - 40, over_s + 50), (kill.at_s - 6, over_s + 45), (kill.at_s + 1, over_s + 50),
                (kill.at_s - 45, over_s + 1), (kill.at_s - 18, over_s + 8),
            ):  # fmt: skip
                self._somebody(first_s, last_s)

    def _somebody(self, start_s: float, end_s: float) -> None:
        """An outage of one site that is free then."""
        loose = [host.code for host in self.hosts if host.kind == "access_point" and not host.parent]
        for code in self.random.sample(loose, len(loose)):
            if start_s >= QUIET_S - 10 and self._take([code], start_s, end_s, APART_S):
                self._happens(EventKind.OUTAGE, start_s, end_s, Select(sites=(code,)))
                return

    def _nodes(self, blind: list[Event], kills: list[Kill]) -> None:
        """The first nodes go out across our own failures, and one while a child of its is out by itself."""
        nodes = [host for host in self.hosts if host.kind == "node"]
        cut = [(kill.at_s - 45, kill.at_s + kill.held_s + 60) for kill in kills]
        cut += [(spell.start_s - 40, spell.start_s + spell.duration_s + 55) for spell in blind]
        for number, node in enumerate(nodes):
            family = [node.code, *sorted(self.network.behind([node.code]))]
            times = [cut[number]] if number < len(cut) and self.plot.minutes >= LONG_MINUTES else []
            times += [self._anywhere(60, 240) for _ in range(200)]
            self._family_out(node, family, times, with_child=number % 3 == 0)
            if self.plot.minutes >= LONG_MINUTES:
                self._family_out(node, family, times[-100:], with_child=False)

    def _family_out(self, node: Host, family: list[str], times: list[tuple[float, float]], *, with_child: bool) -> None:
        around_s = 35.0 if with_child else 0.0
        for start_s, end_s in times:
            if start_s - around_s < QUIET_S or end_s + around_s > self.last_s:
                continue
            if self._take(family, start_s - around_s, end_s + around_s, APART_S):
                select = Select(kind="node", region=node.village_code)
                self._happens(EventKind.OUTAGE, start_s, end_s, select)
                if with_child:
                    child = Select(sites=(family[-1],))
                    self._happens(EventKind.OUTAGE, start_s - around_s, end_s + around_s, child)
                return

    def _shared(self) -> None:
        """A provider's network in one district."""
        pairs = sorted({(host.provider, host.village_code[:5]) for host in self.hosts})
        selects = [Select(provider=provider, region=district, kind="access_point") for provider, district in pairs]
        members = {select: [h.code for h in self.hosts if matches(select, h)] for select in selects}
        large = sorted((s for s in selects if len(members[s]) >= LEAST_SHARED), key=lambda s: len(members[s]))
        wanted = max(1, round(self.plot.minutes / 4))
        for select in large:
            wanted -= wanted > 0 and self._is_shared(select, members[select])

    def _is_shared(self, select: Select, members: list[str]) -> bool:
        for start_s, end_s in (self._anywhere(60, 150) for _ in range(200)):
            if self._take(members, start_s, end_s, APART_S):
                self._happens(EventKind.OUTAGE, start_s, end_s, select)
                return True
        return False

    def _single(self, kind: EventKind, shortest_s: float, longest_s: float, apart_s: float) -> None:
        for _ in range(50):
            host = self.random.choice(self.hosts)
            start_s, end_s = self._anywhere(shortest_s, longest_s)
            if host.kind == "access_point" and self._take([host.code], start_s, end_s, apart_s):
                loss_pct = round(self.random.uniform(15, 70)) if kind is EventKind.LOSS else None
                rtt_ms = SLOW_MS[host.technology] if kind is EventKind.SLOW else None
                self._happens(kind, start_s, end_s, Select(sites=(host.code,)), loss_pct, rtt_ms)
                return

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
        self, kind: EventKind, start_s: float, end_s: float, select: Select,
        loss_pct: float | None = None, rtt_ms: float | None = None,
    ) -> None:  # fmt: skip
        self.plot.events.append(Event(kind, start_s, round(end_s - start_s, 3), select, loss_pct, rtt_ms))


def _toml(event: Event) -> str:
    lines = ["[[event]]", f'kind = "{event.kind}"', f"start_s = {event.start_s}", f"duration_s = {event.duration_s}"]
    lines += [f"loss_pct = {event.loss_pct}"] if event.loss_pct is not None else []
    lines += [f"rtt_ms = {event.rtt_ms}"] if event.rtt_ms is not None else []
    select = event.select
    words = {"kind": select.kind, "provider": select.provider, "region": select.region}
    parts = [f'{name} = "{value}"' for name, value in words.items() if value is not None]
    parts += [f"sites = {list(select.sites)}"] if select.sites is not None else []
    lines += [f"select = {{ {', '.join(parts)} }}"] if parts else []
    return "\n".join(lines) + "\n"
