"""One bar of all seconds, by state."""

from collections.abc import Mapping
from itertools import accumulate

from markupsafe import Markup

from app.charts.runs import severity
from app.charts.svg import chart, element, part, percent
from app.charts.words import ChartWords

HEIGHT = 18


def share_bar(seconds: Mapping[str, float], *, label: str, words: ChartWords) -> Markup:
    """Return the seconds by state, the worst first, as parts of the width; states that did not occur are left out."""
    parts = sorted(((state, s) for state, s in seconds.items() if s > 0), key=lambda item: severity(item[0]))
    total = sum(s for _, s in parts) or 1
    starts = accumulate((s for _, s in parts), initial=0.0)
    bars = (
        part(
            "rect",
            f"{words.state(state)}: {words.duration(s)}",
            x=percent(x / total),
            width=percent(s / total),
            height=HEIGHT,
            class_=f"s-{state}",
        )
        for x, (state, s) in zip(starts, parts, strict=False)
    )
    return chart(
        label,
        *(bars if parts else [element("rect", width="100%", height=HEIGHT, class_="s-inactive")]),
        name="shares",
        height=HEIGHT,
    )
