import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.charts.latency_band import BAND, LatencyPoint, latency_band, read_latency
from app.charts.scale import grid_values
from app.charts.steps import step_band, step_line
from tests.charts.drawing import WORDS, parsed, texts, titles

START = datetime(2026, 11, 24, 16, tzinfo=UTC)


def rows(values: list[tuple[float | None, float | None]]) -> list[LatencyPoint]:
    """Return hours with their median (the 95th percentile is half as much again) and loss."""
    return [
        LatencyPoint(START + timedelta(hours=hour), START + timedelta(hours=hour + 1), p50, p50 and p50 * 1.5, loss)
        for hour, (p50, loss) in enumerate(values)
    ]


def draw(points: list[LatencyPoint], threshold_ms: float | None = None) -> str:
    end = START + timedelta(hours=24)
    return latency_band(points, START, end, label="Latensi", words=WORDS, threshold_ms=threshold_ms)


def test_nothing_is_drawn_where_nothing_was_measured() -> None:
    root = parsed(draw(rows([(20, 0), (30, 0), (None, None), (40, 10), (None, 100)])))
    paths = {path.attrib.get("class"): path.attrib.get("d", "") for path in root.iter("path")}
    assert paths["line"] == "M0 86.7H41.7V65H83.3M125 43.3H166.7"
    assert paths["band"] == "M0 65V65H41.7V32.5H83.3V65H41.7V86.7H0ZM125 0V0H166.7V43.3H125Z"
    assert paths["loss"].count("Z") == 2
    assert "kehilangan paket, sampai 100%" in texts(root)
    assert [text.split("WITA: ")[1] for text in titles(root)] == [
        "p50 20 ms, p95 30 ms, kehilangan paket 0%",
        "p50 30 ms, p95 45 ms, kehilangan paket 0%",
        "tidak ada pengukuran",
        "p50 40 ms, p95 60 ms, kehilangan paket 10%",
        "tanpa jawaban, kehilangan paket 100%",
    ]


@given(
    st.lists(st.tuples(st.none() | st.floats(0.001, 1e5), st.none() | st.floats(0, 100)), max_size=24),
    st.none() | st.floats(1, 2_000),
)
def test_lines_and_threshold_stay_inside_of_the_band(
    values: list[tuple[float | None, float | None]], threshold_ms: float | None
) -> None:
    root = parsed(draw(rows(values), threshold_ms))
    for path in root.iter("path"):
        if path.get("class") in {"line", "band", "threshold"}:
            heights = [
                float(y) for y in re.findall(r"V(-?[\d.]+)|M[\d.]+ (-?[\d.]+)", path.get("d", "")) for y in y if y
            ]
            assert all(0 <= y <= BAND for y in heights)


def test_a_period_without_measurements_says_so() -> None:
    for points in ([], rows([(None, None)])):
        assert "tidak ada pengukuran dalam masa ini" in texts(parsed(draw(points)))


def test_a_long_series_leaves_its_values_to_the_table() -> None:
    points = [
        LatencyPoint(START + timedelta(minutes=i), START + timedelta(minutes=i + 1), 20, 30, 0) for i in range(1_440)
    ]
    svg = draw(points)
    assert (titles(parsed(svg)), len(svg) < 60_000) == ([], True)


def test_rows_are_read_as_the_api_gives_them() -> None:
    hour = {"start": "2026-11-25T00:00:00+08:00", "end": "2026-11-25T01:00:00+08:00"}
    row = {**hour, "samples": 3, "p50_ms": 20.0, "p95_ms": 30.0, "loss_pct": 0.0, "p99_ms": 31.0}
    assert read_latency([row]) == rows([(20.0, 0.0)])


@given(st.floats(0, 1e9), st.integers(1, 6))
def test_an_axis_has_few_round_values_up_to_the_highest(highest: float, count: int) -> None:
    values = grid_values(highest, count)
    assert values[-1] >= highest * (1 - 1e-9)
    assert 1 <= len(values) <= count
    assert all(b > a for a, b in pairwise(values))


@given(st.lists(st.none() | st.integers(0, 9), max_size=30))
def test_a_line_and_a_band_have_a_piece_for_each_stretch_that_was_measured(values: list[int | None]) -> None:
    pieces = sum(v is not None and (i == 0 or values[i - 1] is None) for i, v in enumerate(values))
    assert step_line([(float(i), float(i + 1), y) for i, y in enumerate(values)]).count("M") == pieces
    assert step_band([(float(i), float(i + 1), y, y) for i, y in enumerate(values)]).count("Z") == pieces
