"""The script come to life: its events begin and end in order of time, upon the sites that it selects."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from simulator.default_script import lively
from simulator.host_plan import Host, Plan
from simulator.network_model import Acting, Weather
from simulator.script import Event, EventKind, Script, Select
from simulator.seeded_random import key


@dataclass(frozen=True, slots=True)
class Change:
    acting: Acting
    begins: bool


class Network(Weather):
    """`now_s` counts from the simulator's start; `advance` to a moment before asking verdicts about it."""

    def __init__(self, script: Script, hosts: Iterable[Host] = ()) -> None:
        super().__init__(Plan(script, hosts))
        self.script = script
        self.next_change_s = 0.0  # when `advance` will have something to do
        self._coming: Iterator[tuple[int, Event]] | None = None
        self._next: tuple[int, Event] | None = None
        self._acting: list[Acting] = []

    def advance(self, now_s: float) -> list[Change]:
        """Begins and ends what is due by now, in order of time."""
        if self._coming is None:  # only now: the lively events look at who is there
            self._coming = enumerate(self._events(), 1)
            self._draw()
        changes: list[Change] = []
        while self.next_change_s <= now_s:
            changes += self._step(self.next_change_s)
            self.next_change_s = min([self._next_start_s(), *(acting.end_s for acting in self._acting)])
        if changes:
            self.act([change.acting for change in changes if change.begins], now_s)
        return changes

    def _events(self) -> Iterator[Event]:
        if self.script.lively:
            return lively(self.script.seed, lambda: self.plan.hosts)
        return iter(sorted(self.script.events, key=lambda event: event.start_s))

    def _draw(self) -> None:
        assert self._coming is not None
        self._next = next(self._coming, None)

    def _next_start_s(self) -> float:
        return math.inf if self._next is None else _whole_us(self._next[1].start_s)

    def _step(self, at_s: float) -> list[Change]:
        changes = [Change(acting, begins=False) for acting in self._acting if acting.end_s <= at_s]
        self._acting = [acting for acting in self._acting if acting.end_s > at_s]
        while self._next is not None and self._next_start_s() <= at_s:
            for acting in self._begin(*self._next):
                self._acting.append(acting)
                changes.append(Change(acting, begins=True))
            self._draw()
        return changes

    def _begin(self, number: int, event: Event) -> Iterator[Acting]:
        """Where the electricity goes, what hangs on it loses its link, and that is told by itself."""
        start_s, end_s = _whole_us(event.start_s), _whole_us(event.start_s + event.duration_s)
        matching = sorted(host.code for host in self.plan.hosts if matches(event.select, host))
        if event.select.fraction is not None and matching:
            count = max(1, math.floor(event.select.fraction * len(matching) + 0.5))
            matching.sort(key=lambda code: key(self.script.seed, f"event {number}/{code}"))
            matching = sorted(matching[:count])
        silences = event.kind in {EventKind.OUTAGE, EventKind.POWER}
        behind = sorted(self.plan.behind(matching)) if silences else []
        if event.kind is not EventKind.POWER:
            yield Acting(event, (*matching, *behind), start_s, end_s)
            return
        yield Acting(event, tuple(matching), start_s, end_s)
        if behind:
            yield Acting(replace(event, kind=EventKind.OUTAGE), tuple(behind), start_s, end_s)


def matches(select: Select, host: Host) -> bool:
    return (
        (select.kind is None or select.kind == host.kind)
        and (select.technology is None or select.technology == host.technology)
        and (select.provider is None or select.provider == host.provider)
        and (select.region is None or f"{host.village_code}.".startswith(f"{select.region}."))
        and (select.sites is None or host.code in select.sites)
    )


def _whole_us(seconds: float) -> float:
    return round(seconds * 1e6) / 1e6
