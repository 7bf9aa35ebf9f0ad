"""What becomes of a packet: how late its answer is, or that there is none. No clock inside: time comes in."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from simulator.chance import key, mix
from simulator.lively import lively
from simulator.plan import Host, Link, Plan, packed
from simulator.script import Event, EventKind, Script, Select

LINGER_S = 5.0  # an ended event is remembered for packets that came before its end but are looked at after


@dataclass(frozen=True, slots=True)
class Acting:
    """An event under way: its sites are settled at its start, its bounds are whole microseconds.

    `codes` are the selected sites, and after them those that an outage silences because they hang on these.
    """

    event: Event
    codes: tuple[str, ...]
    start_s: float
    end_s: float

    def holds(self, now_s: float) -> bool:
        return self.start_s <= now_s < self.end_s


@dataclass(frozen=True, slots=True)
class Change:
    acting: Acting
    begins: bool


class Network:
    """`now_s` counts from the simulator's start; `advance` to a moment before asking verdicts about it."""

    def __init__(self, script: Script, hosts: Iterable[Host] = ()) -> None:
        self.script = script
        self.plan = Plan(script, hosts)
        self.next_change_s = 0.0  # when `advance` will have something to do
        self._coming: Iterator[tuple[int, Event]] | None = None
        self._next: tuple[int, Event] | None = None
        self._acting: list[Acting] = []
        self._ended: list[Acting] = []
        self._blind: list[Acting] = []
        self._upon: dict[bytes, list[Acting]] = {}

    def adopt(self, plan: Plan) -> None:
        """Takes over another registry; events under way stay with the sites they began with."""
        self.plan = plan
        self._spread()

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
            self._ended = [acting for acting in self._ended if acting.end_s > now_s - LINGER_S]
            self._spread()
        return changes

    def verdict(self, address: str | bytes, now_s: float, packet: int) -> float | None:
        """Seconds until the answer to the `packet`-th echo request of this address, or None: no answer."""
        where = packed(address) if isinstance(address, str) else address
        link = self.plan.links.get(where)
        if link is None or any(acting.holds(now_s) for acting in self._blind):
            return None
        acting = [acting.event for acting in self._upon.get(where, ()) if acting.holds(now_s)]
        return _fate(link, acting, mix(link.key, packet))

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
        ended = [acting for acting in self._acting if acting.end_s <= at_s]
        self._acting = [acting for acting in self._acting if acting.end_s > at_s]
        self._ended += ended
        changes = [Change(acting, begins=False) for acting in ended]
        while self._next is not None and self._next_start_s() <= at_s:
            acting = self._begin(*self._next)
            self._acting.append(acting)
            changes.append(Change(acting, begins=True))
            self._draw()
        return changes

    def _begin(self, number: int, event: Event) -> Acting:
        matching = sorted(host.code for host in self.plan.hosts if matches(event.select, host))
        if event.select.fraction is not None and matching:
            count = max(1, math.floor(event.select.fraction * len(matching) + 0.5))
            matching.sort(key=lambda code: key(self.script.seed, f"event {number}/{code}"))
            matching = sorted(matching[:count])
        behind = sorted(self.plan.behind(matching)) if event.kind is EventKind.OUTAGE else []
        end_s = _whole_us(event.start_s + event.duration_s)
        return Acting(event, (*matching, *behind), _whole_us(event.start_s), end_s)

    def _spread(self) -> None:
        """Lays the events upon the addresses where their sites are found now."""
        told = [*self._ended, *self._acting]
        self._blind = [acting for acting in told if acting.event.kind is EventKind.BLIND]
        self._upon = {}
        for acting in told:
            for code in acting.codes if acting.event.kind is not EventKind.BLIND else ():
                if (address := self.plan.addresses.get(code)) is not None:
                    self._upon.setdefault(address, []).append(acting)


def matches(select: Select, host: Host) -> bool:
    return (
        (select.kind is None or select.kind == host.kind)
        and (select.technology is None or select.technology == host.technology)
        and (select.provider is None or select.provider == host.provider)
        and (select.region is None or f"{host.village_code}.".startswith(f"{select.region}."))
        and (select.sites is None or host.code in select.sites)
    )


def _fate(link: Link, events: list[Event], chance: int) -> float | None:
    """An outage beats all; of several losses or delays the worst counts."""
    if any(event.kind is EventKind.OUTAGE for event in events):
        return None
    loss_pct = max([link.loss_pct, *(event.loss_pct for event in events if event.loss_pct is not None)])
    if link.loses(loss_pct, chance):
        return None
    slow_ms = max((event.rtt_ms for event in events if event.rtt_ms is not None), default=link.rtt_ms)
    return link.delay_ms(slow_ms, chance) / 1_000


def _whole_us(seconds: float) -> float:
    return round(seconds * 1e6) / 1e6
