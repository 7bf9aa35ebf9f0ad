"""Count sites by state: of a region, its children, by technology and by provider."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from app.registry import regions
from app.registry.models import SiteKind, State
from app.status.row import StatusEntry


def summarise(entries: Iterable[StatusEntry], region: str) -> dict[str, Any]:
    """Nodes are counted apart from the sites: no village uses one."""
    by_kind = _grouped(entries, lambda entry: entry.site.kind)
    sites = by_kind[SiteKind.ACCESS_POINT]
    names = regions.names()
    children = regions.children(region)
    length = len(children[0]) if children else 0
    by_child = _grouped(sites, lambda entry: entry.site.village_code[:length])
    by_technology = _grouped(sites, lambda entry: entry.site.technology)
    by_provider = _grouped(sites, lambda entry: entry.site.provider)
    return {
        "region": {"code": region, "name": names[region], **_counts(sites)},
        "nodes": _counts(by_kind[SiteKind.NODE]),
        "children": [{"code": code, "name": names[code], **_counts(by_child[code])} for code in children],
        "technologies": [{"technology": name, **_counts(group)} for name, group in sorted(by_technology.items())],
        "providers": [{"provider": slug, **_counts(group)} for slug, group in sorted(by_provider.items())],
    }


def _grouped(entries: Iterable[StatusEntry], key: Callable[[StatusEntry], str]) -> dict[str, list[StatusEntry]]:
    groups: dict[str, list[StatusEntry]] = defaultdict(list)
    for entry in entries:
        groups[key(entry)].append(entry)
    return groups


def _counts(entries: Sequence[StatusEntry]) -> dict[str, Any]:
    states = Counter(entry.published.state for entry in entries)
    return {
        "sites": len(entries),
        "states": {state.value: states[state.value] for state in State},
        "maintenance": sum(entry.published.maintenance for entry in entries),
        "acknowledged": sum(entry.published.acknowledged for entry in entries),
    }
