"""The default life of the villages: random events without end, about 98% of the sites healthy at any time."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from simulator.host_plan import Host
from simulator.script import Event, EventKind, Select

QUIET_S = 15.0  # every site is seen well before the first event
BLIND_NOT_BEFORE_S = 600.0

_SHARED_LEAST = 5  # sites of one provider in one district
_SHARED_EVERY_S = 720.0
_BLIND_EVERY_S = 2_700.0
_AGAIN_S = 60.0

Hosts = Callable[[], Sequence[Host]]


@dataclass(frozen=True, slots=True)
class _Spell:
    """What befalls single sites: `share` of them have it at any time, for `shortest_s` to `longest_s`."""

    kind: EventKind
    share: float
    shortest_s: float
    longest_s: float

    def every_s(self, sites: int) -> float:
        mean_s = (self.longest_s - self.shortest_s) / math.log(self.longest_s / self.shortest_s)
        return mean_s / (self.share * max(sites, 1))


_SPELLS = (
    _Spell(EventKind.OUTAGE, 0.004, 12.0, 600.0),
    _Spell(EventKind.POWER, 0.002, 60.0, 900.0),
    _Spell(EventKind.LOSS, 0.005, 40.0, 600.0),
    _Spell(EventKind.SLOW, 0.004, 40.0, 600.0),
)


def lively(seed: int, hosts: Hosts) -> Iterator[Event]:
    """Events in order of their start, endless; `hosts` tells who is there when the next one is drawn."""
    random = Random(seed)
    streams: list[Iterator[Event]] = [_single(random, spell, hosts) for spell in _SPELLS]
    streams += [_shared(random, hosts), _blind(random)]
    waiting = [next(stream) for stream in streams]
    while True:
        first = min(range(len(waiting)), key=lambda index: waiting[index].start_s)
        yield waiting[first]
        waiting[first] = next(streams[first])


def _single(random: Random, spell: _Spell, hosts: Hosts) -> Iterator[Event]:
    at_s = QUIET_S
    while True:
        there = hosts()
        at_s += random.expovariate(1 / spell.every_s(len(there)))
        if not there:
            at_s += _AGAIN_S
        select = Select(sites=(random.choice(there).code,) if there else ())
        yield _event(random, spell, at_s, select)


def _shared(random: Random, hosts: Hosts) -> Iterator[Event]:
    """A provider's network fails in one district, for most of its sites there."""
    at_s = QUIET_S
    while True:
        at_s += random.expovariate(1 / _SHARED_EVERY_S)
        members = Counter((host.provider, host.village_code[:5]) for host in hosts())
        large = sorted(pair for pair, count in members.items() if count >= _SHARED_LEAST)
        provider, district = random.choice(large) if large else ("", "")
        select = Select(provider=provider, region=district, fraction=random.uniform(0.6, 1.0))
        yield Event(EventKind.OUTAGE, at_s, random.uniform(60, 300), select)


def _blind(random: Random) -> Iterator[Event]:
    at_s = BLIND_NOT_BEFORE_S
    while True:
        at_s += random.expovariate(1 / _BLIND_EVERY_S)
        duration_s = random.uniform(10, 40)
        yield Event(EventKind.BLIND, at_s, duration_s)
        at_s += duration_s


def _event(random: Random, spell: _Spell, at_s: float, select: Select) -> Event:
    duration_s = spell.shortest_s * (spell.longest_s / spell.shortest_s) ** random.random()
    match spell.kind:
        case EventKind.LOSS:
            return Event(spell.kind, at_s, duration_s, select, loss_pct=random.uniform(15, 70))
        case EventKind.SLOW:
            return Event(spell.kind, at_s, duration_s, select, rtt_ms=random.uniform(250, 1_400))
    return Event(spell.kind, at_s, duration_s, select)
