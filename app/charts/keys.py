"""What colours and shapes of maps stand for, as lists beside them."""

from collections.abc import Iterable

from markupsafe import Markup

from app.charts.map_dots import BOTTOM_FIRST, SHAPES
from app.charts.svg import element
from app.charts.uptime_class import NO_EVIDENCE, STEPS, WORST
from app.charts.words import ChartWords


def uptime_key(words: ChartWords) -> Markup:
    """Return the classes of uptime, the best first."""
    ranges = [(name, f"≥ {words.percent(least)}") for least, name in STEPS]
    ranges += [(WORST, f"< {words.percent(STEPS[-1][0])}"), (NO_EVIDENCE, words.text("not enough evidence"))]
    return _key((_swatch(name), text) for name, text in ranges)


def dot_key(words: ChartWords, states: Iterable[str] = BOTTOM_FIRST) -> Markup:
    """Return the shapes of dots by state, the worst first."""
    worst_first = sorted(states, key=BOTTOM_FIRST.index, reverse=True)
    return _key((_dot(state), words.state(state)) for state in worst_first)


def _key(entries: Iterable[tuple[Markup, str]]) -> Markup:
    return element("ul", *(element("li", mark, element("span", text)) for mark, text in entries), class_="key")


def _swatch(name: str) -> Markup:
    hatch = element("path", d="M0 6L6 0M0 12L12 0M0 18L18 0M6 18L18 6M12 18L18 12", class_="hatch")
    shape = element("rect", width=18, height=18, class_=name) if name != NO_EVIDENCE else hatch
    return element("svg", shape, viewBox="0 0 18 18", aria_hidden="true")


def _dot(state: str) -> Markup:
    shape = element("path", d=f"M10 10{SHAPES[state]}", class_=f"dots s-{state}")
    return element("svg", shape, viewBox="0 0 20 20", aria_hidden="true")
