"""Histograms: merging is adding, and a percentile is within 2%."""

import math

from hypothesis import given
from hypothesis import strategies as st

from app.latency.histograms import LN_GAMMA
from tests.support.histogram import Histogram, bucket_of, centre_of
from tests.support.measured_sites import percentile

rtts = st.lists(st.integers(0, 5_000_000), max_size=40)
HELD = 0.02


@given(rtts, rtts, rtts)
def test_merging_is_associative_commutative_and_the_histogram_of_the_union(
    a: list[int], b: list[int], c: list[int]
) -> None:
    x, y, z = Histogram.of(a), Histogram.of(b), Histogram.of(c)
    assert (x + y) + z == x + (y + z) == Histogram.of(a + b + c)
    assert x + y == y + x
    assert x + Histogram() == x


@given(st.lists(st.integers(1, 5_000_000), min_size=1, max_size=60), st.floats(0, 1))
def test_any_percentile_of_anything_is_within_2_percent(rtts_us: list[int], q: float) -> None:
    exact, ours = percentile(rtts_us, q), Histogram.of(rtts_us).quantile(q)
    assert ours is not None
    assert abs(ours - exact) <= HELD * exact
    assert min(rtts_us) <= ours <= max(rtts_us)


def test_the_centre_of_a_bucket_is_within_2_percent_of_all_that_falls_into_it() -> None:
    for rtt in (*range(1, 2000), *range(2000, 3_000_000, 997)):
        assert abs(centre_of(bucket_of(rtt)) - rtt) <= HELD * rtt


def test_no_round_trip_time_is_near_enough_to_a_buckets_edge_to_be_rounded_across_it() -> None:
    """So that Python and PostgreSQL, or two machines, never disagree about a bucket."""
    nearest = min(abs(exact - round(exact)) for rtt in range(2, 3_000_000, 7) if (exact := math.log(rtt) / LN_GAMMA))
    assert nearest > 1e-9


def test_nothing_has_no_percentile() -> None:
    assert Histogram.of([]).quantile(0.5) is None
