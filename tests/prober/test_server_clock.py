"""Slots are the server's seconds, whatever this machine's own clock shows or does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.prober.server_clock import ServerClock

SERVER_S = 1_795_910_400.0


class Clocks:
    """`wall` may be set; `even` only goes on. An answer takes `rtt_s`, and was made `share` of it after the request."""

    def __init__(self, wall_s: float = SERVER_S) -> None:
        self.wall_s, self.even_s, self.server_s = wall_s, 100.0, SERVER_S
        self.clock = ServerClock(lambda: self.wall_s, lambda: self.even_s)

    def pass_time(self, seconds: float) -> None:
        self.wall_s += seconds
        self.even_s += seconds
        self.server_s += seconds

    def answer(self, rtt_s: float = 0.02, share: float = 0.5, ahead_s: float = 0.0) -> float | None:
        sent_s = self.even_s
        self.pass_time(rtt_s * share)
        server_s = self.server_s + ahead_s
        self.pass_time(rtt_s * (1 - share))
        return self.clock.observe(server_s, sent_s=sent_s, received_s=self.even_s)

    @property
    def error_s(self) -> float:
        return self.clock.now() - self.server_s


@given(st.lists(st.tuples(st.floats(0.001, 0.9), st.floats(0, 1), st.floats(0, 1000)), min_size=1))
def test_it_is_as_right_as_the_best_answer_and_never_steps(answers: list[tuple[float, float, float]]) -> None:
    clocks = Clocks(wall_s=5.0)
    for rtt_s, share, pause_s in answers:
        assert clocks.answer(rtt_s, share) is None
        assert abs(clocks.error_s) <= rtt_s / 2 + 1e-3
        clocks.pass_time(pause_s)


def test_a_wall_clock_that_is_stepped_moves_nothing_and_its_offset_is_known() -> None:
    clocks = Clocks()
    clocks.answer()
    clocks.wall_s -= 3600
    assert clocks.answer() is None
    assert clocks.error_s == pytest.approx(0, abs=0.01)
    assert clocks.clock.offset_s == pytest.approx(-3600, abs=0.01)


def test_a_server_that_is_stepped_is_followed_once_two_answers_agree() -> None:
    clocks = Clocks()
    clocks.answer()
    clocks.server_s += 30
    assert clocks.answer() is None
    assert clocks.answer() == pytest.approx(30, abs=0.02)
    assert clocks.error_s == pytest.approx(0, abs=0.01)
    assert clocks.answer() is None


def test_two_servers_whose_clocks_differ_are_not_followed_back_and_forth() -> None:
    clocks = Clocks()
    clocks.answer()
    for _ in range(10):
        assert clocks.answer(ahead_s=5) is None
        assert clocks.answer() is None
    assert clocks.error_s == pytest.approx(0, abs=0.01)


def test_an_answer_that_took_seconds_proves_no_step() -> None:
    clocks = Clocks()
    clocks.answer()
    for _ in range(3):
        assert clocks.answer(rtt_s=8, share=1) is None
    assert clocks.error_s == pytest.approx(0, abs=0.02)


def test_an_assumed_clock_is_corrected_by_the_first_answer() -> None:
    clocks = Clocks(wall_s=SERVER_S + 300)
    clocks.clock.assume(60)  # as far off as it was when the server answered last
    assert (clocks.clock.is_set, clocks.clock.is_verified) == (True, False)
    clocks.pass_time(1000)
    assert clocks.answer() == pytest.approx(-240, abs=0.02)
    assert clocks.clock.is_verified
    assert clocks.error_s == pytest.approx(0, abs=0.01)
