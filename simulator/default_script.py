"""The default script: random events without end, about 98% of the sites healthy at any time."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from simulator.host_plan import SimulatedHost
from simulator.script import EventKind, ScriptEvent, SiteSelector

QUIET_S = 15.0  # every site is seen healthy before the first event
BLIND_NOT_BEFORE_S = 600.0

_MIN_SHARED = 5  # sites of one provider in one district
_SHARED_EVERY_S = 720.0
_BLIND_EVERY_S = 2_700.0
_RETRY_S = 60.0

Hosts = Callable[[], Sequence[SimulatedHost]]


@dataclass(frozen=True, slots=True)
class _SiteEvents:
    """Events of single sites: `share` of the sites have one at any time, for `shortest_s` to `longest_s`."""

    kind: EventKind
    share: float
    shortest_s: float
    longest_s: float

    def every_s(self, sites: int) -> float:
        mean_s = (self.longest_s - self.shortest_s) / math.log(self.longest_s / self.shortest_s)
        return mean_s / (self.share * max(sites, 1))


_SITE_EVENTS = (
    _SiteEvents(EventKind.OUTAGE, 0.004, 12.0, 600.0),
    _SiteEvents(EventKind.POWER, 0.002, 60.0, 900.0),
    _SiteEvents(EventKind.LOSS, 0.005, 40.0, 600.0),
    _SiteEvents(EventKind.SLOW, 0.004, 40.0, 600.0),
)


def random_events(seed: int, hosts: Hosts) -> Iterator[ScriptEvent]:
    """Yield events in order of their start, without end; `hosts()` are those present when the next one is drawn."""
    random = Random(seed)
    streams: list[Iterator[ScriptEvent]] = [_single(random, events, hosts) for events in _SITE_EVENTS]
    streams += [_shared(random, hosts), _blind(random)]
    waiting = [next(stream) for stream in streams]
    while True:
        first = min(range(len(waiting)), key=lambda index: waiting[index].start_s)
        yield waiting[first]
        waiting[first] = next(streams[first])


def _single(random: Random, events: _SiteEvents, hosts: Hosts) -> Iterator[ScriptEvent]:
    at_s = QUIET_S
    while True:
        present = hosts()
        at_s += random.expovariate(1 / events.every_s(len(present)))
        if not present:
            at_s += _RETRY_S
        select = SiteSelector(sites=(random.choice(present).code,) if present else ())
        yield _event(random, events, at_s, select)


def _shared(random: Random, hosts: Hosts) -> Iterator[ScriptEvent]:
    """Yield outages of a provider's network in one district, for most of its sites there."""
    at_s = QUIET_S
    while True:
        at_s += random.expovariate(1 / _SHARED_EVERY_S)
        members = Counter((host.provider, host.village_code[:5]) for host in hosts())
        large = sorted(pair for pair, count in members.items() if count >= _MIN_SHARED)
        provider, district = random.choice(large) if large else ("", "")
        select = SiteSelector(provider=provider, region=district, fraction=random.uniform(0.6, 1.0))
        yield ScriptEvent(EventKind.OUTAGE, at_s, random.uniform(60, 300), select)


def _blind(random: Random) -> Iterator[ScriptEvent]:
    at_s = BLIND_NOT_BEFORE_S
    while True:
        at_s += random.expovariate(1 / _BLIND_EVERY_S)
        duration_s = random.uniform(10, 40)
        yield ScriptEvent(EventKind.BLIND, at_s, duration_s)
        at_s += duration_s


def _event(random: Random, events: _SiteEvents, at_s: float, select: SiteSelector) -> ScriptEvent:
    duration_s = events.shortest_s * (events.longest_s / events.shortest_s) ** random.random()
    match events.kind:
        case EventKind.LOSS:
            return ScriptEvent(events.kind, at_s, duration_s, select, loss_pct=random.uniform(15, 70))
        case EventKind.SLOW:
            return ScriptEvent(events.kind, at_s, duration_s, select, rtt_ms=random.uniform(250, 1_400))
    return ScriptEvent(events.kind, at_s, duration_s, select)
