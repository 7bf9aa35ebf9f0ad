"""Generate the scenario of a truth run from a seed.

Our own failures come first, then outages around them, then what people and a forger do, nodes, mass losses, flaps, and
slow, lossy and single outages wherever there is room. Two events of a site keep a distance, so that each can be
recognised.
"""

from simulator.host_plan import SimulatedHost
from simulator.script import EventKind, ScriptEvent
from tests.benchmarks.truth.scenario import SEND_EVERY_S, Kill, PlannedAction, PlannedForgery, Scenario
from tests.benchmarks.truth.timeline import APART_S, QUIET_S, Timeline

FLAP_S = 12.0
PROBES = {  # an event of other sites would say nothing: a device measures what its anchors answer
    EventKind.OUTAGE: ("icmp", "push"),
    EventKind.LOSS: ("icmp",),
    EventKind.SLOW: ("icmp",),
    EventKind.POWER: ("push",),
}
FORGED_S = 3.0 * SEND_EVERY_S + 40  # the silence of a device for which rows are forged
NAT = ("cellular", "leo", "geo")
PAUSE, MOVE, NODE, RETIRE = ("suspend", "resume"), ("move",), ("kind", "kind"), ("retire",)
CHANGES: dict[tuple[str, ...], list[tuple[str, ...]]] = {  # over REST, by technology: each of another site
    ("fiber",): [PAUSE, PAUSE, PAUSE, MOVE, MOVE, NODE, NODE, NODE, RETIRE],
    NAT: [PAUSE, NODE, NODE, RETIRE],
}
MASSES = ((0.22, 23, 50), (0.3, 40, 60), (0.5, 60, 40), (0.74, 20, 50))  # when, how long, how many sites


def generate(seed: int, sites: int, nodes: int, minutes: float) -> Scenario:
    return _Generator(Scenario(seed, sites, nodes, minutes)).generate()


class _Generator(Timeline):
    def generate(self) -> Scenario:
        self._add_our_failures()
        self._add_people()
        self._add_forgeries()
        self._add_around_failures()
        self._add_node_outages()
        for share, lasts_s, sites in MASSES if self.is_long else MASSES[2:3]:
            self._add_mass(self.at(share), lasts_s, min(sites, self.scenario.sites // 5))
        for kind, count, shortest_s, longest_s in (
            (EventKind.OUTAGE, self.size * 0.015, FLAP_S, FLAP_S),
            (EventKind.LOSS, self.size * 0.004, 60, 180),
            (EventKind.SLOW, self.size * 0.006, 60, 180),
            (EventKind.POWER, self.size * 0.006, 20, 240),
            (EventKind.OUTAGE, self.size * 0.03, 5, 300),
        ):
            for _ in range(max(3, round(count))):
                self._add_single(kind, shortest_s, longest_s)
        return self.scenario

    def _add_our_failures(self) -> None:
        spells = ((0.36, 25), (0.62, 48), (0.92, 20)) if self.is_long else ((0.9, 25),)
        self.blind = [ScriptEvent(EventKind.BLIND, self.at(share), duration_s) for share, duration_s in spells]
        self.kills = [Kill(self.at(0.43 if self.is_long else 1.15), "worker")]
        if self.is_long:
            self.kills += [Kill(self.at(0.48), "database"), Kill(self.at(0.7), "ingest")]
            self.kills += [Kill(self.at(0.8), "worker", held_s=30), Kill(self.at(0.08), "api")]
        self.scenario.events += self.blind
        self.scenario.kills += self.kills

    def _add_people(self) -> None:
        """Suspend and resume, move, turn into nodes and back, retire; some of these sites fail meanwhile."""
        for technologies, plans in CHANGES.items():
            for number, (host, plan) in enumerate(zip(self.draw(technologies, len(plans)), plans, strict=True)):
                self._change(number, host, plan, self.at(0.34 + 0.02 * number))

    def _change(self, number: int, host: SimulatedHost, plan: tuple[str, ...], at_s: float) -> None:
        """Plan the changes of a site, and outages before, between and after them."""
        later_s = at_s + (60 if plan[0] == "suspend" else self.at(0.3) - QUIET_S)
        others = sorted({h.village_code for h in self.hosts if h.village_code[:8] != host.village_code[:8]})
        value = {"move": self.random.choice(others), "kind": "node"}.get(plan[0])
        self.scenario.actions.append(PlannedAction(at_s, plan[0], host.code, value))
        if len(plan) > 1:
            back = "access_point" if plan[1] == "kind" else None
            self.scenario.actions.append(PlannedAction(later_s, plan[1], host.code, back))
        spells = [(at_s - 130, at_s - 80), (later_s + 120, later_s + 170)]
        if plan[0] == "suspend":  # nobody may see it; across either end
            spells += [[(at_s + 15, at_s + 45)], [(at_s - 30, at_s + 30)], [(at_s + 30, later_s + 40)]][number % 3]
        elif plan[0] != "retire":  # one outage across the change, one after it
            spells += [(at_s - 20, at_s + 30), (at_s + 80, at_s + 130)]
        for start_s, end_s in spells:
            if start_s > QUIET_S and end_s < self.last_s and (plan[0] != "retire" or end_s < at_s):
                self.add(EventKind.OUTAGE, start_s, end_s, [host.code])
        self.reserve([host.code], 0, self.scenario.ends_s, 0)

    def _add_forgeries(self) -> None:
        """Cut the power of devices, and forge rows for the silence once they are back, in two ways."""
        for number, host in enumerate(self.draw(NAT, 6 if self.is_long else 2)):
            start_s = self.at(0.02) + 3 * number
            end_s = start_s + (FORGED_S if self.is_long else FORGED_S - SEND_EVERY_S)
            self.add(EventKind.POWER, start_s, end_s, [host.code])
            self.reserve([host.code], 0, self.scenario.ends_s, 0)
            at_s = end_s + (70 if self.is_long else 40) + 2 * number
            forgery = PlannedForgery(at_s, host.code, start_s - 5, end_s, by_clock=number % 2 == 0)
            self.scenario.forgeries.append(forgery)

    def _add_around_failures(self) -> None:
        """Add outages that span our own failures, begin in, end in or are hidden by them."""
        for spell in self.blind:
            start_s, end_s = spell.start_s, spell.start_s + spell.duration_s
            for first_s, last_s in (
                (start_s - 45, end_s + 40),
                (start_s - 50, start_s + 9),
                (start_s + 9, end_s + 50),
                (start_s + 3, end_s - 3),
                (start_s - 12, end_s + 60),
            ):
                for probe in ("icmp", "push"):
                    self._add_anywhere(first_s, last_s, EventKind.OUTAGE, probe)
            self._add_anywhere(start_s - 60, end_s + 60, EventKind.SLOW, "icmp")
        for kill in self.kills:
            over_s = kill.at_s + kill.held_s
            for first_s, last_s in (
                (kill.at_s - 40, over_s + 50),
                (kill.at_s - 6, over_s + 45),
                (kill.at_s + 1, over_s + 50),
                (kill.at_s - 45, over_s + 1),
                (kill.at_s - 18, over_s + 8),
            ):
                for probe in ("icmp", "push"):
                    self._add_anywhere(first_s, last_s, EventKind.OUTAGE, probe)

    def _add_anywhere(self, start_s: float, end_s: float, kind: EventKind, probe: str) -> None:
        """Add an event at some site that is free then."""
        loose = [h for h in self.hosts if h.kind == "access_point" and not h.parent and h.probe == probe]
        for host in self.random.sample(loose, len(loose)):
            if start_s >= QUIET_S and end_s <= self.last_s and self.place(kind, host, start_s, end_s):
                return

    def _add_node_outages(self) -> None:
        """Add outages of nodes: the first across our own failures, some while a child has an outage of its own."""
        cut = [(spell.start_s - 40, spell.start_s + spell.duration_s + 55) for spell in self.blind]
        cut += [(spell.start_s - 60, spell.start_s + spell.duration_s + 8) for spell in self.blind]
        cut += [(kill.at_s - 45, kill.at_s + kill.held_s + 60) for kill in self.kills]
        for number, node in enumerate(host for host in self.hosts if host.kind == "node"):
            family = [node.code, *sorted(self.network.descendants([node.code]))]
            times = [cut[number]] if number < len(cut) else []
            times += [self.draw_time(60, 240) for _ in range(200)]
            self._add_family_outage(family, times, with_child=number % 3 == 2)
            if self.is_long:
                self._add_family_outage(family, times[-100:], with_child=False)

    def _add_family_outage(self, family: list[str], times: list[tuple[float, float]], *, with_child: bool) -> None:
        around_s = 35.0 if with_child else 0.0
        for start_s, end_s in times:
            if start_s - around_s < QUIET_S or end_s + around_s > self.last_s:
                continue
            if self.reserve(family, start_s - around_s, end_s + around_s, APART_S):
                self.add(EventKind.OUTAGE, start_s, end_s, family[:1])
                if with_child:
                    self.add(EventKind.OUTAGE, start_s - around_s, end_s + around_s, family[-1:])
                return

    def _add_mass(self, at_s: float, lasts_s: float, count: int) -> None:
        """Add a loss of many sites of several providers at once, beside others that are out longer or just were."""
        loose = [host.code for host in self.hosts if host.kind == "access_point" and not host.parent]
        self.random.shuffle(loose)
        for start_s, end_s, wanted in (
            (at_s, at_s + lasts_s, count),
            (at_s - 4, min(at_s + 116, self.last_s), count // 8),
            (at_s - 42, at_s - 12, count // 12),
        ):
            members: list[str] = []
            for code in loose:
                if len(members) < wanted and self.reserve([code], start_s, end_s, APART_S):
                    members.append(code)
            if members:
                self.add(EventKind.OUTAGE, start_s, end_s, sorted(members))

    def _add_single(self, kind: EventKind, shortest_s: float, longest_s: float) -> None:
        for _ in range(300):
            host = self.random.choice(self.hosts)
            start_s, end_s = self.draw_time(shortest_s, longest_s)
            if kind is EventKind.LOSS and self._is_hidden(start_s, end_s):
                continue
            if host.kind != "access_point" or host.probe not in PROBES[kind]:
                continue
            if self.place(kind, host, start_s, end_s):
                return

    def _is_hidden(self, start_s: float, end_s: float) -> bool:
        """Return whether one of our failures overlaps."""
        ours = [(kill.at_s, kill.at_s + kill.held_s) for kill in self.kills if kill.child == "worker"]
        ours += [(spell.start_s, spell.start_s + spell.duration_s) for spell in self.blind]
        return any(start_s - 15 < last_s and first_s < end_s + 15 for first_s, last_s in ours)
