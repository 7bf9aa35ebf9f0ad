"""The demo's sites: one invented access point for every village, the same every time.

The mix of technologies is the real one (fibre 55%, satellite 29% of which a third GEO, cellular 16%), and so is the
pattern: the farther a village is from the nearest kelurahan, the more likely its link is by satellite or mobile.
"""

import csv
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

PROVIDERS: Mapping[str, str] = {
    "telkom-wms": "Telkom WMS",
    "indihome": "IndiHome",
    "comtelindo": "Comtelindo",
    "orbit": "Orbit",
    "telkomsat-starlink": "Telkomsat-Starlink",
    "bestcamp-starlink": "Bestcamp-Starlink",
    "iconplus": "Icon+",
}
CANARIES = ("127.255.0.1", "127.255.0.2")

_SATELLITE, _GEO_OF_SATELLITE, _CELLULAR = 0.29, 1 / 3, 0.16
_KM_PER_DEGREE = 111.2

# What a village may have, by technology: (value, weight) pairs.
_PROVIDERS = {
    "fiber": (("telkom-wms", 45), ("indihome", 28), ("comtelindo", 17), ("iconplus", 10)),
    "cellular": (("orbit", 1),),
    "leo": (("telkomsat-starlink", 7), ("bestcamp-starlink", 3)),
    "geo": (("iconplus", 1),),
}
_BANDWIDTHS = {
    "fiber": (((50.0, 25.0), 6), ((100.0, 50.0), 3), ((30.0, 15.0), 1)),
    "cellular": (((20.0, 5.0), 1),),
    "leo": (((150.0, 20.0), 1), ((100.0, 15.0), 1)),
    "geo": (((10.0, 2.0), 2), ((4.0, 1.0), 1)),
}
_VENUES = (("kantor_desa", 70), ("balai", 12), ("sekolah", 10), ("puskesmas", 8))
_POWER = {
    "fiber": (("pln", 97), ("pln_limited", 3)),
    "cellular": (("pln", 85), ("pln_limited", 15)),
    "leo": (("pln", 72), ("pln_limited", 16), ("solar", 8), ("genset", 4)),
    "geo": (("pln", 55), ("pln_limited", 20), ("solar", 17), ("genset", 8)),
}


@dataclass(frozen=True, slots=True)
class _Village:
    code: str
    name: str
    urban: bool
    latitude: float
    longitude: float


def villages(regions: Path, first: int | None = None) -> list[dict[str, Any]]:
    """Return sites as for `POST /sites`, in code order, or the first N of them.

    `regions` is the Kemendagri table (code, level, parent_code, name, type, lat, lon).
    """
    all_villages = _read(regions)
    technologies = _technologies(all_villages)
    sites = [
        _site(village, technologies[village.code], address)
        for village, address in zip(all_villages, _addresses(all_villages), strict=True)
    ]
    return sites[:first]


def addresses(regions: Path) -> dict[str, str]:
    """Return the simulated address of each village's first site, by the site's code."""
    all_villages = _read(regions)
    return {
        f"{village.code}-01": address for village, address in zip(all_villages, _addresses(all_villages), strict=True)
    }


def _read(regions: Path) -> list[_Village]:
    with regions.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["level"] == "desa_kelurahan"]
    parsed = [
        _Village(row["code"], row["name"], row["type"] == "kelurahan", float(row["lat"]), float(row["lon"]))
        for row in rows
    ]
    return sorted(parsed, key=lambda village: village.code)


def _technologies(all_villages: Sequence[_Village]) -> dict[str, str]:
    """Return the technology by village code: exact counts, with chance deciding among villages about equally remote."""
    remoteness_km = _remoteness_km(all_villages)
    codes = [village.code for village in all_villages]
    satellites = round(_SATELLITE * len(all_villages))

    def most(count: int, among: Iterable[str], weight: Callable[[str], float]) -> list[str]:
        return sorted(among, key=weight, reverse=True)[:count]

    def outlying(code: str) -> float:
        return remoteness_km[code] * (0.15 + draw(code, "satellite"))

    def old_dish(code: str) -> float:
        return (remoteness_km[code] + 40) * draw(code, "geo")

    def mobile(code: str) -> float:
        return (remoteness_km[code] and remoteness_km[code] + 3) * (0.15 + draw(code, "cellular"))

    leo = most(satellites, codes, outlying)
    geo = most(round(satellites * _GEO_OF_SATELLITE), leo, old_dish)
    cellular = most(round(_CELLULAR * len(all_villages)), sorted(set(codes) - set(leo)), mobile)
    chosen = dict.fromkeys(codes, "fiber")
    for technology, members in (("leo", leo), ("geo", geo), ("cellular", cellular)):
        chosen.update(dict.fromkeys(members, technology))
    return chosen


def _remoteness_km(all_villages: Sequence[_Village]) -> dict[str, float]:
    """Return the distance to the nearest kelurahan (an urban village) by village code."""
    towns = [(village.latitude, village.longitude) for village in all_villages if village.urban] or [(0.0, 117.0)]
    return {
        village.code: _KM_PER_DEGREE
        * min(math.hypot(village.latitude - lat, village.longitude - lon) for lat, lon in towns)
        for village in all_villages
    }


def _addresses(all_villages: Sequence[_Village]) -> list[str]:
    """Return 127.<kabupaten>.<kecamatan>.<n-th village of it> for each village: never in 127.0 or 127.255."""
    counted: Counter[str] = Counter()
    addresses = []
    for village in all_villages:
        _, district, subdistrict, _ = village.code.split(".")
        counted[village.code[:8]] += 1
        addresses.append(f"127.{int(district)}.{int(subdistrict)}.{counted[village.code[:8]]}")
    return addresses


def _site(village: _Village, technology: str, address: str) -> dict[str, Any]:
    code = village.code
    latitude, longitude = _nearby(village)
    down, up = _pick(_BANDWIDTHS[technology], code, "bandwidth")
    return {
        "kind": "access_point",
        "village_code": code,
        "name": village.name,
        "host": address,
        "host_static": True,
        "technology": technology,
        "provider": _pick(_PROVIDERS[technology], code, "provider"),
        "service_no": f"{47_00_000_000 + int(draw(code, 'service') * 99_999_999)}",
        "link_role": "primary",
        "venue": _pick(_VENUES, code, "venue"),
        "latitude": latitude,
        "longitude": longitude,
        "power_source": _pick(_POWER[technology], code, "power"),
        "bandwidth_down_mbps": down,
        "bandwidth_up_mbps": up,
        "probe": "icmp",
        "contact_name": None,
        "contact_phone": None,
        "lifecycle": "active",
    }


def _nearby(village: _Village) -> tuple[float, float]:
    """Return a point 0.2 to 1.8 km off the polygon's centroid, where the village office might be."""
    degrees = (0.2 + 1.6 * draw(village.code, "distance")) / _KM_PER_DEGREE
    angle = 2 * math.pi * draw(village.code, "direction")
    return (
        round(village.latitude + degrees * math.sin(angle), 5),
        round(village.longitude + degrees * math.cos(angle), 5),
    )


def _pick(weighted: Sequence[tuple[T, int]], code: str, purpose: str) -> T:
    left = draw(code, purpose) * sum(weight for _, weight in weighted)
    for value, weight in weighted:
        left -= weight
        if left < 0:
            return value
    return weighted[-1][0]


def draw(code: str, purpose: str) -> float:
    """Return a number in [0, 1) that belongs to this village and purpose alone."""
    digest = hashlib.blake2b(f"{purpose}/{code}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / (1 << 53)
