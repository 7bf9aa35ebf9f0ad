"""The rate of a transfer from its samples, warm-up excluded."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.rate import WARM_UP, Rate, Sample, rate_of
from simulator.shaped_server import Shape

EACH_S = 0.25


def samples(*stretches: tuple[float, float]) -> list[Sample]:
    """Of stretches of so many seconds at so many Mbps."""
    out = [Sample(0.0, 0)]
    for seconds, mbps in stretches:
        for _ in range(round(seconds / EACH_S)):
            out.append(Sample(out[-1].at_s + EACH_S, out[-1].bytes + round(mbps * 1e6 / 8 * EACH_S)))
    return out


def of_link(shape: Shape, seconds: float) -> list[Sample]:
    return [Sample(n * EACH_S, int(shape.bytes_by(n * EACH_S))) for n in range(round(seconds / EACH_S) + 1)]


@given(mbps=st.floats(0.2, 1000), seconds=st.floats(1, 30))
def test_a_constant_rate_is_found_exactly(mbps: float, seconds: float) -> None:
    count = max(4, int(seconds / EACH_S))
    moments = [n * seconds / count for n in range(count + 1)]
    found = rate_of([Sample(at_s, round(mbps * 125_000 * at_s)) for at_s in moments])
    assert found.mbps == pytest.approx(mbps, rel=1e-3)
    assert found.warm_up_s == pytest.approx(WARM_UP * seconds)


@given(mbps=st.floats(2, 200), rtt_ms=st.floats(10, 600), measured_s=st.floats(2.5, 8))
def test_the_rise_of_tcp_is_left_out(mbps: float, rtt_ms: float, measured_s: float) -> None:
    shape = Shape(mbps, rtt_ms)
    found = rate_of(of_link(shape, shape.full_after_s() + measured_s))
    assert found.mbps == pytest.approx(mbps, rel=0.1)


@pytest.mark.parametrize("mbps", [2, 20, 50, 200])
def test_over_a_satellites_path_ten_seconds_are_enough(mbps: float) -> None:
    assert rate_of(of_link(Shape(mbps, 600), 10)).mbps == pytest.approx(mbps, rel=0.05)


def test_a_rate_that_rises_to_the_end_has_no_figure() -> None:
    found = rate_of(of_link(Shape(200, 600), 5))
    assert (found.mbps, found.reason) == (None, "still_rising")


def test_a_stall_after_the_warm_up_counts() -> None:
    assert rate_of(samples((4, 20), (2, 0), (4, 20))).mbps == pytest.approx(20 * 5.5 / 7.5, rel=1e-3)
    assert rate_of(samples((5, 20), (5, 0))).mbps == pytest.approx(20 * 2.5 / 7.5, rel=1e-3)


def test_what_a_burst_gained_at_first_is_left_out() -> None:
    assert rate_of(samples((2, 100), (8, 10))).mbps == pytest.approx(10, rel=1e-3)
    assert rate_of(samples((3, 100), (7, 10))).mbps == pytest.approx(10, rel=1e-3), "longer than a quarter of the time"
    assert rate_of(samples((0.75, 55), (1.5, 20))).mbps == pytest.approx(20, rel=1e-3), "what nginx' kernel swallows"


def test_what_is_too_short_or_too_little_has_no_figure() -> None:
    assert rate_of([]) == rate_of(samples((0.75, 50))) == Rate(None, reason="too_short")
    assert rate_of([Sample(second, second) for second in range(11)]) == Rate(None, reason="too_little")


@given(st.lists(st.tuples(st.floats(0.01, 3), st.integers(0, 10_000_000)), max_size=40))
def test_the_warm_up_is_a_quarter_at_least_and_the_figure_one_that_was_there(steps: list[tuple[float, int]]) -> None:
    given_samples = [Sample(0.0, 0)]
    for seconds, size in steps:
        given_samples.append(Sample(given_samples[-1].at_s + seconds, given_samples[-1].bytes + size))
    found = rate_of(given_samples)
    if found.mbps is None:
        assert found.reason in {"too_short", "too_little", "still_rising"}
        return
    assert given_samples[-1].at_s * WARM_UP <= found.warm_up_s + 1e-9
    fastest = max((b.bytes - a.bytes) * 8 / 1e6 / (b.at_s - a.at_s) for a, b in pairwise(given_samples))
    assert 0 <= found.mbps <= fastest * (1 + 1e-6)
