"""Cursors hold the sort key of a page's last row; what is no cursor of ours is refused."""

import base64
from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.core.clock import parse_moment
from app.core.errors import Invalid
from app.core.periods import Period
from app.web.pagination import BY_ID, PeriodCursorCodec, cursor_codec
from app.web.params import row_id

NOON = datetime(2026, 11, 24, 12, 0, 0, 250_000, tzinfo=UTC)


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_a_cursor_gives_back_the_key_that_it_was_written_with() -> None:
    by_start = cursor_codec(parse_moment, row_id)
    assert by_start.read(by_start.write((NOON, 7))) == (NOON, 7)
    assert by_start.read(by_start.write((NOON.astimezone(timezone(timedelta(hours=8))), 7))) == (NOON, 7)
    by_share = cursor_codec(float, float, row_id, str)
    assert by_share.read(by_share.write((0.1, float("inf"), 3, "vsat"))) == (0.1, float("inf"), 3, "vsat")
    assert cursor_codec(str).read(cursor_codec(str).write("64.02~x")) == "64.02~x"
    assert BY_ID.read(None) is None


def test_a_page_has_a_cursor_only_when_there_are_more_rows() -> None:
    rows = [3, 5, 8]
    page, cursor = BY_ID.page(rows, 2, lambda row: row)
    assert (page, BY_ID.read(cursor)) == ([3, 5], 5)
    assert BY_ID.page(rows, 3, lambda row: row) == (rows, None)
    assert BY_ID.page([], 3, lambda row: row) == ([], None)


def test_later_pages_keep_the_period_of_the_first() -> None:
    by_rank = PeriodCursorCodec(row_id)
    first, later = Period(NOON, NOON + timedelta(days=1)), Period(NOON + timedelta(hours=1), NOON + timedelta(days=2))
    assert by_rank.resume(None, first, 0) == (first, 0)
    assert by_rank.resume(by_rank.write_within(first, 100), later, 0) == (first, 100)


@pytest.mark.parametrize(
    "cursor",
    [
        "%%%",
        "x",
        encoded("\0"),
        encoded("2026-11-24T12:00:00+00:00"),
        encoded("2026-11-24T12:00:00+00:00~0"),
        encoded("2026-11-24T12:00:00+00:00~1~2"),
        encoded("2026-11-24T12:00:00~1"),
        encoded(f"2026-11-24T12:00:00+00:00~{'9' * 5000}"),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)
def test_a_cursor_that_is_not_ours_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid) as refused:
        cursor_codec(parse_moment, row_id).read(cursor)
    assert [fault.code for fault in refused.value.faults] == ["bad_cursor"]


def test_a_cursor_whose_period_ends_before_it_starts_is_refused() -> None:
    by_rank = PeriodCursorCodec(row_id)
    for end in (NOON, NOON - timedelta(hours=1)):
        with pytest.raises(Invalid):
            by_rank.resume(by_rank.write((NOON, end, 1)), Period(NOON, NOON + timedelta(days=1)), 0)
