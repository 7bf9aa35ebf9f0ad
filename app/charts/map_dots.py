"""Access points on a map: a colour, a shape and a size by state, those that are down always on top."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from markupsafe import Markup

from app.charts.outlines import Projection
from app.charts.svg import element, part
from app.charts.words import ChartWords

QUIET = ("unknown", "up")  # names of districts may cover these
BOTTOM_FIRST = ("unknown", "up", "degraded", "unreachable", "down")
CIRCLE, DIAMOND, BAR, SQUARE = (
    "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "m0-7l7 7-7 7-7-7z",
    "m-8-3h16v6h-16z",
    "m-7-7h14v14h-14z",
)
SHAPES = {"unknown": CIRCLE, "up": CIRCLE, "degraded": DIAMOND, "unreachable": BAR, "down": SQUARE}  # as badges have


class Dot(NamedTuple):
    longitude: float
    latitude: float
    name: str
    state: str
    since: datetime | None = None
    href: str | None = None


def draw_dots(dots: Iterable[Dot], projection: Projection, words: ChartWords) -> dict[str, Markup]:
    """Return the dots inside the map, in a group by state, the lowest first.

    Their links are no stops of the keyboard, which has the list beside the map. A thousand dots weigh 12 kB packed;
    with `since` and `href` for those in trouble alone little more, with both for all of them twice as much.
    """
    groups: dict[str, list[Markup]] = {state: [] for state in BOTTOM_FIRST}
    for dot in dots:
        point = projection.project(dot.longitude, dot.latitude)
        if projection.contains(point):
            groups[dot.state].append(_draw(dot, *point, words))
    return {state: element("g", *drawn, class_=f"dots s-{state}") for state, drawn in groups.items() if drawn}


def _draw(dot: Dot, x: float, y: float, words: ChartWords) -> Markup:
    path = f"M{x:.0f} {y:.0f}{SHAPES[dot.state]}"
    return part("path", dot_title(dot, words), dot.href, tab_stop=False, d=path)


def dot_title(dot: Dot, words: ChartWords) -> str:
    """Return state and name first: what a thousand dots have in common packs well."""
    state, name = words.state(dot.state), dot.name
    if dot.since is None:
        return f"{state}: {name}"
    return words.text("{state}: {name}, since {since}", state=state, name=name, since=words.moment(dot.since))
