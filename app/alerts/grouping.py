"""Which outages are told together: keys of what they may have in common, and groups formed by them. Pure."""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

OFFICE = "office"
MOST_GROUPS = 3  # beyond as many at a time, an office hears of all in one

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Commonality:
    """What sites have in common, as keys of groups; None for what they have not."""

    node: str | None = None  # is down itself, or is what a shared incident's sites hang on
    parent: str | None = None  # the node that a single site hangs on
    provider_district: str | None = None
    provider: str | None = None
    district: str | None = None
    condition: str | None = None  # of what is no outage: told by kind

    @property
    def keys(self) -> tuple[str, ...]:
        """Those of the groups that it may join, the narrowest first."""
        if self.condition is not None:
            return (self.condition,)
        narrow = (self.node, self.parent, self.provider_district)
        return tuple(key for key in (*narrow, *self.wide_keys) if key is not None)

    @property
    def wide_keys(self) -> tuple[str | None, ...]:
        return self.provider, self.district, OFFICE


def commonality_of(
    sites: Iterable[tuple[int, str]], *, node: int | None = None, parent: int | None = None
) -> Commonality:
    """`sites`: the provider and village of each."""
    pairs = {(provider, village[:5]) for provider, village in sites}
    providers, districts = {provider for provider, _ in pairs}, {district for _, district in pairs}
    provider = f"provider:{next(iter(providers))}" if len(providers) == 1 else None
    district = next(iter(districts)) if len(districts) == 1 else None
    return Commonality(
        node=f"node:{node}" if node is not None else None,
        parent=f"node:{parent}" if parent is not None else None,
        provider_district=f"{provider}:{district}" if provider and district else None,
        provider=provider,
        district=f"district:{district}" if district else None,
    )


def form_groups(things: Mapping[T, Commonality], *, recent: Collection[str] = ()) -> dict[str, list[T]]:
    """Return new groups by key, as few as the causes allow.

    1. By node, else by provider and district, else by what is left in common.
    2. More than one of a provider, with the `recent` ones of this channel: by provider.
    3. More than MOST_GROUPS with the recent ones: one, of the district that all are in, or of the office.
    """
    nodes = {each.node for each in things.values() if each.node is not None}
    keys = {thing: _narrowest(each, nodes) for thing, each in things.items()}
    by_provider: dict[str, set[str]] = defaultdict(set)
    for key in (*recent, *keys.values()):
        by_provider[":".join(key.split(":")[:2])].add(key)
    for thing, each in things.items():
        if each.provider is not None and keys[thing] == each.provider_district and len(by_provider[each.provider]) > 1:
            keys[thing] = each.provider
    outages = [thing for thing, each in things.items() if each.condition is None]
    known = {key for key in recent if is_of_outages(key)}
    if len({keys[thing] for thing in outages} | known) > MOST_GROUPS:
        districts = {things[thing].district for thing in outages}
        common = next(iter(districts)) if len(districts) == 1 else None
        keys |= dict.fromkeys(outages, common or OFFICE)
    groups: dict[str, list[T]] = defaultdict(list)
    for thing, key in keys.items():
        groups[key].append(thing)
    return dict(groups)


def is_of_outages(key: str) -> bool:
    return key == OFFICE or key.startswith(("node:", "provider:", "district:"))


def _narrowest(each: Commonality, nodes: Collection[str]) -> str:
    if each.condition is not None:
        return each.condition
    parent = each.parent if each.parent in nodes else None
    return each.node or parent or each.provider_district or each.provider or each.district or OFFICE
