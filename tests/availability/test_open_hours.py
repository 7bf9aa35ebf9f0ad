"""A site that is present only at times: outside its public hours nothing is missing, and contracts count as before."""

from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability.counting import CountableHistory, tally_parts
from app.availability.daily_rollup import count_days
from app.availability.open_hours import closed_hours
from app.core.clock import WITA, to_slot
from app.core.daily_window import MINUTES, DailyWindow
from app.postgres.engine import Sessions, transaction
from app.registry.configuration import ConfigurationInForce
from app.registry.models import State
from tests.conftest import Cast
from tests.support.random_histories import contracted_histories
from tests.support.site_histories import TERMS, day, execute, site_since, under_contract
from tests.support.uptime import get, when_yesterday_is_counted

LOW = to_slot(datetime(2026, 11, 24, tzinfo=UTC))
OFFICE = (DailyWindow(8 * 60, 16 * 60),)
minutes = st.integers(0, MINUTES - 1)
windows = st.lists(st.builds(DailyWindow, minutes, minutes), min_size=1, max_size=3).map(tuple)


@given(windows, st.integers(0, 200_000), st.integers(1, 200_000), st.lists(st.integers(0, 200_000), max_size=20))
def test_a_second_is_closed_if_no_window_of_its_day_has_it(
    open_hours: tuple[DailyWindow, ...], start: int, length: int, seconds: list[int]
) -> None:
    low, high = LOW + start, LOW + start + length
    closed = closed_hours([(0, 2**40, ConfigurationInForce(True, open_hours=open_hours))], low, high)
    assert all(a < b for a, b, _ in closed)
    assert all(a[1] < b[0] for a, b in pairwise(closed))
    for second in {low, high - 1, *(low + second % length for second in seconds)}:
        is_open = any(window.end_after(datetime.fromtimestamp(second, WITA)) is not None for window in open_hours)
        assert any(a <= second < b for a, b, _ in closed) is not is_open


@given(contracted_histories(), st.integers(-500, 3000), st.integers(1, 3000))
def test_hours_move_only_unknown_seconds_and_nothing_that_a_contract_counts(
    history: CountableHistory, start: int, length: int
) -> None:
    parts = [(LOW + start, LOW + start + length)]
    always = [(a, b, replace(configuration, open_hours=())) for a, b, configuration in history.configurations]
    hours = (DailyWindow(8 * 60 + 5, 8 * 60 + 25),)
    at_times = [(a, b, replace(configuration, open_hours=hours)) for a, b, configuration in always]
    (before,) = tally_parts(replace(history, configurations=always), parts)
    (after,) = tally_parts(replace(history, configurations=at_times), parts)
    assert sum(after.seconds.values()) == length
    moved = before.seconds["unknown"] - after.seconds["unknown"]
    assert 0 <= moved == after.seconds["inactive"] - before.seconds["inactive"]
    assert {kind: s for kind, s in after.seconds.items() if kind not in {"unknown", "inactive"}} == {
        kind: s for kind, s in before.seconds.items() if kind not in {"unknown", "inactive"}
    }
    assert (after.contracts, after.contract_s, after.countable_down_s) == (
        before.contracts,
        before.contract_s,
        before.countable_down_s,
    )


def test_what_was_measured_outside_the_hours_counts_as_measured() -> None:
    states = [
        (LOW, LOW + 3600, State.UP),
        (LOW + 3600, LOW + 7200, State.DOWN),
        (LOW + 7200, LOW + 86_400, State.UNKNOWN),
    ]
    night = (DailyWindow(20 * 60, 22 * 60),)
    history = CountableHistory(states, [(0, 2**40, ConfigurationInForce(True, open_hours=night))], [], [], [])
    (tally,) = tally_parts(history, [(LOW, LOW + 86_400)])
    assert tally.seconds | {"up": 3600, "down": 3600, "unknown": 7200, "inactive": 72_000} == tally.seconds


async def site_at_times(session: AsyncSession, cast: Cast) -> int:
    """An office that is on from eight to four, heard in all of these hours but the last."""
    site = await site_since(
        session,
        cast,
        day(4),
        *((day(ago, hour), state) for ago in (3, 2) for hour, state in ((0, "unknown"), (8, "up"), (15, "unknown"))),
        host_static=True,
        probe="push",
    )
    await execute(
        session,
        "UPDATE site_configuration SET presence = 'sometimes', public_hours = '08.00-16.00 WITA' WHERE site_id = :id",
        id=site,
    )
    return site


@pytest.mark.parametrize("counted", [False, True], ids=["live", "from the daily rollup"])
async def test_coverage_is_of_the_public_hours_for_the_site_and_its_district(
    cast: Cast, session: AsyncSession, sessions: Sessions, counted: bool
) -> None:
    site = await site_at_times(session, cast)
    await under_contract(session, site, valid_from=date(2020, 1, 1), terms=[(date(2020, 1, 1), TERMS)])
    if counted:
        async with transaction(sessions) as own:
            await count_days(own, when_yesterday_is_counted(), days=10)
    bounds = {"from": day(3), "to": day(1)}
    expected = {"up": 14 * 3600, "unknown": 2 * 3600, "inactive": 32 * 3600}
    for path in (f"/sites/{site}/uptime", "/regions/64.02/uptime"):
        total = (await get(cast.sari, path, **bounds))["total"]
        assert {kind: seconds for kind, seconds in total["seconds"].items() if seconds} == expected, path
        assert (total["coverage_pct"], total["uptime_pct"], total["worst_pct"]) == (87.5, 100, 87.5)
    contract = (await get(cast.sari, f"/sites/{site}/uptime", **bounds))["total"]["contract"]
    assert (contract["service_s"], contract["unknown_s"], contract["verdict"]) == (172_800, 34 * 3600, "undetermined")


async def test_the_hours_of_each_day_are_those_in_force_then(cast: Cast, session: AsyncSession) -> None:
    """Wider hours from today on leave what was outside of the old ones as it was."""
    site = await site_at_times(session, cast)
    before = await get(cast.sari, f"/sites/{site}/uptime", **{"from": day(3), "to": day(1)})
    await execute(session, "UPDATE site SET presence = 'sometimes', public_hours = '08-16' WHERE id = :id", id=site)
    for change in ({"public_hours": "00.00-23.00"}, {"presence": "always"}):
        answer = await cast.ana.patch(f"/sites/{site}", change)
        assert answer.status_code == 200, answer.text
    assert await get(cast.sari, f"/sites/{site}/uptime", **{"from": day(3), "to": day(1)}) == before


async def test_a_second_outside_the_hours_is_explained(cast: Cast, session: AsyncSession) -> None:
    site = await site_at_times(session, cast)
    explained = (await cast.ana.get(f"/sites/{site}/explanation", params={"at": day(3, 20).isoformat()})).json()
    assert (explained["state"], explained["counts_as"]) == ("unknown", "inactive")
    assert "outside its public hours" in " ".join(sentence["en"] for sentence in explained["why"])
    explained = (await cast.ana.get(f"/sites/{site}/explanation", params={"at": day(3, 15.5).isoformat()})).json()
    assert explained["counts_as"] == "unknown"
