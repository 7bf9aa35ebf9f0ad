"""Where a district's name stands on a map: where it has most room around it, or beside it if it is too small."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from app.charts.outlines import Outlines, Point, Projection, distance_to_segment

SAMPLES = 24  # a side of the bounding box
LEAST_ROOM = 24.0  # units around a point for a name to stand there


class LabelPlace(NamedTuple):
    x: float
    y: float
    anchor: str  # SVG's text-anchor


@cache
def label_places(outlines: Outlines, projection: Projection) -> dict[str, LabelPlace]:
    places = {}
    for code, rings in outlines.rings.items():
        ring = [projection.project(*point) for point in max(rings, key=len)]
        places[code] = _place(ring[:: max(1, len(ring) // 80)] + ring[-1:])
    return places


def _place(ring: Sequence[Point]) -> LabelPlace:
    xs, ys = [x for x, _ in ring], [y for _, y in ring]
    left, top = min(xs), min(ys)
    across, down = max(xs) - left, max(ys) - top
    samples = [
        (left + across * (i + 0.5) / SAMPLES, top + down * (j + 0.5) / SAMPLES)
        for i in range(SAMPLES)
        for j in range(SAMPLES)
    ]
    room, (x, y) = max((_room(point, ring), point) for point in samples)
    if room < LEAST_ROOM:
        return LabelPlace(max(xs) + 6, top + down / 2, "start")
    return LabelPlace(x, y, "middle")


def _room(point: Point, ring: Sequence[Point]) -> float:
    """Return the distance from the nearest border; 0 outside."""
    if not _inside(point, ring):
        return 0.0
    return min(distance_to_segment(point, a, b) for a, b in pairwise(ring))


def _inside(point: Point, ring: Sequence[Point]) -> bool:
    x, y = point
    crossings = (
        (a[1] > y) != (b[1] > y) and x < (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1]) + a[0] for a, b in pairwise(ring)
    )
    return sum(crossings) % 2 == 1
