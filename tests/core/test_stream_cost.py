"""What a held stream costs, and what it may."""

import pytest
from pydantic import ValidationError

from app.core.stream_cost import MAX_MONTHLY_BYTES, SERVER_LINE_BYTES, monthly_bytes, pings_bytes, server_lines
from app.profiles import Profile, profiles


def test_every_profile_of_ours_is_within_the_limit() -> None:
    assert {monthly_bytes(one.stream_beat_s, one.beat_s) for one in profiles().values()} == {0, 14_785_200}
    assert MAX_MONTHLY_BYTES == 15_000_000


@pytest.mark.parametrize(
    ("beat_s", "measured_each_s"), [(25, 60), (30, 300)], ids=["a shorter beat", "seldom measured"]
)
def test_a_profile_whose_stream_costs_more_is_refused(beat_s: int, measured_each_s: int) -> None:
    values = {"interval_s": 60, "timeout_ms": 2000, "loss_pct": 15, "rtt_ms": 150}
    with pytest.raises(
        ValidationError, match=r"stream_beat_s: a stream with a beat each \d+ s costs 1\d\.\d MB a month"
    ):
        Profile(**values, stream_beat_s=beat_s, beat_s=measured_each_s)


def test_a_device_that_pings_gets_lines_as_seldom_as_it_asks_and_its_pings_are_counted_with_them() -> None:
    assert server_lines(40, 30, 60) == (60, SERVER_LINE_BYTES), "an agent of before"
    assert server_lines(60, 30, 60) == (60, SERVER_LINE_BYTES)
    assert server_lines(240, 30, 60) == (240, SERVER_LINE_BYTES + 12 * 56)
    assert pings_bytes(30, 60, 60) == 3 * 56
