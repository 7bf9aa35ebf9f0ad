"""SVG as text: elements whose attributes and texts are escaped, coordinates in as few characters as they need."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TypeVar

from markupsafe import Markup, escape

Content = str | Markup
Attribute = str | float | None
T = TypeVar("T")

TAB_STOPS = 31  # a chart with more links leaves them to the mouse: the table beside it has them too


def decimal(value: float, places: int = 1) -> str:
    text = f"{value:.{places}f}".rstrip("0").rstrip(".") if places else f"{value:.0f}"
    return "0" if text == "-0" else text


def percent(share: float) -> str:
    """Return a share of the whole, 0 to 1, as a length that stretches with the page."""
    return f"{decimal(100 * share, 2)}%"


def element(tag: str, *children: Content, **attributes: Attribute) -> Markup:
    """Return an element; `class_` and `stroke_width` become `class` and `stroke-width`, None is left out."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{decimal(value) if isinstance(value, int | float) else escape(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    inner = "".join(map(escape, children))
    return Markup(f"<{tag}{written}>{inner}</{tag}>" if inner else f"<{tag}{written}/>")  # noqa: S704  # escaped above


def joined(parts: Iterable[Content]) -> Markup:
    return Markup("").join(parts)


def title(text: str | None) -> Markup:
    """Return what a browser shows of the part under the pointer; nothing without a text."""
    return element("title", text) if text else Markup("")


def part(
    shape: str, text: str | None, href: str | None = None, *, tab_stop: bool = True, **attributes: Attribute
) -> Markup:
    """Return a shape that says what it stands for; within a link if it leads somewhere."""
    if href is None:
        return element(shape, title(text), **attributes)
    return element("a", title(text), element(shape, **attributes), tabindex=None if tab_stop else "-1", href=href)


def chart(label: str, *children: Content, name: str, height: float, linked: bool = False) -> Markup:
    """Return a chart as wide as the page leaves it: positions are shares of the width, texts keep their size.

    One that holds links is a group: what is inside an image is not reachable.
    """
    return element(
        "svg",
        *children,
        class_=f"chart {name}",
        width="100%",
        height=height,
        role="group" if linked else "img",
        aria_label=label,
    )


def plot(*children: Content, width: float, height: float, y: float = 0) -> Markup:
    """Return a part of a chart whose paths stretch with it: `width` units are the whole."""
    return element(
        "svg",
        *children,
        y=y,
        width="100%",
        height=height,
        viewBox=f"0 0 {decimal(width)} {decimal(height)}",
        preserveAspectRatio="none",
    )


def share_of(moment: datetime, start: datetime, end: datetime) -> float:
    """Return how much of a period has passed at `moment`, 0 to 1."""
    return min(1.0, max(0.0, (moment - start) / (end - start)))


def by_class(items: Iterable[T], class_of: Callable[[T], str], draw: Callable[[T], Content]) -> Markup:
    """Return the drawn items, those of a class together in a group of it, in the order in which classes appear."""
    groups: dict[str, list[Content]] = {}
    for item in items:
        groups.setdefault(class_of(item), []).append(draw(item))
    return joined(element("g", *drawn, class_=name) for name, drawn in groups.items())
