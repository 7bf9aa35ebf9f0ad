"""Outlines of districts, projected and simplified so that neighbours still share their border.

A ring is cut where three districts meet, or two and the sea. Each piece between two such points is simplified once, so
that both neighbours draw the same line. We have no outlines of kecamatan or villages, and draw none.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import cos, hypot, radians
from typing import Any, NamedTuple

LonLat = tuple[float, float]
Point = tuple[float, float]
EDGE = 10.0  # units beyond what is seen
Ring = tuple[LonLat, ...]  # closed: the last point is the first


@dataclass(frozen=True, eq=False)
class Outlines:
    """Rings by district code; by identity, so that what was drawn of them is kept."""

    rings: Mapping[str, tuple[Ring, ...]]


class Projection(NamedTuple):
    """Longitudes and latitudes onto a plane `width` units wide: equirectangular, true at its middle latitude."""

    west: float
    north: float
    scale: float  # units a degree of latitude
    squeeze: float  # a degree of longitude in degrees of latitude
    width: float
    height: float

    def project(self, longitude: float, latitude: float) -> Point:
        return (longitude - self.west) * self.squeeze * self.scale, (self.north - latitude) * self.scale

    def contains(self, point: Point) -> bool:
        return 0 <= point[0] <= self.width and 0 <= point[1] <= self.height


def read_outlines(features: Iterable[dict[str, Any]]) -> Outlines:
    """Return the outer rings of GeoJSON's (Multi)Polygons by their property `code`."""
    return Outlines({feature["properties"]["code"]: tuple(_outer_rings(feature["geometry"])) for feature in features})


def _outer_rings(geometry: dict[str, Any]) -> Iterator[Ring]:
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    for polygon in polygons:
        yield tuple((longitude, latitude) for longitude, latitude in polygon[0])


def fit(points: Iterable[LonLat], *, width: float, margin: float = 0.02) -> Projection:
    """Return the projection in which all points fit, with a margin on each side."""
    longitudes, latitudes = zip(*points, strict=True)
    middle = (min(latitudes) + max(latitudes)) / 2
    squeeze = cos(radians(middle))
    across, down = (max(longitudes) - min(longitudes)) * squeeze, max(latitudes) - min(latitudes)
    scale = width * (1 - 2 * margin) / max(across, 1e-6)
    border = width * margin
    return Projection(
        west=min(longitudes) - border / scale / squeeze,
        north=max(latitudes) + border / scale,
        scale=scale,
        squeeze=squeeze,
        width=width,
        height=down * scale + 2 * border,
    )


@lru_cache(maxsize=128)
def simplified(outlines: Outlines, projection: Projection, tolerance: float, least_area: float) -> dict[str, str]:
    """Return the SVG path, in whole units, of each district that the projection shows.

    Of islands below `least_area` only a district's largest is drawn.
    """
    junctions = _junctions(outlines)
    paths = {}
    for code, rings in outlines.rings.items():
        drawn = [_simplify_ring(ring, junctions, projection, tolerance) for ring in rings]
        largest = max(drawn, key=_area)
        shown = (_clip(ring, projection) for ring in drawn if ring is largest or _area(ring) >= least_area)
        if path := "".join(_path(ring) for ring in shown if len(ring) > 2):
            paths[code] = path
    return paths


def _junctions(outlines: Outlines) -> set[LonLat]:
    """Return the points at which other districts or the sea begin to be the neighbour."""
    neighbours: dict[LonLat, set[LonLat]] = {}
    for rings in outlines.rings.values():
        for ring in rings:
            for one, other in pairwise(ring):
                neighbours.setdefault(one, set()).add(other)
                neighbours.setdefault(other, set()).add(one)
    return {point for point, around in neighbours.items() if len(around) > 2}


def _simplify_ring(ring: Ring, junctions: set[LonLat], projection: Projection, tolerance: float) -> list[Point]:
    points = ring[:-1]
    first = next((index for index, point in enumerate(points) if point in junctions), None)
    if first is None:  # an island: from its southernmost point, to be the same wherever its ring begins
        first = min(range(len(points)), key=lambda index: (points[index][1], points[index]))
    points = points[first:] + points[:first] + points[first : first + 1]
    cuts = [index for index, point in enumerate(points) if point in junctions or index in (0, len(points) - 1)]
    simplified: list[Point] = []
    for begin, until in pairwise(cuts):
        simplified += _simplify_arc(points[begin : until + 1], projection, tolerance)[:-1]
    return [(float(round(x)), float(round(y))) for x, y in simplified]


def _simplify_arc(arc: Sequence[LonLat], projection: Projection, tolerance: float) -> list[Point]:
    """Simplify in one direction whoever's ring it is, so that both neighbours get the same points."""
    forward = arc[0] <= arc[-1] if arc[0] != arc[-1] else arc[1] <= arc[-2]
    line = douglas_peucker([projection.project(*point) for point in (arc if forward else arc[::-1])], tolerance)
    return line if forward else line[::-1]


def douglas_peucker(points: Sequence[Point], tolerance: float) -> list[Point]:
    """Return the points without those that lie within `tolerance` of the line through those that stay."""
    kept, spans = {0, len(points) - 1}, [(0, len(points) - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        far, distance = max(
            ((i, distance_to_segment(points[i], points[first], points[last])) for i in range(first + 1, last)),
            key=lambda item: item[1],
        )
        if distance > tolerance:
            kept.add(far)
            spans += [(first, far), (far, last)]
    return [points[index] for index in sorted(kept)]


def distance_to_segment(point: Point, begin: Point, end: Point) -> float:
    """Return the distance of a point from a line segment, which may be a point."""
    dx, dy = end[0] - begin[0], end[1] - begin[1]
    length = dx * dx + dy * dy
    along = ((point[0] - begin[0]) * dx + (point[1] - begin[1]) * dy) / length if length else 0.0
    along = min(1.0, max(0.0, along))
    return hypot(point[0] - begin[0] - along * dx, point[1] - begin[1] - along * dy)


def _clip(ring: list[Point], projection: Projection) -> list[Point]:
    """Return the part of a closed ring that is seen (Sutherland-Hodgman): its cuts lie just outside."""
    for axis, sign, limit in (
        (0, 1, -EDGE),
        (0, -1, -projection.width - EDGE),
        (1, 1, -EDGE),
        (1, -1, -projection.height - EDGE),
    ):
        ring = _cut(ring, axis, sign, limit)
    return [(float(round(x)), float(round(y))) for x, y in ring]


def _cut(ring: list[Point], axis: int, sign: int, limit: float) -> list[Point]:
    """Return what of a closed ring lies where the coordinate times sign is at least limit."""
    kept: list[Point] = []
    for begin, end in zip(ring, ring[1:] + ring[:1], strict=True):
        before, after = sign * begin[axis] - limit, sign * end[axis] - limit
        if before >= 0:
            kept.append(begin)
        if (before >= 0) != (after >= 0):
            share = before / (before - after)
            kept.append((begin[0] + share * (end[0] - begin[0]), begin[1] + share * (end[1] - begin[1])))
    return kept


def _area(ring: Sequence[Point]) -> float:
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, [*ring[1:], *ring[:1]], strict=True))) / 2


def _path(ring: Sequence[Point]) -> str:
    """Return a closed path: an absolute point, then steps in whole units."""
    moves = ((int(b[0] - a[0]), int(b[1] - a[1])) for a, b in pairwise(ring))
    steps = " ".join(f"{dx} {dy}" for dx, dy in moves if (dx, dy) != (0, 0))
    return f"M{ring[0][0]:.0f} {ring[0][1]:.0f}l{steps.replace(' -', '-') or '0 0'}z"
