from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.charts.runs import StateRun, bucketed, cover, read_runs, seconds_by_state
from app.charts.share_bar import share_bar
from app.charts.state_ribbon import LINKS, MAX_PARTS, Overlay, ribbon_parts, state_ribbon
from tests.charts.drawing import WORDS, links, parsed, spans, texts, titles

START = datetime(2026, 11, 24, 16, tzinfo=UTC)  # midnight in WITA
END = START + timedelta(days=1)
STATES = ("up", "degraded", "down", "unreachable", "unknown", "inactive", "maintenance")


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


@st.composite
def histories(draw: st.DrawFn) -> list[StateRun]:
    """Runs in any order, some outside of the day, with gaps and overlaps."""
    seconds = st.integers(-50_000, 150_000)
    found = []
    for first, length, state in draw(
        st.lists(st.tuples(seconds, st.integers(0, 40_000), st.sampled_from(STATES)), max_size=40)
    ):
        begin = START + timedelta(seconds=first)
        found.append(StateRun(begin, begin + timedelta(seconds=length), state))
    return found


@given(histories())
def test_every_second_of_a_period_belongs_to_one_run(runs: list[StateRun]) -> None:
    covered = cover(runs, START, END)
    assert (covered[0].start, covered[-1].end) == (START, END)
    for run, following in pairwise(covered):
        assert run.start < run.end == following.start
        assert run.state != following.state
    assert sum(seconds_by_state(covered).values()) == 86_400


@given(histories(), st.integers(1, 60))
def test_equal_parts_hold_the_same_seconds_and_show_the_worst(runs: list[StateRun], count: int) -> None:
    covered = cover(runs, START, END)
    buckets = bucketed(covered, count)
    assert len(buckets) == count
    whole = seconds_by_state(covered)
    for state in whole:
        assert abs(sum(bucket.seconds.get(state, 0) for bucket in buckets) - whole[state]) < 0.001 * count
    for bucket in buckets:
        assert "down" not in bucket.seconds or bucket.worst == "down"


@given(histories())
def test_the_bars_of_a_ribbon_fill_its_width_and_do_not_overlap(runs: list[StateRun]) -> None:
    bars = spans(parsed(state_ribbon(runs, START, END, label="Status", words=WORDS)))
    assert abs(sum(until - x for x, until, _ in bars) - 100) < 0.02 * len(bars)
    for (_, until, _), (x, _, _) in pairwise(bars):
        assert abs(x - until) < 0.02


def test_a_ribbon_says_what_each_part_is_and_a_click_leads_near_its_second() -> None:
    runs = [StateRun(at(0), at(6), "up"), StateRun(at(6), at(8), "down"), StateRun(at(8), at(20), "up")]
    overlays = [Overlay(at(7), at(9), "maintenance", "pemeliharaan <tiang>")]
    svg = state_ribbon(
        runs, START, END, label="Status & jam", words=WORDS, overlays=overlays, link=lambda m: f"/why?at={m:%H.%M}&x=1"
    )
    root = parsed(svg)
    assert root.attrib["role"] == "group"
    assert root.attrib["aria-label"] == "Status & jam"
    assert "putus: 25 November 2026 06.00 WITA sampai 25 November 2026 08.00 WITA (2 jam)" in titles(root)
    assert "pemeliharaan <tiang>" in titles(root)
    assert len(links(root)) == LINKS
    assert links(root)[:2] == ["/why?at=16.07&x=1", "/why?at=16.22&x=1"]  # UTC, in the middle of 15 minutes
    assert len([link for link in root.iter("a") if link.get("tabindex") is None]) == 4  # of the keyboard, once a part
    assert spans(root)[1][2] == "s-down"
    assert spans(root)[-1][2] == "s-unknown"
    assert texts(root) == ["25 Nov", "04.00", "08.00", "12.00", "16.00", "WITA"]


def test_a_ribbon_without_links_is_an_image_and_one_without_runs_is_unknown_throughout() -> None:
    root = parsed(state_ribbon([], START, END, label="Status", words=WORDS))
    assert root.attrib["role"] == "img"
    assert spans(root) == [(0, 100, "s-unknown")]


def test_a_site_that_changes_state_every_minute_gets_equal_parts_in_the_colour_of_the_worst() -> None:
    runs = [
        StateRun(START + timedelta(minutes=minute), START + timedelta(minutes=minute + 1), STATES[minute % 3])
        for minute in range(1440)
    ]
    parts = ribbon_parts(cover(runs, START, END), WORDS)
    assert len(parts) == MAX_PARTS
    first = "25 November 2026 00.00 WITA sampai 25 November 2026 00.07 WITA: putus 2 menit, menurun 2 menit 30 detik, "
    assert parts[0].title.startswith(first)
    root = parsed(state_ribbon(runs, START, END, label="Status", words=WORDS, link=lambda m: f"?at={m:%H:%M}"))
    assert len(links(root)) <= MAX_PARTS + LINKS
    assert {link.get("tabindex") for link in root.iter("a")} == {"-1"}  # no stops of the keyboard


@given(histories())
def test_the_links_of_a_ribbon_lead_into_the_state_that_their_title_names(runs: list[StateRun]) -> None:
    covered = cover(runs, START, END)
    svg = state_ribbon(runs, START, END, label="Status", words=WORDS, link=lambda moment: moment.isoformat())
    for link in parsed(svg).iter("a"):
        moment = datetime.fromisoformat(link.attrib["href"])
        state = next(run.state for run in covered if run.start <= moment < run.end)
        assert (link[0].text or "").startswith(WORDS.state(state))


def test_runs_are_read_as_the_api_gives_them() -> None:
    item = {"started_at": "2026-11-25T00:00:00+08:00", "ended_at": "2026-11-25T01:00:00+08:00", "state": "up"}
    assert read_runs([item]) == [StateRun(at(0), at(1), "up")]


def test_the_longer_the_period_the_wider_the_ticks() -> None:
    def labels(days: int) -> list[str]:
        return texts(parsed(state_ribbon([], START, START + timedelta(days=days), label="x", words=WORDS)))

    assert labels(7) == ["25 Nov", "26 Nov", "27 Nov", "28 Nov", "29 Nov", "30 Nov", "1 Des"]
    assert labels(30) == ["25 Nov", "30 Nov", "5 Des", "10 Des", "15 Des", "20 Des"]
    assert labels(365)[:2] == ["1 Des", "1 Jan"]


@given(st.dictionaries(st.sampled_from(STATES), st.integers(0, 10_000_000)))
def test_the_parts_of_a_share_bar_fill_it(seconds: dict[str, float]) -> None:
    root = parsed(share_bar(seconds, label="Bagian", words=WORDS))
    bars = [
        (float(bar.get("x", "0%").rstrip("%")), float(bar.attrib["width"].rstrip("%"))) for bar in root.iter("rect")
    ]
    assert abs(sum(width for _, width in bars) - 100) < 0.1
    assert len(titles(root)) == sum(value > 0 for value in seconds.values())
