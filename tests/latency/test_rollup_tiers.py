"""How a period is split into rolled-up ranges."""

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
def test_ranges_cover_the_period_exactly_and_use_only_what_is_rolled_up(
    a: int, b: int, hours: int, days: int, stale: set[int], shortest: int
) -> None:
    start, end = (START + timedelta(seconds=second) for second in sorted((a, b)))
    reached = START + timedelta(hours=hours)
    progress = RollupProgress(
        reached,
        min(floor(reached, Tier.DAY), midnight(date(2026, 1, 1) + timedelta(days=days))),
        {date(2026, 1, 1) + timedelta(days=day) for day in stale},
    )
    ranges = list(split_by_tier(start, end, TIERS[shortest:], progress))
    assert [r.start for r in ranges] + [end] == [start] + [r.end for r in ranges] or (not ranges and start == end)
    for part in ranges:
        assert part.start < part.end
        if part.tier is not Tier.RAW:
            assert part.end <= progress.rolled_up_to(part.tier)
            assert floor(part.start, part.tier) == part.start == ceil(part.start, part.tier)
            assert floor(part.end, part.tier) == part.end
        if part.tier in {Tier.DAY, Tier.MONTH}:
            assert not any(part.start <= midnight(day) < part.end for day in progress.stale_days)
        if part.tier is Tier.RAW and part.end <= progress.hours:
            assert ceil(part.start, Tier.HOUR) >= floor(part.end, Tier.HOUR), "no whole hour in it"


def test_a_year_is_twelve_months_and_ragged_edges_are_as_short_as_they_can_be() -> None:
    progress = RollupProgress(midnight(date(2027, 1, 1)), midnight(date(2027, 1, 1)))
    whole = list(split_by_tier(midnight(date(2026, 1, 1)), midnight(date(2027, 1, 1)), TIERS, progress))
    assert [part.tier for part in whole] == ["month"]
    start, end = (datetime(2026, 1, 30, 22, 30, tzinfo=WITA), datetime(2026, 3, 2, 1, 0, 5, tzinfo=WITA))
    ragged = [
        (part.tier.value, part.start.astimezone(WITA).isoformat()[:16])
        for part in split_by_tier(start, end, TIERS, progress)
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
