"""A line the size of a word."""

from collections.abc import Sequence

from markupsafe import Markup

from app.charts.steps import step_line
from app.charts.svg import element

WIDTH, HEIGHT = 100, 24


def sparkline(values: Sequence[float | None], *, label: str, least: float = 0) -> Markup:
    """Return the values as a line of steps from `least` to the highest, broken where there is none."""
    known = [value for value in values if value is not None]
    top = max([*known, least]) - least or 1
    width = WIDTH / max(1, len(values))
    steps = [
        (
            width * index,
            width * (index + 1),
            None if value is None else HEIGHT - 1 - (value - least) / top * (HEIGHT - 2),
        )
        for index, value in enumerate(values)
    ]
    return element(
        "svg",
        element("path", d=step_line(steps)),
        class_="spark",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )
