"""Slots of rows, whatever the clocks of devices show: pure."""

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.push import parser
from app.push.schemas import MEASURED, SENDER
from app.push.timestamps import MAX_AGE_S, PushSite, TimedRow, assign_slots, distinct_slots

NOW = 1_795_500_000
SITE = PushSite(1, "active", NOW - 30 * 86_400, beat_s=60, send_every_s=300)


def row(seq: int, **changes: Any) -> dict[str, Any]:
    return {"boot": "b", "seq": seq, "sent": 3, "rtt_ms": [20]} | changes


def timed_rows(
    batch: list[dict[str, Any]], *, now: float = NOW, site: PushSite = SITE, **sender: Any
) -> list[TimedRow]:
    push = parser.parse({"boot": "b"} | sender | {"batch": batch})
    assert push.faults == []
    return assign_slots(push, round(now * 1_000_000), site)


def slots(rows: list[TimedRow]) -> list[int | str]:
    """The slot of each row, or the code of its rejection."""
    return [row.reading.slot if row.reading else row.fault.code if row.fault else "" for row in rows]


def test_a_row_is_dated_by_its_devices_uptime() -> None:
    rows = timed_rows([row(1, uptime_s=100), row(2, uptime_s="00:02:40"), row(3, uptime_s=219.5)], uptime_s=220)
    assert slots(rows) == [NOW - 120, NOW - 60, NOW - 1]


def test_uptime_takes_precedence_over_the_clock() -> None:
    rows = timed_rows(
        [row(1, uptime_s=100, clock="1999-01-01T00:00:00Z")], uptime_s=220, sent_at="2031-01-01T00:00:00Z"
    )
    assert slots(rows) == [NOW - 120]


def test_a_clock_is_corrected_by_its_offset() -> None:
    rows = timed_rows([row(1, clock="1970-01-01T00:05:00Z"), row(2, clock=420)], sent_at=480)
    assert slots(rows) == [NOW - 180, NOW - 60]


def test_rows_of_an_older_boot_are_dated_by_clock_never_by_this_boots_uptime() -> None:
    older = row(1, boot="a", uptime_s=50)
    assert slots(timed_rows([older], uptime_s=220)) == ["no_clock"]
    assert slots(timed_rows([older | {"clock": 1000}], uptime_s=220, sent_at=4600)) == [NOW - 3600]


def test_a_row_lies_where_its_boots_epoch_puts_it_however_long_the_batch_was_on_its_way() -> None:
    rows = timed_rows([row(1, uptime_s=100), row(2, uptime_s=160)], uptime_s=220, epochs={"b": NOW - 256})
    assert slots(rows) == [NOW - 156, NOW - 96], "the batch took 36 s to connect"


@pytest.mark.parametrize("epoch", [NOW - 220 + 3, NOW - 220 - 121, 0])
def test_a_boots_own_epoch_is_not_believed_where_its_batch_came_before_it_was_sent_or_long_after(epoch: float) -> None:
    rows = timed_rows([row(1, uptime_s=100)], uptime_s=220, epochs={"b": epoch})
    assert slots(rows) == [NOW - 120]


def test_a_row_that_reads_a_second_before_its_site_began_belongs_to_the_first_second() -> None:
    site = SITE._replace(since=NOW - 100)
    rows = timed_rows([row(1, uptime_s=97), row(2, uptime_s=99)], uptime_s=200, site=site)
    assert slots(rows) == ["before_site", NOW - 100]


def test_rows_of_an_older_boot_are_dated_by_its_own_epoch_never_by_this_boots_clock() -> None:
    older = row(1, boot="a", uptime_s=50, clock=NOW - 3600)
    slow: dict[str, Any] = {"uptime_s": 220, "sent_at": NOW - 300, "epochs": {"a": NOW - 5050.5}}
    assert slots(timed_rows([older], **slow)) == [NOW - 5001]
    assert slots(timed_rows([older], **slow | {"epochs": {"a": NOW + 900}})) == ["in_future"]


def test_rows_with_impossible_times_are_rejected_and_the_others_accepted() -> None:
    rows = timed_rows(
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
    assert slots(rows) == [NOW - 1000, "in_future", "no_clock", NOW, "too_old"]
    young = SITE._replace(since=NOW - 500)
    assert slots(timed_rows([row(1, uptime_s=0), row(2, uptime_s=900)], uptime_s=1000, site=young)) == [
        "before_site",
        NOW - 100,
    ]


def test_rows_of_a_suspended_site_are_rejected() -> None:
    rows = timed_rows([row(1, uptime_s=1)], uptime_s=2, site=SITE._replace(lifecycle="suspended"))
    assert slots(rows) == ["not_active"]


def test_the_newest_row_is_live_if_it_is_recent_and_answered() -> None:
    rows = timed_rows([row(2, uptime_s=130), row(1, uptime_s=70, rtt_ms=[])], uptime_s=220)
    newest, older = (timed.reading for timed in rows)
    assert newest is not None
    assert older is not None
    assert (newest.outcome, newest.valid_s, newest.reason) == ("ok", 300, None)
    assert (older.outcome, older.valid_s, older.reason) == ("timeout", 60, "claimed")
    assert [timed.live for timed in rows] == [True, False]
    assert [timed.live for timed in timed_rows([row(1, uptime_s=129)], uptime_s=220)] == [False], "over 1.5 beats ago"


def test_a_newest_row_that_lost_all_its_packets_is_a_timeout_however_recent() -> None:
    (timed,) = timed_rows([row(1, uptime_s=215, rtt_ms=[])], uptime_s=220)
    assert timed.reading is not None
    assert (timed.reading.outcome, timed.reading.valid_s, timed.reading.reason) == ("timeout", 60, "claimed")
    assert not timed.live


def test_a_row_without_sent_packets_is_a_fault_and_no_loss() -> None:
    (first, _) = timed_rows([row(1, uptime_s=1, sent=0, rtt_ms=[]), row(2, uptime_s=500)], uptime_s=500)
    assert first.reading is not None
    assert (first.reading.outcome, first.reading.reason) == ("fault", "not sent")


def test_rows_of_one_second_get_distinct_slots_and_none_in_the_future() -> None:
    assert distinct_slots([5, 5, 5, 9], 20) == [5, 6, 7, 9]
    assert distinct_slots([5, 5, 6, 6], 6) == [3, 4, 5, 6]
    assert slots(timed_rows([row(n, uptime_s=220) for n in range(4)], uptime_s=220)) == [NOW - 3, NOW - 2, NOW - 1, NOW]


@given(st.lists(st.integers(0, 50), min_size=1), st.integers(50, 60))
def test_distinct_slots_keep_their_order_and_free_slots_do_not_move(moments: list[int], last: int) -> None:
    before = sorted(moments)
    after = distinct_slots(list(before), last)
    assert all(earlier < later for earlier, later in pairwise(after))
    assert after[-1] <= last
    if len(set(before)) == len(before):
        assert after == before


@given(
    ages_ms=st.lists(st.integers(0, 7 * 86_400_000 - 1000), min_size=1, max_size=50, unique_by=lambda ms: ms // 1000),
    now_ms=st.integers(NOW * 1000, NOW * 1000 + 10_000_000),
    clock=st.integers(0, 4_000_000_000),
)
def test_dating_by_uptime_is_exact_whatever_any_clock_shows(ages_ms: list[int], now_ms: int, clock: int) -> None:
    """Rows measured `ages_ms` before the receipt, no two in the same second."""
    up_ms = 7 * 86_400_000
    batch = [row(n, uptime_s=(up_ms - ms) / 1000, clock=clock + n) for n, ms in enumerate(ages_ms)]
    rows = timed_rows(batch, now=now_ms / 1000, uptime_s=up_ms / 1000, sent_at=clock)
    exact = [(now_ms - ms) // 1000 for ms in ages_ms]
    by_time = sorted(zip(exact, slots(rows), strict=True))
    assert [slot for _, slot in by_time] == distinct_slots(sorted(exact), now_ms // 1000)


@given(
    clocks=st.lists(st.integers(0, 4_000_000_000), min_size=1, max_size=30),
    sent=st.integers(0, 4_000_000_000),
    ups=st.lists(st.one_of(st.none(), st.integers(0, 10**9)), min_size=30, max_size=30),
    up=st.one_of(st.none(), st.integers(0, 10**9)),
)
def test_no_reading_is_in_the_future_or_too_old_or_shares_its_slot(
    clocks: list[int], sent: int, ups: list[int | None], up: int | None
) -> None:
    batch = [row(n, clock=clock, uptime_s=ups[n]) for n, clock in enumerate(clocks)]
    rows = timed_rows(batch, uptime_s=up, sent_at=sent)
    readings = [timed.reading for timed in rows if timed.reading is not None]
    assert len({reading.slot for reading in readings}) == len(readings)
    assert all(NOW - MAX_AGE_S <= reading.slot <= NOW for reading in readings)
    assert [timed.row.position for timed in rows] == list(range(len(clocks)))


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
def test_every_row_of_any_body_is_accepted_or_rejected_and_fits_the_database(body: dict[str, Any]) -> None:
    push = parser.parse(parser.load(orjson.dumps(body)))
    rows = assign_slots(push, NOW * 1_000_000, SITE)
    assert all(fault.message.format_map(fault.values) for fault in push.faults)
    assert len(rows) + len({fault.row for fault in push.faults} - {None}) == len(body.get("batch", [body]))
    for timed in rows:
        assert 0 <= timed.row.seq <= 2**53
        if (reading := timed.reading) is not None:
            assert NOW - MAX_AGE_S <= reading.slot <= NOW
            assert len(reading.rtt_us) <= reading.sent <= 100
            assert all(0 <= rtt_us <= 60_000_000 for rtt_us in reading.rtt_us)
