"""The demo's nodes: a tower in each of the fullest kecamatan, and which villages hang on it.

Fibre and mobile links run over a tower; a dish on the village office's roof does not.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.villages import draw

Fields = Mapping[str, Any]

_SHARE = 0.7  # of an area's villages that could hang on its tower do
_LEAST = 2  # such villages make an area worth a tower: one hangs on it, one houses it
_HOUSE = 254  # the tower's address within its kecamatan; villages count up from 1
_CARRIED = ("fiber", "radio", "cellular")
_MBPS = {"fiber": 1000.0, "radio": 300.0, "cellular": 100.0}


@dataclass(frozen=True, slots=True)
class Tower:
    fields: dict[str, Any]  # as `POST /sites` takes them
    children: frozenset[str]  # addresses of the villages that hang on it


def towers(regions: Path, sites: Sequence[Fields], count: int) -> list[Tower]:
    """At most `count`, the fullest areas first; `sites` are villages as `POST /sites` takes them.

    The village that houses a tower does not hang on it, so each village's own site can be registered before.
    """
    areas: dict[str, list[Fields]] = defaultdict(list)
    for site in sites:
        if site["technology"] in _CARRIED:
            areas[site["village_code"][:8]].append(site)
    large = [code for code in areas if len(areas[code]) >= _LEAST]
    fullest = sorted(large, key=lambda code: (-len(areas[code]), code))[:count]
    names = _names(regions) if fullest else {}
    return [_tower(code, names[code], areas[code]) for code in fullest]


def _tower(area: str, name: str, near: Sequence[Fields]) -> Tower:
    nearest = sorted(near, key=lambda site: draw(site["village_code"], "tower"))
    children = nearest[: max(1, int(_SHARE * len(near)))]
    home = nearest[-1]
    technology = _most([site["technology"] for site in children])
    _, district, subdistrict = area.split(".")
    fields = {
        "kind": "node",
        "village_code": home["village_code"],
        "name": f"Menara {name}",
        "host": f"127.{int(district)}.{int(subdistrict)}.{_HOUSE}",
        "host_static": True,
        "technology": technology,
        "provider": _most([site["provider"] for site in children if site["technology"] == technology]),
        "latitude": home["latitude"],
        "longitude": home["longitude"],
        "power_source": "pln",
        "bandwidth_down_mbps": _MBPS[technology],
        "bandwidth_up_mbps": _MBPS[technology],
        "probe": "icmp",
        "lifecycle": "active",
    }
    return Tower(fields, frozenset(site["host"] for site in children))


def _most(words: Sequence[str]) -> str:
    """The commonest; of two as common the first in the alphabet."""
    return min(Counter(words).items(), key=lambda item: (-item[1], item[0]))[0]


def _names(regions: Path) -> dict[str, str]:
    with regions.open(encoding="utf-8", newline="") as file:
        return {row["code"]: row["name"] for row in csv.DictReader(file) if row["level"] == "kecamatan"}
