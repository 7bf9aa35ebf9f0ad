"""A storm of outages for the simulator: single ones, shared ones and a tower, apart enough to share no cause by chance.

Known from the simulator's plan of villages and towers alone: nothing of the service is asked.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

from app.registry.regions import REGIONS_CSV
from simulator.towers import towers
from simulator.villages import villages

INTERVAL_S = 5
LEAST_SHARED, SHARED_PCT = 5, 30  # sites of a provider in a district that are down within minutes share a cause
TECHNOLOGIES = ("fiber", "radio", "cellular", "leo", "geo")


@dataclass(frozen=True, slots=True)
class StormSite:
    code: str
    name: str
    village: str
    technology: str
    provider: str

    @property
    def group(self) -> tuple[str, str]:
        return self.provider, self.village[:5]


@dataclass(frozen=True, slots=True)
class PlannedOutage:
    """`members`: the sites whose outage it is; `cut_off`: those behind a tower that fails."""

    members: tuple[StormSite, ...]
    start_s: float
    duration_s: float
    maintained: bool = False  # all of it within maintenance
    cut_off: tuple[StormSite, ...] = ()

    @property
    def affected(self) -> tuple[StormSite, ...]:
        return self.members + self.cut_off

    @property
    def shared(self) -> bool:
        return len(self.members) > 1

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s


@dataclass(frozen=True, slots=True)
class StormPlan:
    sites: int
    nodes: int
    outages: Sequence[PlannedOutage]

    @property
    def start_s(self) -> float:
        return min(outage.start_s for outage in self.outages)

    @property
    def end_s(self) -> float:
        return max(outage.end_s for outage in self.outages)

    @property
    def script(self) -> str:
        """Return the script for `sinyal demo --script`. Healthy links lose nothing."""
        head = [f"interval_s = {INTERVAL_S}", f"sites = {self.sites}", f"nodes = {self.nodes}"]
        links = [f"[technology.{technology}]\nloss_pct = 0\nrtt_ms = 40" for technology in TECHNOLOGIES]
        return "\n".join([*head, *links, *map(_event, self.outages)])


def _event(outage: PlannedOutage) -> str:
    codes = ", ".join(f'"{member.code}"' for member in outage.members)
    return (
        f'[[event]]\nkind = "outage"\nstart_s = {outage.start_s:.1f}\nduration_s = {outage.duration_s:.1f}\n'
        f"select = {{ sites = [{codes}] }}"
    )


def plan_storm(
    *,
    sites: int,
    nodes: int,
    singles: int,
    maintained: int,
    start_s: float,
    window_s: float,
    lasts_s: Sequence[tuple[float, float]],
    seed: int = 1,
) -> StormPlan:
    """Two causes shared by a provider's sites in a district, a tower, and single outages, some within maintenance.

    Each site fails once. Single outages keep away from what is shared, and stay too few to share a cause themselves.
    `lasts_s`: ranges of durations; what is shared lasts longest.
    """
    random = Random(seed)
    access_points = [_member(fields, 1) for fields in villages(REGIONS_CSV, sites)]
    built = towers(REGIONS_CSV, villages(REGIONS_CSV, sites), nodes)
    nodes_of = [_member(tower.fields, 2) for tower in built]
    behind = {address for tower in built for address in tower.children}
    addresses = {f"{fields['village_code']}-01": fields["host"] for fields in villages(REGIONS_CSV, sites)}
    groups: dict[tuple[str, str], list[StormSite]] = defaultdict(list)
    for member in access_points:
        groups[member.group].append(member)
    free = {key: [one for one in of if addresses[one.code] not in behind] for key, of in groups.items()}
    shared = _choose_groups(groups, free, {node.group for node in nodes_of}, random)
    at = [start_s + window_s * share for share in (0.0, 0.25, 0.5)]
    outages = [
        PlannedOutage(tuple(free[key][: _enough(len(groups[key])) + 2]), start, lasts_s[-1][1])
        for key, start in zip(shared, at, strict=False)
    ]
    for node, tower in list(zip(nodes_of, built, strict=True))[:1]:
        cut_off = tuple(one for one in access_points if addresses[one.code] in tower.children)
        outages.append(PlannedOutage((node,), at[2], lasts_s[-1][1], cut_off=cut_off))
    candidates = [
        member
        for key, of in free.items()
        if key not in shared
        for member in random.sample(of, min(len(of), _enough(len(groups[key])) - 2))
    ]
    chosen = random.sample(candidates, singles)
    starts = [start_s + window_s * number / singles for number in range(singles)]
    outages += [
        PlannedOutage((member,), start, random.uniform(*random.choice(lasts_s)), maintained=number < maintained)
        for number, (member, start) in enumerate(zip(chosen, random.sample(starts, singles), strict=True))
    ]
    return StormPlan(sites, nodes, outages)


def _enough(size: int) -> int:
    """Return how many sites of a group of this size share a cause."""
    return max(LEAST_SHARED, math.ceil(size * SHARED_PCT / 100))


def _choose_groups(
    groups: dict[tuple[str, str], list[StormSite]],
    free: dict[tuple[str, str], list[StormSite]],
    taken: Iterable[tuple[str, str]],
    random: Random,
) -> list[tuple[str, str]]:
    """Return two groups, of different providers and districts where there are such."""
    able = sorted(key for key, of in groups.items() if len(free[key]) >= _enough(len(of)) + 2 and len(of) <= 40)
    able = [key for key in able if key not in set(taken)]
    random.shuffle(able)
    pairs = [(one, other) for one in able for other in able if one[0] != other[0] and one[1] != other[1]]
    return list(pairs[0])


def _member(fields: dict[str, object], number: int) -> StormSite:
    village, technology, provider = (str(fields[name]) for name in ("village_code", "technology", "provider"))
    return StormSite(f"{village}-{number:02}", str(fields["name"]), village, technology, provider)
