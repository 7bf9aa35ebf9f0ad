"""What befell the villages: drawn once for a whole stretch of the past, the same for the same seed and sites."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from app.core.clock import WITA, from_slot, midnight, to_slot
from app.judging.blind_ranges import BlindRange
from probes.contract import CENTRAL
from simulator.script import EventKind

DAY_S, HOUR_S = 86_400, 3_600
WEAK_POWER = 0.1  # of the villages go dark in the evening
DAILY = 0.25  # of those nearly every evening, the others now and then
_SHARED_LEAST = 5  # sites of one provider in one district
_FAR = ("geo", "leo")


@dataclass(frozen=True, slots=True)
class Subject:
    """A site, as far as its fortunes go."""

    id: int
    code: str
    host: str
    village_code: str
    provider_id: int
    technology: str
    power_source: str | None
    parent_id: int | None
    source: str = CENTRAL


@dataclass(frozen=True, slots=True)
class Spell:
    """From `start` to before `end` (slots) every look at a site finds this."""

    kind: EventKind
    start: int
    end: int
    loss_pct: float = 0.0
    rtt_ms: float = 0.0


Spells = dict[int, list[Spell]]


def draw(seed: int, subjects: Sequence[Subject], start: int, end: int) -> Spells:
    """By site, in the order of their starts; outages of one site never overlap."""
    found: Spells = defaultdict(list)
    for subject in subjects:
        random = Random(f"{seed}/{subject.code}")
        found[subject.id] += _own(random, subject, start, end)
    for site_id, spell in _shared(Random(f"{seed}/shared"), subjects, start, end):
        found[site_id].append(spell)
    return {site_id: list(apart(spells, end)) for site_id, spells in under_towers(subjects, found).items()}


def blind(seed: int, start: int, end: int) -> list[BlindRange]:
    """Our own failures: the uplink a few times a week, a stop now and then. Never near the end."""
    random, found = Random(f"{seed}/blind"), []
    at = start + HOUR_S
    while (at := at + int(random.expovariate(1 / (2.5 * DAY_S)))) < end - 2 * HOUR_S:
        stopped = random.random() < 0.25
        lasts = random.randint(30, 900) if stopped else random.randint(15, 240)
        found.append(BlindRange(from_slot(at), from_slot(at + lasts), "stopped" if stopped else "uplink"))
        at += lasts + HOUR_S
    return found


def _own(random: Random, subject: Subject, start: int, end: int) -> Iterator[Spell]:
    yield from _outages(random, start, end, every_s=40 * DAY_S, typical_s=900, most_s=8 * HOUR_S)
    yield from _outages(random, start, end, every_s=40 * DAY_S, typical_s=20, most_s=70)
    if random.random() < 0.004:  # silent for days
        at = random.randint(start, end)
        yield Spell(EventKind.OUTAGE, at, at + random.randint(2 * DAY_S, 9 * DAY_S))
    if subject.parent_id is None and random.random() < WEAK_POWER * (1 if subject.power_source == "pln" else 2):
        yield from _dark_evenings(random, start, end, often=0.85 if random.random() < DAILY else 0.12)
    if subject.technology in _FAR:
        slow_ms = 1_700.0 if subject.technology == "geo" else 420.0
        for low, high in _evenings(random, start, end, often=0.04, shortest_s=1_200, longest_s=3 * HOUR_S):
            yield Spell(EventKind.SLOW, low, high, rtt_ms=slow_ms * random.uniform(0.9, 1.4))
    if subject.technology == "cellular":
        for low, high in _evenings(random, start, end, often=0.06, shortest_s=900, longest_s=5_400):
            yield Spell(EventKind.LOSS, low, high, loss_pct=random.uniform(30, 60))


def _outages(random: Random, start: int, end: int, *, every_s: float, typical_s: int, most_s: int) -> Iterator[Spell]:
    at = start
    while (at := at + int(random.expovariate(1 / every_s)) + 1) < end:
        lasts = min(int(random.lognormvariate(0, 1.1) * typical_s) + 5, most_s)
        yield Spell(EventKind.OUTAGE, at, at + lasts)
        at += lasts


def _dark_evenings(random: Random, start: int, end: int, *, often: float) -> Iterator[Spell]:
    for low, high in _evenings(random, start, end, often=often, shortest_s=HOUR_S, longest_s=5 * HOUR_S):
        yield Spell(EventKind.OUTAGE, low, high)


def _evenings(
    random: Random, start: int, end: int, *, often: float, shortest_s: int, longest_s: int
) -> Iterator[tuple[int, int]]:
    """Stretches that begin between 17:30 and 20:30 WITA."""
    day, usual = from_slot(start).astimezone(WITA).date(), random.uniform(17.5, 20.0)
    while (low := to_slot(midnight(day)) + int((usual + random.uniform(0, 0.5)) * HOUR_S)) < end:
        if low > start and random.random() < often:
            yield low, low + random.randint(shortest_s, longest_s)
        day += timedelta(days=1)


def _shared(random: Random, subjects: Sequence[Subject], start: int, end: int) -> Iterator[tuple[int, Spell]]:
    """A provider's network fails in one district, for most of its sites there: a few times a month."""
    members: dict[tuple[int, str], list[int]] = defaultdict(list)
    for one in subjects:
        members[one.provider_id, one.village_code[:5]].append(one.id)
    large = sorted(pair for pair, ids in members.items() if len(ids) >= _SHARED_LEAST)
    at = start
    while large and (at := at + int(random.expovariate(1 / (8 * DAY_S))) + 1) < end:
        hit, share = random.choice(large), random.uniform(0.6, 1.0)
        lasts = random.randint(300, 2 * HOUR_S)
        for site_id in members[hit]:
            if random.random() < share:
                yield site_id, Spell(EventKind.OUTAGE, at, at + lasts)


def under_towers(subjects: Sequence[Subject], spells: Spells) -> Spells:
    """What hangs on a tower is out while the tower is, or what that hangs on."""
    parents = {one.id: one.parent_id for one in subjects}
    found: Spells = {}
    for site_id in parents:
        found[site_id], above, steps = list(spells.get(site_id, ())), parents[site_id], 0
        while above is not None and steps < len(parents):
            found[site_id] += [spell for spell in spells.get(above, ()) if spell.kind is EventKind.OUTAGE]
            above, steps = parents.get(above), steps + 1
    return found


def apart(spells: Sequence[Spell], end: int) -> Iterator[Spell]:
    """Outages that touch are one; what is loss or slowness may lie under them."""
    outages: list[Spell] = []
    for spell in sorted(spells, key=lambda one: (one.start, one.end)):
        spell = Spell(spell.kind, spell.start, min(spell.end, end), spell.loss_pct, spell.rtt_ms)
        if spell.kind is not EventKind.OUTAGE:
            yield spell
        elif outages and spell.start <= outages[-1].end:
            last = outages.pop()
            outages.append(Spell(spell.kind, last.start, max(last.end, spell.end)))
        else:
            outages.append(spell)
    yield from outages
