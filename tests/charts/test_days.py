import re
from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.charts.day_grid import day_grid
from app.charts.day_strip import HEIGHT, day_strip
from app.charts.days import Day, read_days
from tests.charts.drawing import WORDS, links, parsed, texts, titles

FIRST = date(2025, 12, 1)
seconds = st.integers(0, 86_400)
DAYS = st.lists(st.tuples(seconds, seconds, seconds), max_size=90).map(
    lambda parts: [Day(FIRST + timedelta(days=index), *part) for index, part in enumerate(parts)]
)


def bars(root_path: str) -> dict[str, int]:
    """Return the heights of a strip's bars by their x."""
    return {x: int(height) for x, height in re.findall(r"M([\d.]+) \d+v-(\d+)", root_path)}


@given(DAYS)
def test_the_parts_of_each_day_in_a_strip_add_up_to_its_height_and_what_there_was_is_seen(days: list[Day]) -> None:
    svg = day_strip(days, label="90 hari")
    paths = {path.attrib["class"]: bars(path.attrib["d"]) for path in parsed(svg).iter("path")}
    for index, day in enumerate(days):
        x = f"{4 * index + 1.5:.1f}"
        heights = {name: of_days.get(x, 0) for name, of_days in paths.items()}
        assert sum(heights.values()) == (HEIGHT if day.counted else 0)
        parts = (("s-up", day.good), ("s-down", day.bad), ("s-unknown", day.unknown))
        assert all((heights.get(name, 0) > 0) == (part > 0) for name, part in parts)
    assert len(svg) <= 4_000


def test_a_strip_of_no_days_is_an_empty_image() -> None:
    root = parsed(day_strip([], label="Belum ada <data>"))
    assert (root.attrib["aria-label"], root.attrib["role"], len(root)) == ("Belum ada <data>", "img", 0)


def test_a_year_of_days_has_a_row_a_month_and_each_day_says_its_bounds() -> None:
    days = [Day(FIRST + timedelta(days=index), 86_400, 0, 0) for index in range(365)]
    days[1] = Day(days[1].day, 43_200, 21_600, 21_600)
    days[2] = Day(days[2].day, 0, 0, 86_400)
    days[3] = Day(days[3].day, 0, 0, 0)  # not in service
    root = parsed(day_grid(days, label="12 bulan", words=WORDS, link=lambda day: f"?from={day}&step=hour"))
    assert texts(root)[:12] == [
        *("Des 25", "Jan 26", "Feb 26", "Mar 26", "Apr 26", "Mei 26"),
        *("Jun 26", "Jul 26", "Agu 26", "Sep 26", "Okt 26", "Nov 26"),
    ]
    assert len(titles(root)) == 364
    assert "3 Desember 2025: belum cukup bukti" in titles(root)
    worst = "2 Desember 2025: ketersediaan 66,66%, batas 50% sampai 75%, data terpantau 75%"
    assert worst in titles(root)
    assert links(root)[0] == "?from=2025-12-01&step=hour"
    by_class = {group.attrib["class"]: len(list(group.iter("rect"))) for group in root.iter("g")}
    assert by_class == {"axis": 0, "u5": 362, "u1": 1, "u0": 1}


@given(DAYS)
def test_the_cells_of_a_month_lie_beside_each_other(days: list[Day]) -> None:
    root = parsed(day_grid(days, label="x", words=WORDS))
    cells = sorted(
        (float(cell.attrib["y"]) + float(cell.attrib["height"]), float(cell.attrib["x"].rstrip("%")))
        for cell in root.iter("rect")
    )
    width = 100 / 36
    assert len(set(cells)) == len(cells) == sum(day.counted > 0 for day in days)
    assert all(b[0] > a[0] or b[1] - a[1] > width - 0.02 for a, b in pairwise(cells))
    assert all(x + width <= 100.02 for _, x in cells)


def test_days_are_read_as_the_api_gives_them() -> None:
    states = {"up": 1, "degraded": 2, "down": 4, "unreachable": 8, "unknown": 16, "maintenance": 32, "inactive": 64}
    row = {"start": "2026-11-24T16:00:00Z", "seconds": {**states, "claimed": 0}}
    assert read_days([row]) == [Day(date(2026, 11, 25), 3, 12, 16)]
