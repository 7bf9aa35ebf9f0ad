"""The arithmetic of the method: exact counts, with bounds for what is contested; nothing passes unmeasured."""

from fractions import Fraction
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.compliance.method import METHODS, METODE_V1
from app.compliance.sample_draw import draw, seed_of
from app.compliance.shares import ComplianceVerdict, Doubt, Judged, PartResult, Share, judge_share, overall
from app.latency.look_counts import LOOK_BOUNDS_MS
from app.latency.look_sql import EVENING_FROM_H
from app.profiles import Technology

PASSES, FAILS, OPEN, NOT_PROMISED = PartResult
COMPLIES, DOES_NOT, UNDETERMINED = ComplianceVerdict
NUMBERS = st.integers(0, 10_000)


@given(NUMBERS, NUMBERS, NUMBERS, st.integers(1, 100))
def test_a_share_is_judged_as_exact_fractions_say(passed: int, failed: int, contested: int, required: int) -> None:
    share = Share(passed + failed, passed, contested)
    whole = passed + failed + contested
    worst, best = (Fraction(100 * n, whole or 1) for n in (passed, passed + contested))
    expected = PASSES if not whole or worst >= required else FAILS if best < required else OPEN
    assert share.judge(required) is expected
    if whole:
        assert share.worst_pct == int(worst * 1000) / 1000
        assert share.best_pct == int(best * 1000) / 1000


@given(NUMBERS, NUMBERS, NUMBERS, st.integers(0, 500))
def test_what_has_no_result_never_makes_a_failing_share_pass(
    passed: int, failed: int, contested: int, hidden: int
) -> None:
    """Whoever lets slow tests end without a result, instead of with a bad one, gets no better than undetermined."""
    hidden = min(hidden, failed)
    honest = Share(passed + failed, passed, contested).judge(80)
    gamed = Share(passed + failed - hidden, passed, contested + hidden).judge(80)
    assert (honest is not PASSES) <= (gamed is not PASSES)


@given(NUMBERS, NUMBERS, st.integers(0, 29), st.integers(1, 100))
def test_too_few_results_or_sites_never_pass(tests: int, extra: int, few: int, sites: int) -> None:
    least = {"required_pct": 80, "least": 30, "sites_pct": 80}
    assert judge_share(Share(few, few), sites=sites, measured=sites, **least) == Judged(OPEN, Doubt.TOO_FEW)
    measured = (80 * sites - 1) // 100
    share = Share(30 + tests + extra, 30 + tests)
    assert judge_share(share, sites=sites, measured=measured, **least) == Judged(OPEN, Doubt.TOO_FEW_SITES)
    assert judge_share(share, sites=sites, measured=sites, **least).result is not OPEN


@pytest.mark.parametrize(
    ("availability", "down", "up", "latency", "verdict"),
    [
        (PASSES, PASSES, PASSES, PASSES, COMPLIES),
        (PASSES, PASSES, NOT_PROMISED, PASSES, COMPLIES),
        (PASSES, NOT_PROMISED, NOT_PROMISED, PASSES, UNDETERMINED),  # a contract without a speed proves none
        (PASSES, PASSES, OPEN, PASSES, UNDETERMINED),
        (OPEN, PASSES, PASSES, PASSES, UNDETERMINED),
        (OPEN, PASSES, FAILS, OPEN, DOES_NOT),
        (PASSES, PASSES, PASSES, FAILS, DOES_NOT),
        (FAILS, NOT_PROMISED, NOT_PROMISED, OPEN, DOES_NOT),
    ],
)
def test_one_failing_part_fails_all_and_one_open_part_keeps_it_from_complying(
    availability: PartResult, down: PartResult, up: PartResult, latency: PartResult, verdict: ComplianceVerdict
) -> None:
    assert overall(availability, [down, up], latency) is verdict


@pytest.mark.parametrize(
    ("sites", "drawn"),
    [(0, 0), (1, 1), (4, 4), (5, 5), (6, 5), (50, 5), (51, 6), (100, 10), (101, 11), (500, 50), (501, 50), (9999, 50)],
)
def test_a_sample_is_as_large_as_the_method_says(sites: int, drawn: int) -> None:
    assert METODE_V1.sample_size(sites) == drawn


@given(st.sets(st.from_regex(r"64\.0[1-3]-[0-9]{2}", fullmatch=True), max_size=60), st.randoms())
def test_a_draw_is_repeated_with_sha256_alone_whatever_the_order(codes: set[str], random: object) -> None:
    seed = sha256(b"Metode v1\n2027-Q1\ngempa M 4,1").hexdigest()
    assert seed == seed_of(METODE_V1, "2027-Q1", "gempa M 4,1")
    shuffled = list(codes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    by_hand = sorted((sha256(f"{seed} {code}".encode()).hexdigest(), code) for code in codes)
    assert draw(seed, shuffled, METODE_V1) == [code for _, code in by_hand][: METODE_V1.sample_size(len(codes))]


def test_every_limit_of_every_method_is_counted_exactly() -> None:
    for method in METHODS:
        assert set(method.limit_ms) == set(Technology)
        assert set(method.limit_ms.values()) <= set(LOOK_BOUNDS_MS)
        assert method.evening_hours == (EVENING_FROM_H, 24)
    assert len({method.version for method in METHODS}) == len(METHODS)
