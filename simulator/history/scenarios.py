"""Draw the outages, losses and slow spells of a simulated past: the same for the same seed and sites."""

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
WEAK_POWER_SHARE = 0.1  # of the villages lose electricity in the evening
DAILY_SHARE = 0.25  # of those nearly every evening, the others now and then
_MIN_SHARED = 5  # sites of one provider in one district
_SATELLITE = ("geo", "leo")


@dataclass(frozen=True, slots=True)
class HistorySite:
    """What decides a site's episodes."""

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
class Episode:
    """Something that happens to a site from `start` to before `end` (slots)."""

    kind: EventKind
    start: int
    end: int
    loss_pct: float = 0.0
    rtt_ms: float = 0.0


Episodes = dict[int, list[Episode]]


def draw_episodes(seed: int, sites: Sequence[HistorySite], start: int, end: int) -> Episodes:
    """Return the episodes by site, in the order of their starts; outages of one site never overlap."""
    by_site: Episodes = defaultdict(list)
    for site in sites:
        random = Random(f"{seed}/{site.code}")
        by_site[site.id] += _site_episodes(random, site, start, end)
    for site_id, episode in _shared_outages(Random(f"{seed}/shared"), sites, start, end):
        by_site[site_id].append(episode)
    return {
        site_id: list(merge_outages(episodes, end)) for site_id, episodes in with_tower_outages(sites, by_site).items()
    }


def draw_blind_ranges(seed: int, start: int, end: int) -> list[BlindRange]:
    """Draw our own failures: the uplink a few times a week, a stop now and then, never near the end."""
    random, ranges = Random(f"{seed}/blind"), []
    at = start + HOUR_S
    while (at := at + int(random.expovariate(1 / (2.5 * DAY_S)))) < end - 2 * HOUR_S:
        stopped = random.random() < 0.25
        duration_s = random.randint(30, 900) if stopped else random.randint(15, 240)
        ranges.append(BlindRange(from_slot(at), from_slot(at + duration_s), "stopped" if stopped else "uplink"))
        at += duration_s + HOUR_S
    return ranges


def _site_episodes(random: Random, site: HistorySite, start: int, end: int) -> Iterator[Episode]:
    yield from _outages(random, start, end, every_s=40 * DAY_S, typical_s=900, most_s=8 * HOUR_S)
    yield from _outages(random, start, end, every_s=40 * DAY_S, typical_s=20, most_s=70)
    if random.random() < 0.004:  # silent for days
        at = random.randint(start, end)
        yield Episode(EventKind.OUTAGE, at, at + random.randint(2 * DAY_S, 9 * DAY_S))
    if site.parent_id is None and random.random() < WEAK_POWER_SHARE * (1 if site.power_source == "pln" else 2):
        yield from _dark_evenings(random, start, end, often=0.85 if random.random() < DAILY_SHARE else 0.12)
    if site.technology in _SATELLITE:
        slow_ms = 1_700.0 if site.technology == "geo" else 420.0
        for low, high in _evenings(random, start, end, often=0.04, shortest_s=1_200, longest_s=3 * HOUR_S):
            yield Episode(EventKind.SLOW, low, high, rtt_ms=slow_ms * random.uniform(0.9, 1.4))
    if site.technology == "cellular":
        for low, high in _evenings(random, start, end, often=0.06, shortest_s=900, longest_s=5_400):
            yield Episode(EventKind.LOSS, low, high, loss_pct=random.uniform(30, 60))


def _outages(random: Random, start: int, end: int, *, every_s: float, typical_s: int, most_s: int) -> Iterator[Episode]:
    at = start
    while (at := at + int(random.expovariate(1 / every_s)) + 1) < end:
        duration_s = min(int(random.lognormvariate(0, 1.1) * typical_s) + 5, most_s)
        yield Episode(EventKind.OUTAGE, at, at + duration_s)
        at += duration_s


def _dark_evenings(random: Random, start: int, end: int, *, often: float) -> Iterator[Episode]:
    for low, high in _evenings(random, start, end, often=often, shortest_s=HOUR_S, longest_s=5 * HOUR_S):
        yield Episode(EventKind.OUTAGE, low, high)


def _evenings(
    random: Random, start: int, end: int, *, often: float, shortest_s: int, longest_s: int
) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of spells that begin between 17:30 and 20:30 WITA."""
    day, usual = from_slot(start).astimezone(WITA).date(), random.uniform(17.5, 20.0)
    while (low := to_slot(midnight(day)) + int((usual + random.uniform(0, 0.5)) * HOUR_S)) < end:
        if low > start and random.random() < often:
            yield low, low + random.randint(shortest_s, longest_s)
        day += timedelta(days=1)


def _shared_outages(
    random: Random, sites: Sequence[HistorySite], start: int, end: int
) -> Iterator[tuple[int, Episode]]:
    """Yield outages of a provider's network in one district, for most of its sites there: a few times a month."""
    members: dict[tuple[int, str], list[int]] = defaultdict(list)
    for site in sites:
        members[site.provider_id, site.village_code[:5]].append(site.id)
    large = sorted(pair for pair, ids in members.items() if len(ids) >= _MIN_SHARED)
    at = start
    while large and (at := at + int(random.expovariate(1 / (8 * DAY_S))) + 1) < end:
        hit, share = random.choice(large), random.uniform(0.6, 1.0)
        duration_s = random.randint(300, 2 * HOUR_S)
        for site_id in members[hit]:
            if random.random() < share:
                yield site_id, Episode(EventKind.OUTAGE, at, at + duration_s)


def with_tower_outages(sites: Sequence[HistorySite], episodes: Episodes) -> Episodes:
    """Add to each site the outages of the towers above it."""
    parents = {site.id: site.parent_id for site in sites}
    by_site: Episodes = {}
    for site_id in parents:
        by_site[site_id], above, steps = list(episodes.get(site_id, ())), parents[site_id], 0
        while above is not None and steps < len(parents):
            by_site[site_id] += [episode for episode in episodes.get(above, ()) if episode.kind is EventKind.OUTAGE]
            above, steps = parents.get(above), steps + 1
    return by_site


def merge_outages(episodes: Sequence[Episode], end: int) -> Iterator[Episode]:
    """Merge outages that touch or overlap; losses and slow spells may overlap with them."""
    outages: list[Episode] = []
    for episode in sorted(episodes, key=lambda episode: (episode.start, episode.end)):
        episode = Episode(episode.kind, episode.start, min(episode.end, end), episode.loss_pct, episode.rtt_ms)
        if episode.kind is not EventKind.OUTAGE:
            yield episode
        elif outages and episode.start <= outages[-1].end:
            last = outages.pop()
            outages.append(Episode(episode.kind, last.start, max(last.end, episode.end)))
        else:
            outages.append(episode)
    yield from outages
