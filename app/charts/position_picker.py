"""A picture whose clicks say where a site stands: a kecamatan's villages as points, the districts' borders.

It is an image of its own, which no stylesheet reaches. Kecamatan have no outlines in the data: none are drawn.
"""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from app.charts.maps import CLOSEST_DEG
from app.charts.outlines import LonLat, Outlines, Projection, fit, simplified
from app.charts.svg import element

WIDTH = 280  # pixels on the screen: a click's are counted in them
MOST_NAMES = 12  # of villages, beside which only the chosen one's fits
TOLERANCE, LEAST_ISLAND = 1.0, 4.0
INK, LAND, BORDER, CHOSEN = "#15211c", "#eef4f1", "#8a9a93", "#c0241b"


class VillagePoint(NamedTuple):
    longitude: float
    latitude: float
    name: str
    is_chosen: bool


def projection_of(villages: Sequence[VillagePoint]) -> Projection:
    half = CLOSEST_DEG / 2
    corners = [
        (village.longitude + dx, village.latitude + dy)
        for village in villages
        for dx in (-half, half)
        for dy in (-half, half)
    ]
    return fit(corners, width=WIDTH)


def position_at(villages: Sequence[VillagePoint], x: int, y: int) -> LonLat:
    """Return the longitude and latitude of a click on the picture."""
    projection = projection_of(villages)
    scale = projection.scale
    return round(projection.west + x / (projection.squeeze * scale), 5), round(projection.north - y / scale, 5)


def picture(outlines: Outlines, villages: Sequence[VillagePoint], position: LonLat | None) -> Markup:
    """Return an SVG document with the villages, and a cross at the position."""
    projection = projection_of(villages)
    height = round(projection.height)
    borders = simplified(outlines, projection, TOLERANCE, LEAST_ISLAND).values()
    named = [village for village in villages if village.is_chosen or len(villages) <= MOST_NAMES]
    return element(
        "svg",
        element("rect", width=WIDTH, height=height, fill="#fff"),
        *(element("path", d=path, fill=LAND, stroke=BORDER) for path in borders),
        *(_point(village, projection) for village in villages),
        *(_name(village, projection) for village in named),
        _cross(projection.project(*position)) if position else "",
        xmlns="http://www.w3.org/2000/svg",
        width=WIDTH,
        height=height,
        viewBox=f"0 0 {WIDTH} {height}",
    )


def _point(village: VillagePoint, projection: Projection) -> Markup:
    x, y = projection.project(village.longitude, village.latitude)
    return element("circle", cx=x, cy=y, r=5 if village.is_chosen else 3, fill=CHOSEN if village.is_chosen else INK)


def _name(village: VillagePoint, projection: Projection) -> Markup:
    x, y = projection.project(village.longitude, village.latitude)
    right = x > WIDTH * 0.6
    return element(
        "text",
        village.name,
        x=x - 7 if right else x + 7,
        y=y + 4,
        text_anchor="end" if right else "start",
        font_family="sans-serif",
        font_size=11,
        fill=INK,
    )


def _cross(at: tuple[float, float]) -> Markup:
    x, y = (f"{value:.1f}" for value in at)
    return element("path", d=f"M{x} {y}m-8 0h16m-8-8v16", stroke=CHOSEN, stroke_width=2.5, fill="none")
