"""How many sites are in each state: of a region, of its children, by technology and by provider."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from app.registry import regions
from app.registry.models import SiteKind, State
from app.status.row import Entry


def summary(entries: Iterable[Entry], region: str) -> dict[str, Any]:
    """Nodes are counted apart: sites hang on them, no village uses one."""
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
        "technologies": [{"technology": name, **_counts(of)} for name, of in sorted(by_technology.items())],
        "providers": [{"provider": slug, **_counts(of)} for slug, of in sorted(by_provider.items())],
    }


def _grouped(entries: Iterable[Entry], key: Callable[[Entry], str]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        found[key(entry)].append(entry)
    return found


def _counts(entries: Sequence[Entry]) -> dict[str, Any]:
    states = Counter(entry.shown.state for entry in entries)
    return {
        "sites": len(entries),
        "states": {state.value: states[state.value] for state in State},
        "maintenance": sum(entry.shown.maintenance for entry in entries),
        "acknowledged": sum(entry.shown.acknowledged for entry in entries),
    }
