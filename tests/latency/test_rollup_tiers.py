"""How a period is put together."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.core.clock import WITA, midnight
from app.latency.rollup_tiers import RollupProgress, Tier, ceil, floor, split_by_tier

TIERS = [Tier.MONTH, Tier.DAY, Tier.HOUR]
START = datetime(2026, 1, 1, tzinfo=UTC)
seconds = st.integers(0, 400 * 86_400)


@given(
    seconds,
    seconds,
    st.integers(0, 9000),
    st.integers(0, 400),
    st.sets(st.integers(0, 400), max_size=5),
    st.integers(0, 2),
)
def test_pieces_cover_the_period_exactly_and_never_trust_what_is_not_counted(
    a: int, b: int, hours: int, days: int, stale: set[int], shortest: int
) -> None:
    start, end = (START + timedelta(seconds=second) for second in sorted((a, b)))
    reached = START + timedelta(hours=hours)
    counted = RollupProgress(
        reached,
        min(floor(reached, Tier.DAY), midnight(date(2026, 1, 1) + timedelta(days=days))),
        {date(2026, 1, 1) + timedelta(days=day) for day in stale},
    )
    found = list(split_by_tier(start, end, TIERS[shortest:], counted))
    assert [p.start for p in found] + [end] == [start] + [p.end for p in found] or (not found and start == end)
    for piece in found:
        assert piece.start < piece.end
        if piece.tier is not Tier.RAW:
            assert piece.end <= counted.rolled_up_to(piece.tier)
            assert floor(piece.start, piece.tier) == piece.start == ceil(piece.start, piece.tier)
            assert floor(piece.end, piece.tier) == piece.end
        if piece.tier in {Tier.DAY, Tier.MONTH}:
            assert not any(piece.start <= midnight(day) < piece.end for day in counted.stale_days)
        if piece.tier is Tier.RAW and piece.end <= counted.hours:
            assert ceil(piece.start, Tier.HOUR) >= floor(piece.end, Tier.HOUR), "no whole hour in it"


def test_a_year_is_twelve_months_and_ragged_edges_are_as_short_as_they_can_be() -> None:
    counted = RollupProgress(midnight(date(2027, 1, 1)), midnight(date(2027, 1, 1)))
    whole = list(split_by_tier(midnight(date(2026, 1, 1)), midnight(date(2027, 1, 1)), TIERS, counted))
    assert [piece.tier for piece in whole] == ["month"]
    start, end = (datetime(2026, 1, 30, 22, 30, tzinfo=WITA), datetime(2026, 3, 2, 1, 0, 5, tzinfo=WITA))
    ragged = [
        (piece.tier.value, piece.start.astimezone(WITA).isoformat()[:16])
        for piece in split_by_tier(start, end, TIERS, counted)
    ]
    assert ragged == [
        ("raw", "2026-01-30T22:30"),
        ("hour", "2026-01-30T23:00"),
        ("day", "2026-01-31T00:00"),
        ("month", "2026-02-01T00:00"),
        ("day", "2026-03-01T00:00"),
        ("hour", "2026-03-02T00:00"),
        ("raw", "2026-03-02T01:00"),
    ]
