"""The strip: a bar a day, split into good, bad and not measured; small enough for a page on a village phone."""

from collections.abc import Sequence

from markupsafe import Markup

from app.charts.days import Day
from app.charts.svg import decimal, element

WIDTH, BAR, HEIGHT = 4, 3, 24  # of a day, of its bar, of all
LEAST = 2  # units for what there was at all: a short outage is seen


def day_strip(days: Sequence[Day], *, label: str) -> Markup:
    """Return the strip of days that follow each other, the oldest first.

    Good time is at the bottom, time that was not measured above it, bad time on top. A day without any is empty.
    """
    columns = [(WIDTH * index + BAR / 2, *_heights(day)) for index, day in enumerate(days)]
    paths = {
        "s-up": [(x, HEIGHT, good) for x, good, _, _ in columns],
        "s-unknown": [(x, HEIGHT - good, unknown) for x, good, unknown, _ in columns],
        "s-down": [(x, bad, bad) for x, _, _, bad in columns],
    }
    return element(
        "svg",
        *(element("path", d=_bars(bars), class_=name) for name, bars in paths.items() if any(bar[2] for bar in bars)),
        class_="strip",
        viewBox=f"0 0 {max(1, len(days)) * WIDTH} {HEIGHT}",
        preserveAspectRatio="none",
        stroke_width=BAR,
        role="img",
        aria_label=label,
    )


def _heights(day: Day) -> tuple[int, int, int]:
    """Return the heights of good, unknown and bad time, which add up to the whole height."""
    if day.counted == 0:
        return 0, 0, 0
    unknown, bad = (_height(part / day.counted) for part in (day.unknown, day.bad))
    excess = max(0, unknown + bad + (LEAST if day.good else 0) - HEIGHT)
    if unknown > bad:
        unknown -= excess
    else:
        bad -= excess
    return HEIGHT - unknown - bad, unknown, bad


def _height(share: float) -> int:
    return max(LEAST, min(HEIGHT, round(share * HEIGHT))) if share else 0


def _bars(bars: Sequence[tuple[float, int, int]]) -> str:
    return "".join(f"M{decimal(x)} {bottom}v-{height}" for x, bottom, height in bars if height)
