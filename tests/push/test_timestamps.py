"""Where rows belong in time, for any clocks: pure."""

from itertools import pairwise
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from app.push import parser
from app.push.schemas import MEASURED, SENDER
from app.push.timestamps import KEPT_S, Placed, Terms, place, seconds_apart

NOW = 1_795_500_000
TERMS = Terms("active", NOW - 30 * 86_400, beat_s=60, send_every_s=300)


def row(seq: int, **changes: Any) -> dict[str, Any]:
    return {"boot": "b", "seq": seq, "sent": 3, "rtt_ms": [20]} | changes


def placed(batch: list[dict[str, Any]], *, now: float = NOW, terms: Terms = TERMS, **beside: Any) -> list[Placed]:
    push = parser.read({"boot": "b"} | beside | {"batch": batch})
    assert push.faults == []
    return place(push, round(now * 1_000_000), terms)


def slots(found: list[Placed]) -> list[int | str]:
    return [one.row.slot if one.row else one.fault.code for one in found if one.fault or one.row]  # type: ignore[union-attr]


def test_a_row_is_placed_by_how_long_its_device_was_up() -> None:
    found = placed([row(1, uptime_s=100), row(2, uptime_s="00:02:40"), row(3, uptime_s=219.5)], uptime_s=220)
    assert slots(found) == [NOW - 120, NOW - 60, NOW - 1]


def test_uptime_wins_over_a_clock_that_is_wrong() -> None:
    found = placed([row(1, uptime_s=100, clock="1999-01-01T00:00:00Z")], uptime_s=220, sent_at="2031-01-01T00:00:00Z")
    assert slots(found) == [NOW - 120]


def test_a_clock_is_corrected_by_how_far_it_is_off() -> None:
    found = placed([row(1, clock="1970-01-01T00:05:00Z"), row(2, clock=420)], sent_at=480)
    assert slots(found) == [NOW - 180, NOW - 60]


def test_an_older_boots_rows_are_placed_by_clock_never_by_this_boots_uptime() -> None:
    older = row(1, boot="a", uptime_s=50)
    assert slots(placed([older], uptime_s=220)) == ["no_clock"]
    assert slots(placed([older | {"clock": 1000}], uptime_s=220, sent_at=4600)) == [NOW - 3600]


def test_rows_that_cannot_be_are_refused_and_the_others_stand() -> None:
    found = placed(
        [
            row(1, uptime_s=0),
            row(2, uptime_s=1000 + 61),
            row(3),
            row(4, uptime_s=1000 + 59),
            row(5, clock=5),
        ],
        uptime_s=1000,
        sent_at=5 + 8 * 86_400,
    )
    assert slots(found) == [NOW - 1000, "in_future", "no_clock", NOW, "too_old"]
    young = TERMS._replace(since=NOW - 500)
    assert slots(placed([row(1, uptime_s=0), row(2, uptime_s=900)], uptime_s=1000, terms=young)) == [
        "before_site",
        NOW - 100,
    ]


def test_nothing_is_measured_at_a_site_that_is_not_active() -> None:
    found = placed([row(1, uptime_s=1)], uptime_s=2, terms=TERMS._replace(lifecycle="suspended"))
    assert slots(found) == ["not_active"]


def test_the_newest_row_is_how_the_site_is_now_if_it_is_recent() -> None:
    lost: dict[str, Any] = {"rtt_ms": []}
    found = placed([row(2, uptime_s=130, **lost), row(1, uptime_s=70, **lost)], uptime_s=220)
    newest, older = (one.row for one in found)
    assert newest is not None
    assert older is not None
    assert (newest.outcome, newest.valid_s, newest.reason) == ("ok", 300, None)
    assert (older.outcome, older.valid_s, older.reason) == ("timeout", 60, "claimed")
    assert [one.live for one in found] == [True, False]
    assert [one.live for one in placed([row(1, uptime_s=129)], uptime_s=220)] == [False], "over 1.5 beats ago"


def test_what_was_not_sent_is_no_loss() -> None:
    (first, _) = placed([row(1, uptime_s=1, sent=0, rtt_ms=[]), row(2, uptime_s=500)], uptime_s=500)
    assert first.row is not None
    assert (first.row.outcome, first.row.reason) == ("fault", "not sent")


def test_rows_of_the_same_second_move_apart_and_never_into_the_future() -> None:
    assert seconds_apart([5, 5, 5, 9], 20) == [5, 6, 7, 9]
    assert seconds_apart([5, 5, 6, 6], 6) == [3, 4, 5, 6]
    assert slots(placed([row(n, uptime_s=220) for n in range(4)], uptime_s=220)) == [NOW - 3, NOW - 2, NOW - 1, NOW]


@given(st.lists(st.integers(0, 50), min_size=1), st.integers(50, 60))
def test_moving_apart_keeps_the_order_and_moves_none_that_is_free(given_: list[int], last: int) -> None:
    before = sorted(given_)
    after = seconds_apart(list(before), last)
    assert all(one < other for one, other in pairwise(after))
    assert after[-1] <= last
    if len(set(before)) == len(before):
        assert after == before


@given(
    ups=st.lists(st.integers(0, 7 * 86_400_000 - 1000), min_size=1, max_size=50, unique_by=lambda ms: ms // 1000),
    now_ms=st.integers(NOW * 1000, NOW * 1000 + 10_000_000),
    clock=st.integers(0, 4_000_000_000),
)
def test_placing_by_uptime_is_exact_whatever_any_clock_says(ups: list[int], now_ms: int, clock: int) -> None:
    """Rows of whole seconds apart, measured `ago` before the receipt."""
    up_ms = 7 * 86_400_000
    batch = [row(n, uptime_s=(up_ms - ms) / 1000, clock=clock + n) for n, ms in enumerate(ups)]
    found = placed(batch, now=now_ms / 1000, uptime_s=up_ms / 1000, sent_at=clock)
    exact = [(now_ms - ms) // 1000 for ms in ups]
    by_time = sorted(zip(exact, slots(found), strict=True))
    assert [slot for _, slot in by_time] == seconds_apart(sorted(exact), now_ms // 1000)


@given(
    clocks=st.lists(st.integers(0, 4_000_000_000), min_size=1, max_size=30),
    sent=st.integers(0, 4_000_000_000),
    ups=st.lists(st.one_of(st.none(), st.integers(0, 10**9)), min_size=30, max_size=30),
    up=st.one_of(st.none(), st.integers(0, 10**9)),
)
def test_no_row_is_in_the_future_nor_too_old_nor_shares_its_second(
    clocks: list[int], sent: int, ups: list[int | None], up: int | None
) -> None:
    batch = [row(n, clock=clock, uptime_s=ups[n]) for n, clock in enumerate(clocks)]
    found = placed(batch, uptime_s=up, sent_at=sent)
    taken = [one.row.slot for one in found if one.row is not None]
    assert len(set(taken)) == len(taken)
    assert all(NOW - KEPT_S <= slot <= NOW for slot in taken)
    assert [one.measured.number for one in found] == list(range(len(clocks)))


ANY = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=["Cs"])),
        st.sampled_from(["1w2d03:04:05", "2026-11-24T06:00:00Z"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=5,
)
FIELDS = [*MEASURED, *SENDER, "sent_at"]
ROWS = st.dictionaries(st.sampled_from(FIELDS), st.one_of(ANY, st.integers(0, 100)), max_size=9)


@settings(deadline=None)
@given(st.one_of(ROWS, st.builds(lambda beside, batch: beside | {"batch": batch}, ROWS, st.lists(ROWS, max_size=5))))
def test_whatever_is_sent_is_taken_or_told_and_fits_where_it_goes(body: dict[str, Any]) -> None:
    push = parser.read(parser.load(orjson.dumps(body)))
    found = place(push, NOW * 1_000_000, TERMS)
    assert all(one.message.format_map(one.values) for one in push.faults)
    assert len(found) + len({one.row for one in push.faults} - {None}) == len(body.get("batch", [body]))
    for one in found:
        assert 0 <= one.measured.seq <= 2**53
        if one.row is not None:
            assert NOW - KEPT_S <= one.row.slot <= NOW
            assert len(one.row.rtt_us) <= one.row.sent <= 100
            assert all(0 <= rtt <= 60_000_000 for rtt in one.row.rtt_us)
