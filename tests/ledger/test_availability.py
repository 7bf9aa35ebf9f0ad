import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.ledger.availability import Window, availability, percent
from app.ledger.timeline import Piece
from app.registry.models import State

START = datetime(2026, 11, 24, tzinfo=UTC)
END = START + timedelta(seconds=1000)


def at(second: int) -> datetime:
    return START + timedelta(seconds=second)


def pieces(*stretches: tuple[State, int]) -> list[Piece]:
    found, second = [], 0
    for state, length in stretches:
        found.append(Piece(at(second), at(second + length), state))
        second += length
    return found


def test_every_second_is_accounted_for() -> None:
    counted = availability(
        pieces((State.UP, 500), (State.DOWN, 100), (State.UNKNOWN, 400)), [Window(at(100), at(900))], START, END
    )
    assert counted.seconds == {
        "up": 400, "degraded": 0, "down": 100, "unreachable": 0, "unknown": 300, "maintenance": 0, "inactive": 200,
    }  # fmt: skip
    assert counted.percentages == {"uptime_pct": 80.0, "coverage_pct": 62.5, "worst_pct": 50.0, "best_pct": 87.5}


def test_a_percentage_of_nothing_is_null() -> None:
    counted = availability(pieces((State.UP, 1000)), [], START, END)
    assert set(counted.percentages.values()) == {None}
    assert counted.seconds["inactive"] == 1000


def test_percentages_are_rounded_down() -> None:
    assert percent(999_999, 1_000_000) == 99.999
    assert percent(1_999_999, 2_000_000) == 99.999
    assert percent(2, 3) == 66.666


stretches = st.lists(st.tuples(st.sampled_from(list(State)), st.integers(1, 400)), min_size=1, max_size=20)
windows = st.lists(st.integers(0, 3000), max_size=8, unique=True).map(sorted)


@given(stretches, windows, st.integers(1, 3000))
def test_seconds_add_up_to_the_period_whatever_happened(
    happened: list[tuple[State, int]], edges: list[int], length: int
) -> None:
    total = sum(seconds for _, seconds in happened)
    covered = pieces(*happened, (State.UNKNOWN, max(1, length - total)))
    served = [Window(at(a), at(b)) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    counted = availability(covered, served, START, at(length))
    assert sum(counted.seconds.values()) == length
    assert min(counted.seconds.values()) >= 0


@given(stretches, windows, st.lists(st.integers(1, 2999), max_size=10, unique=True))
def test_the_parts_of_a_period_add_up_to_the_whole(
    happened: list[tuple[State, int]], edges: list[int], cuts: list[int]
) -> None:
    covered = pieces(*happened, (State.UNKNOWN, 8000))
    served = [Window(at(a), at(b)) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    whole = availability(covered, served, START, at(3000)).seconds
    marks = [0, *sorted(cuts), 3000]
    parts = [availability(covered, served, at(a), at(b)).seconds for a, b in itertools.pairwise(marks)]
    assert {name: sum(part[name] for part in parts) for name in whole} == whole
