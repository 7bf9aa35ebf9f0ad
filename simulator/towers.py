"""The demo's nodes: a tower in each kecamatan with the most eligible villages, and the villages behind it.

Fibre, radio and mobile links run over a tower; a satellite dish does not.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.villages import draw

Fields = Mapping[str, Any]

_CHILDREN_SHARE = 0.7  # of an area's eligible villages are behind its tower
_MIN_VILLAGES = 2  # eligible villages for a tower: one behind it, one that houses it
_TOWER_OCTET = 254  # the tower's address within its kecamatan; villages count up from 1
_OVER_TOWER = ("fiber", "radio", "cellular")
_MBPS = {"fiber": 1000.0, "radio": 300.0, "cellular": 100.0}


@dataclass(frozen=True, slots=True)
class Tower:
    fields: dict[str, Any]  # as `POST /sites` takes them
    children: frozenset[str]  # addresses of the villages behind it


def towers(regions: Path, sites: Sequence[Fields], count: int) -> list[Tower]:
    """Return at most `count` towers, the areas with most eligible villages first; `sites` are as for `POST /sites`.

    The village that houses a tower is not behind it, so that it can be registered before.
    """
    areas: dict[str, list[Fields]] = defaultdict(list)
    for site in sites:
        if site["technology"] in _OVER_TOWER:
            areas[site["village_code"][:8]].append(site)
    large = [code for code in areas if len(areas[code]) >= _MIN_VILLAGES]
    chosen = sorted(large, key=lambda code: (-len(areas[code]), code))[:count]
    names = _names(regions) if chosen else {}
    return [_tower(code, names[code], areas[code]) for code in chosen]


def _tower(area: str, name: str, villages: Sequence[Fields]) -> Tower:
    by_draw = sorted(villages, key=lambda site: draw(site["village_code"], "tower"))
    children = by_draw[: max(1, int(_CHILDREN_SHARE * len(villages)))]
    home = by_draw[-1]
    technology = _most_common([site["technology"] for site in children])
    _, district, subdistrict = area.split(".")
    fields = {
        "kind": "node",
        "village_code": home["village_code"],
        "name": f"Menara {name}",
        "host": f"127.{int(district)}.{int(subdistrict)}.{_TOWER_OCTET}",
        "host_static": True,
        "technology": technology,
        "provider": _most_common([site["provider"] for site in children if site["technology"] == technology]),
        "latitude": home["latitude"],
        "longitude": home["longitude"],
        "power_source": "pln",
        "bandwidth_down_mbps": _MBPS[technology],
        "bandwidth_up_mbps": _MBPS[technology],
        "probe": "icmp",
        "lifecycle": "active",
    }
    return Tower(fields, frozenset(site["host"] for site in children))


def _most_common(words: Sequence[str]) -> str:
    """Return the most common word, the first in the alphabet of equals."""
    return min(Counter(words).items(), key=lambda item: (-item[1], item[0]))[0]


def _names(regions: Path) -> dict[str, str]:
    with regions.open(encoding="utf-8", newline="") as file:
        return {row["code"]: row["name"] for row in csv.DictReader(file) if row["level"] == "kecamatan"}
