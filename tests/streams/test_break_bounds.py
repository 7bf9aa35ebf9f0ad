"""One break that two saw is one, within the bounds of both."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.streams.break_bounds import Break, Excuse, SeenBy, merge, total

AT = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)


def seen(by: SeenBy, *bounds: int, excuse: Excuse | None = None) -> Break:
    after, before, still, over = (AT + timedelta(seconds=second) for second in bounds)
    return Break(after, before, still, over, by, over, excuse)


SERVER = seen(SeenBy.SERVER, 0, 31, 30, 58)
DEVICE = seen(SeenBy.DEVICE, 10, 34, 50, 52)


def test_what_both_saw_is_one_break_within_both_bounds() -> None:
    assert merge([DEVICE, SERVER]) == [replace(seen(SeenBy.BOTH, 10, 31, 50, 52), heard_at=DEVICE.heard_at)]


def test_two_breaks_in_one_silence_of_the_servers_stay_two() -> None:
    later = seen(SeenBy.DEVICE, 53, 54, 55, 56)
    both = merge([SERVER, DEVICE, later])
    assert [(one.started_after, one.seen_by) for one in both] == [
        (DEVICE.started_after, SeenBy.BOTH),
        (later.started_after, SeenBy.BOTH),
    ]


def test_breaks_apart_stay_apart() -> None:
    far = seen(SeenBy.DEVICE, 100, 101, 110, 111)
    assert merge([far, SERVER]) == [SERVER, far]


def test_a_break_away_from_the_line_that_the_server_missed_is_another_one() -> None:
    before = seen(SeenBy.DEVICE, -20, -15, -10, 2)
    assert merge([SERVER, before]) == [before, SERVER]


def test_no_account_of_a_device_takes_away_what_the_server_saw() -> None:
    silences = [seen(SeenBy.SERVER, 100 * n, 100 * n + 31, 100 * n + 30, 100 * n + 58) for n in range(20)]
    wide = seen(SeenBy.DEVICE, -10, 2_500, -10, 2_500)
    narrow = [seen(SeenBy.DEVICE, 100 * n + 1, 100 * n + 1, 100 * n + 2, 100 * n + 2) for n in range(20)]
    told = total(merge([*silences, wide]))
    assert (told["breaks"], told["seconds_max"]) == (20, 20 * 58)
    assert total(merge([*silences, *narrow]))["seconds_max"] >= 20 * 58


def test_a_stop_of_ours_excuses_what_the_server_alone_saw() -> None:
    stop = [(AT + timedelta(seconds=40), AT + timedelta(seconds=45))]
    assert SERVER.excused_by(stop).excuse is Excuse.BLIND
    assert DEVICE.excused_by(stop).excuse is None, "its pings do not go to us"
    assert SERVER.excused_by([(AT - timedelta(seconds=9), AT)]).excuse is None


def test_excused_ones_are_counted_apart() -> None:
    shared = seen(SeenBy.SERVER, 200, 201, 205, 210, excuse=Excuse.SHARED)
    assert total([SERVER, DEVICE, shared]) == {"breaks": 2, "excused": 1, "seconds_min": 16, "seconds_max": 100}


@st.composite
def accounts(draw: st.DrawFn) -> Break:
    began = draw(st.integers(0, 500))
    ended = began + draw(st.integers(1, 60))
    spare = st.integers(0, 30)
    lasted_at = min(ended, began + draw(spare))
    bounds = began - draw(spare), lasted_at, max(began, ended - draw(spare)), ended + draw(spare)
    return seen(draw(st.sampled_from([SeenBy.SERVER, SeenBy.DEVICE])), *bounds)


@given(st.lists(accounts(), max_size=12))
def test_merging_invents_nothing_and_loses_no_device_account(given_breaks: list[Break]) -> None:
    merged = merge(given_breaks)
    by_device = [one for one in given_breaks if one.seen_by is SeenBy.DEVICE]
    assert len(merged) <= len(given_breaks)
    assert sum(one.seen_by is not SeenBy.SERVER for one in merged) == len(by_device)
    assert all(0 <= one.seconds_min <= one.seconds_max for one in merged)
    assert [one.started_after for one in merged] == sorted(one.started_after for one in merged)
