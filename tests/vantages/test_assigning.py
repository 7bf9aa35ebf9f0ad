"""Sites shared among the probers of one vantage: nobody's while one lives is none, and who has a site keeps it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.vantages.assigning import NOBODY, TOLERANCE, assign
from app.vantages.live_probers import BLIND_S, LEASE_S, ProberState, live_by_vantage, next_change_s

LIVE = st.sets(st.integers(1, 12), max_size=6)
HOLDERS = st.lists(st.integers(NOBODY, 12), max_size=300)


def sites_of(holders: list[int]) -> np.ndarray:
    return np.arange(10, 10 + len(holders), dtype=np.int32)


def assigned(holders: list[int], live: set[int]) -> list[int]:
    result: list[int] = assign(sites_of(holders), np.array(holders, np.int32), live).tolist()
    return result


def counts(holders: list[int], live: set[int]) -> dict[int, int]:
    return {prober: holders.count(prober) for prober in live}


@given(HOLDERS, LIVE)
def test_every_site_has_a_live_prober_if_there_is_one(holders: list[int], live: set[int]) -> None:
    after = assigned(holders, live)
    assert after == holders if not live else set(after) <= live


@given(HOLDERS, LIVE)
def test_shares_differ_by_a_tenth_or_one_at_most(holders: list[int], live: set[int]) -> None:
    if live:
        shares = counts(assigned(holders, live), live).values()
        assert max(shares) - min(shares) <= max(1, TOLERANCE * (len(holders) // len(live)))


@given(HOLDERS, LIVE)
def test_nothing_moves_again_while_nothing_changes(holders: list[int], live: set[int]) -> None:
    once = assigned(holders, live)
    assert assigned(once, live) == once


@given(HOLDERS, LIVE)
def test_no_more_sites_move_than_must(holders: list[int], live: set[int]) -> None:
    """What is free moves; of the rest only what is beyond a fair share, and that only if shares are too uneven."""
    if not live:
        return
    moved = sum(before != after for before, after in zip(holders, assigned(holders, live), strict=True))
    had = sorted(counts(holders, live).values(), reverse=True)
    free = len(holders) - sum(had)
    fair, rest = divmod(len(holders), len(live))
    surplus = sum(max(0, count - fair - (place < rest)) for place, count in enumerate(had))
    assert moved in {free, free + surplus}
    if max(had) - min(had) <= 1:
        assert moved == free


@given(HOLDERS, st.sets(st.integers(1, 12), min_size=2, max_size=6))
def test_of_a_prober_that_dies_only_its_own_sites_move_and_they_are_spread(holders: list[int], live: set[int]) -> None:
    before = assigned(holders, live)
    dead = min(live)
    after = assigned(before, live - {dead})
    kept = [(old, new) for old, new in zip(before, after, strict=True) if old != dead]
    uneven = max(1, TOLERANCE * len(holders) / (len(live) - 1))
    shares = counts(before, live - {dead}).values()
    if max(shares) - min(shares) <= uneven - 1:
        assert all(old == new for old, new in kept)


def test_a_new_prober_gets_its_share_from_all_others() -> None:
    before = assigned([NOBODY] * 900, {1, 2, 3})
    after = assigned(before, {1, 2, 3, 4})
    assert counts(after, {1, 2, 3, 4}) == {1: 225, 2: 225, 3: 225, 4: 225}
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 225


def test_a_prober_that_returns_takes_nothing_while_shares_are_even_enough() -> None:
    before = assigned([NOBODY] * 1000, {1, 2})
    assert assigned([*before, *[NOBODY] * 40], {1, 2})[:1000] == before


def test_neighbours_in_the_registry_are_not_all_given_to_one() -> None:
    after = assigned([1] * 1000, {2, 3})
    assert all(len(set(after[first : first + 20])) == 2 for first in range(0, 1000, 20))


def test_a_million_sites_are_assigned_in_columns() -> None:
    after = assign(np.arange(1, 1_000_001, dtype=np.int32), np.ones(1_000_000, np.int32), set(range(2, 102)))
    assert np.bincount(after)[2:].tolist() == [10_000] * 100


def test_what_is_beyond_what_probers_take_waits_for_another_one() -> None:
    sites = np.arange(10, 20, dtype=np.int32)
    full = assign(sites, np.full(10, 1, np.int32), {1, 2}, most=3)
    assert np.bincount(full, minlength=3).tolist() == [4, 3, 3]
    assert (assign(sites, full, {1, 2}, most=3) == full).all()
    assert np.bincount(assign(sites, full, {1, 2, 3}, most=5)).tolist() == [0, 4, 3, 3]


def prober(number: int, silent_s: float | None, blind_s: float | None = None, vantage: int = 1) -> ProberState:
    return ProberState(number, vantage, silent_s, blind_s)


def test_who_was_not_heard_for_three_beats_has_no_lease() -> None:
    probers = [prober(1, 5), prober(2, LEASE_S + 0.1), prober(3, None), prober(4, 1, vantage=2)]
    assert live_by_vantage(probers) == {1: [1], 2: [4]}


def test_who_is_blind_gives_its_sites_to_who_sees_and_while_all_are_blind_everything_stays() -> None:
    assert live_by_vantage([prober(1, 5, BLIND_S + 1), prober(2, 5)]) == {1: [2]}
    assert live_by_vantage([prober(1, 5, BLIND_S - 1), prober(2, 5)]) == {1: [1, 2]}
    assert live_by_vantage([prober(1, 5, BLIND_S + 1), prober(2, 5, BLIND_S + 9)]) == {}


def test_nobody_is_looked_for_before_the_next_lease_can_run_out() -> None:
    assert next_change_s([prober(1, 5), prober(2, 12), prober(3, 400)]) == LEASE_S - 12
    assert next_change_s([prober(1, 5, BLIND_S - 3)]) == 3
    assert next_change_s([prober(1, None), prober(2, 31)]) == float("inf")
