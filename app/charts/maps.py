"""Maps of the province and of a district: outlines, names, and dots or points to choose from.

Only districts have outlines. Of a kecamatan we know its villages' centroids, and show these.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

from markupsafe import Markup

from app.charts.map_dots import QUIET, Dot, draw_dots
from app.charts.map_labels import LabelPlace, label_places
from app.charts.outlines import LonLat, Outlines, Projection, fit, simplified
from app.charts.svg import element, part
from app.charts.uptime_class import NO_EVIDENCE, uptime_class
from app.charts.words import ChartWords

WIDTH = 800
LONGEST_LINE = 13  # letters
TOLERANCE, LEAST_ISLAND = 1.5, 4.0  # units, square units
CLOSEST_DEG = 0.12  # a map of fewer degrees would only enlarge what we do not know
HATCH = element(
    "defs",
    element(
        "pattern",
        element("path", d="M0 8L8 0", class_="hatch"),
        id="no-evidence",
        width=8,
        height=8,
        patternUnits="userSpaceOnUse",
    ),
)


class District(NamedTuple):
    code: str
    name: str
    uptime_pct: float | None
    title: str
    href: str | None = None


class Choice(NamedTuple):
    """A point that a reader may choose, such as a village's centroid."""

    longitude: float
    latitude: float
    name: str
    href: str
    chosen: bool = False


def province_map(
    outlines: Outlines, districts: Sequence[District], dots: Iterable[Dot] = (), *, label: str, words: ChartWords
) -> Markup:
    """Return the province: districts by their class of uptime, hatched without evidence, below the dots by state."""
    projection = whole(outlines)
    paths = simplified(outlines, projection, TOLERANCE, LEAST_ISLAND)
    areas = [
        part("path", district.title, district.href, d=paths[district.code], **_fill(district.uptime_pct))
        for district in districts
        if district.code in paths
    ]
    drawn = draw_dots(dots, projection, words)
    return _map(
        projection,
        element("g", *areas, class_="areas"),
        *(group for state, group in drawn.items() if state in QUIET),
        _names(outlines, districts, projection, words),
        *(group for state, group in drawn.items() if state not in QUIET),
        label=label,
    )


def district_map(
    outlines: Outlines,
    code: str,
    dots: Iterable[Dot] = (),
    choices: Sequence[Choice] = (),
    *,
    label: str,
    words: ChartWords,
    zoom_to: Sequence[LonLat] = (),
) -> Markup:
    """Return a district with its neighbours' borders, or the part around the points of `zoom_to`.

    Each choice is a link, whose address says what it chooses.
    """
    projection = around(zoom_to) if zoom_to else one_district(outlines, code)
    paths = simplified(outlines, projection, TOLERANCE, LEAST_ISLAND)
    others = [element("path", d=path, class_="other") for other, path in paths.items() if other != code]
    area = element("path", d=paths[code], class_="area") if code in paths else ""
    return _map(
        projection,
        element("g", *others, area, class_="areas"),
        *draw_dots(dots, projection, words).values(),
        *(_choice(choice, projection) for choice in choices),
        *(_choice_name(choice, projection) for choice in choices),
        label=label,
        name="map close",
    )


@cache
def whole(outlines: Outlines) -> Projection:
    return fit((point for rings in outlines.rings.values() for ring in rings for point in ring), width=WIDTH)


@cache
def one_district(outlines: Outlines, code: str) -> Projection:
    """Return the projection of a district; of the whole province for a code without an outline."""
    if code not in outlines.rings:
        return whole(outlines)
    return fit((point for ring in outlines.rings[code] for point in ring), width=WIDTH)


def around(points: Sequence[LonLat]) -> Projection:
    """Return a projection in which all points lie, and some degrees at least."""
    half = CLOSEST_DEG / 2
    corners = [(x + dx, y + dy) for x, y in points for dx in (-half, half) for dy in (-half, half)]
    return fit(corners, width=WIDTH)


def _map(projection: Projection, *layers: Markup, label: str, name: str = "map") -> Markup:
    return element(
        "svg",
        HATCH,
        *layers,
        id="map-drawing",
        class_=name,
        viewBox=f"0 0 {projection.width:.0f} {projection.height:.0f}",
        role="group",
        aria_label=label,
        data_zoom="",
    )


def _fill(uptime_pct: float | None) -> dict[str, Any]:
    name = uptime_class(uptime_pct)
    return {"class_": name, "fill": "url(#no-evidence)"} if name == NO_EVIDENCE else {"class_": name}


def _names(outlines: Outlines, districts: Sequence[District], projection: Projection, words: ChartWords) -> Markup:
    places = label_places(outlines, projection)
    return element(
        "g",
        *(
            _name(places[district.code], [*two_lines(district.name), words.percent(district.uptime_pct)])
            for district in districts
            if district.code in places
        ),
        class_="names",
    )


def _name(place: LabelPlace, lines: Sequence[str]) -> Markup:
    """Return a text of lines around its place, the last of them the value."""
    spans = [
        element("tspan", line, x=place.x, dy=f"{1.1 if index else -0.5 * (len(lines) - 2)}em")
        for index, line in enumerate(lines)
    ]
    return element("text", *spans, x=place.x, y=place.y, text_anchor=place.anchor)


def two_lines(name: str) -> list[str]:
    """Return a long name in two lines, cut at the space nearest to its middle."""
    spaces = [index for index, letter in enumerate(name) if letter == " "]
    if len(name) <= LONGEST_LINE or not spaces:
        return [name]
    cut = min(spaces, key=lambda index: abs(index - len(name) / 2))
    return [name[:cut], name[cut + 1 :]]


def _choice(choice: Choice, projection: Projection) -> Markup:
    x, y = projection.project(choice.longitude, choice.latitude)
    name = "choice chosen" if choice.chosen else "choice"
    return part("circle", choice.name, choice.href, cx=x, cy=y, r=11, class_=name)


def _choice_name(choice: Choice, projection: Projection) -> Markup:
    x, y = projection.project(choice.longitude, choice.latitude)
    return element("text", choice.name, x=x, y=y - 15, text_anchor="middle")
