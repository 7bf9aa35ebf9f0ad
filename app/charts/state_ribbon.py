"""The ribbon: every second of a period in the colour and the height of its state, the worse the taller."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from markupsafe import Markup

from app.charts.runs import Bucket, StateRun, bucketed, cover
from app.charts.svg import TAB_STOPS, by_class, chart, element, part, percent, share_of
from app.charts.time_axis import HEIGHT as AXIS_HEIGHT
from app.charts.time_axis import time_axis
from app.charts.words import ChartWords

MAX_PARTS = 192  # of 24 h seven and a half minutes each
LINKS = 96  # equal pieces, and beside them those that begin with a part
HEIGHTS = {"down": 32, "unreachable": 28, "degraded": 24, "up": 20, "maintenance": 20, "unknown": 14, "inactive": 4}
TOP, RIBBON = 10, 32  # above it the overlays

Link = Callable[[datetime], str]


class Overlay(NamedTuple):
    """A stretch that is marked above the ribbon: `maintenance`, or `blind`, in which we could not measure."""

    start: datetime
    end: datetime
    kind: str
    title: str


class Part(NamedTuple):
    start: datetime
    end: datetime
    state: str
    title: str


def state_ribbon(
    runs: Iterable[StateRun],
    start: datetime,
    end: datetime,
    *,
    label: str,
    words: ChartWords,
    overlays: Sequence[Overlay] = (),
    link: Link | None = None,
    gap: str = "unknown",
) -> Markup:
    """Return the ribbon of a period, gaps in `gap`'s colour, whose pieces lead to `link` of the moment in their middle.

    Of more runs than a page can show, equal parts in the colour of their worst state.
    """
    parts = ribbon_parts(cover(runs, start, end, gap=gap), words)

    def bar(item: Part) -> Markup:
        height = HEIGHTS[item.state]
        return element("rect", y=TOP + RIBBON - height, height=height, **_place(item.start, item.end, start, end))

    return chart(
        label,
        by_class(overlays, lambda overlay: f"o-{overlay.kind}", lambda overlay: _overlay(overlay, start, end)),
        by_class(parts, lambda item: f"s-{item.state}", bar),
        element("g", *_zones(parts, start, end, link), class_="hover"),
        time_axis(start, end, y=TOP + RIBBON, words=words),
        name="ribbon",
        height=TOP + RIBBON + AXIS_HEIGHT,
        linked=link is not None,
    )


def _zones(parts: Sequence[Part], start: datetime, end: datetime, link: Link | None) -> Iterator[Markup]:
    """Yield what the pointer meets: all of a part's height with its title; cut into pieces where they are links.

    So a click leads to about the second that it points at. The keyboard stops once a part.
    """
    step = (end - start) / LINKS if link else end - start
    for item in parts:
        begin = item.start
        while begin < item.end:
            until = min(item.end, start + step * (int((begin - start) / step) + 1))
            yield part(
                "rect",
                item.title,
                link(begin + (until - begin) / 2) if link else None,
                tab_stop=begin == item.start and len(parts) <= TAB_STOPS,
                y=TOP,
                height=RIBBON,
                **_place(begin, until, start, end),
            )
            begin = until


def ribbon_parts(runs: Sequence[StateRun], words: ChartWords) -> list[Part]:
    """Return what is drawn of runs that follow each other: each of them, or equal parts if they are too many."""
    if len(runs) <= MAX_PARTS:
        return [Part(*run, _run_title(run, words)) for run in runs]
    return [Part(b.start, b.end, b.worst, _bucket_title(b, words)) for b in bucketed(runs, MAX_PARTS)]


def _run_title(run: StateRun, words: ChartWords) -> str:
    return words.text(
        "{state}: {start} to {end} ({duration})",
        state=words.state(run.state),
        start=words.moment(run.start),
        end=words.moment(run.end),
        duration=words.duration(run.seconds),
    )


def _bucket_title(bucket: Bucket, words: ChartWords) -> str:
    states = ", ".join(f"{words.state(state)} {words.duration(s)}" for state, s in bucket.seconds.items())
    return words.text(
        "{start} to {end}: {states}", start=words.moment(bucket.start), end=words.moment(bucket.end), states=states
    )


def _overlay(overlay: Overlay, start: datetime, end: datetime) -> Markup:
    return part("rect", overlay.title, y=0, height=TOP - 4, **_place(overlay.start, overlay.end, start, end))


def _place(begin: datetime, until: datetime, start: datetime, end: datetime) -> dict[str, Any]:
    x = share_of(begin, start, end)
    return {"x": percent(x), "width": percent(share_of(until, start, end) - x)}
