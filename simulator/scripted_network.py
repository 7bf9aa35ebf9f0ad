"""A network whose scripted events begin and end in order of time, at the sites that they select."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from simulator.default_script import random_events
from simulator.host_plan import HostPlan, SimulatedHost
from simulator.network_model import ActiveEvent, NetworkModel
from simulator.script import EventKind, Script, ScriptEvent, SiteSelector
from simulator.seeded_random import key


@dataclass(frozen=True, slots=True)
class EventChange:
    active: ActiveEvent
    begins: bool


class ScriptedNetwork(NetworkModel):
    """`now_s` counts from the simulator's start; `advance` to a moment before asking for delays at it."""

    def __init__(self, script: Script, hosts: Iterable[SimulatedHost] = ()) -> None:
        super().__init__(HostPlan(script, hosts))
        self.script = script
        self.next_change_s = 0.0  # when `advance` will have something to do
        self._scheduled: Iterator[tuple[int, ScriptEvent]] | None = None
        self._upcoming: tuple[int, ScriptEvent] | None = None
        self._running: list[ActiveEvent] = []

    def advance(self, now_s: float) -> list[EventChange]:
        """Begin and end the events that are due by now; return these changes in order of time."""
        if self._scheduled is None:  # not before: random events choose among the hosts of this moment
            self._scheduled = enumerate(self._scripted_events(), 1)
            self._draw()
        changes: list[EventChange] = []
        while self.next_change_s <= now_s:
            changes += self._step(self.next_change_s)
            self.next_change_s = min([self._next_start_s(), *(running.end_s for running in self._running)])
        if changes:
            self.begin([change.active for change in changes if change.begins], now_s)
        return changes

    def _scripted_events(self) -> Iterator[ScriptEvent]:
        if self.script.lively:
            return random_events(self.script.seed, lambda: self.plan.hosts)
        return iter(sorted(self.script.events, key=lambda event: event.start_s))

    def _draw(self) -> None:
        assert self._scheduled is not None
        self._upcoming = next(self._scheduled, None)

    def _next_start_s(self) -> float:
        return math.inf if self._upcoming is None else _whole_us(self._upcoming[1].start_s)

    def _step(self, at_s: float) -> list[EventChange]:
        changes = [EventChange(running, begins=False) for running in self._running if running.end_s <= at_s]
        self._running = [running for running in self._running if running.end_s > at_s]
        while self._upcoming is not None and self._next_start_s() <= at_s:
            for begun in self._begin(*self._upcoming):
                self._running.append(begun)
                changes.append(EventChange(begun, begins=True))
            self._draw()
        return changes

    def _begin(self, number: int, event: ScriptEvent) -> Iterator[ActiveEvent]:
        """Yield the event at the selected sites; where they lose power, also an outage of the sites behind them."""
        start_s, end_s = _whole_us(event.start_s), _whole_us(event.start_s + event.duration_s)
        matching = sorted(host.code for host in self.plan.hosts if matches(event.select, host))
        if event.select.fraction is not None and matching:
            count = max(1, math.floor(event.select.fraction * len(matching) + 0.5))
            matching.sort(key=lambda code: key(self.script.seed, f"event {number}/{code}"))
            matching = sorted(matching[:count])
        silences = event.kind in {EventKind.OUTAGE, EventKind.POWER}
        behind = sorted(self.plan.descendants(matching)) if silences else []
        if event.kind is not EventKind.POWER:
            yield ActiveEvent(event, (*matching, *behind), start_s, end_s)
            return
        yield ActiveEvent(event, tuple(matching), start_s, end_s)
        if behind:
            yield ActiveEvent(replace(event, kind=EventKind.OUTAGE), tuple(behind), start_s, end_s)


def matches(select: SiteSelector, host: SimulatedHost) -> bool:
    return (
        (select.kind is None or select.kind == host.kind)
        and (select.technology is None or select.technology == host.technology)
        and (select.provider is None or select.provider == host.provider)
        and (select.region is None or f"{host.village_code}.".startswith(f"{select.region}."))
        and (select.sites is None or host.code in select.sites)
    )


def _whole_us(seconds: float) -> float:
    return round(seconds * 1e6) / 1e6
