"""One definition of an outage: `/uptime`, `/incidents` and contracts count the same ones (docs/adr/0020)."""

from datetime import timedelta
from itertools import accumulate, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability.counting import CountableHistory, tally_parts
from app.core.clock import WITA, from_slot
from app.incidents.outages import LedgerSegment, ServicePeriod, derive_outages
from app.judging import invalidation
from app.judging.dirty_range import DirtyRange
from app.registry.configuration import ConfigurationInForce
from app.registry.models import State
from probes.contract import Outcome
from tests.conftest import Cast
from tests.support.incident_scenario import IncidentScenario, LedgerPiece
from tests.support.site_histories import day, execute, site_since, under_contract
from tests.support.uptime import count, get

BASE = 1_790_000_000

ledgers = st.lists(st.tuples(st.sampled_from(list(State)), st.integers(1, 400)), min_size=1, max_size=30)
services = st.lists(st.tuples(st.booleans(), st.integers(1, 900), st.integers(1, 3)), min_size=1, max_size=8)


@given(ledgers, services)
def test_figures_and_incidents_know_the_same_outages(
    ledger: list[tuple[State, int]], services: list[tuple[bool, int, int]]
) -> None:
    edges = list(accumulate((length for _, length in ledger), initial=BASE))
    states = [(a, b, state) for (state, _), (a, b) in zip(ledger, pairwise(edges), strict=True)]
    served = list(accumulate((length for _, length, _ in services), initial=BASE - 100))
    configurations = [
        (a, b, ConfigurationInForce(active, provider))
        for (active, _, provider), (a, b) in zip(services, pairwise(served), strict=True)
    ]
    (tally,) = tally_parts(CountableHistory(states, configurations, [], [], []), [(BASE, edges[-1])])
    segments = [LedgerSegment(from_slot(a), from_slot(b), state) for a, b, state in states]
    periods: list[ServicePeriod] = []
    for a, b, configuration in configurations:
        if configuration.active:
            adjoins = periods and periods[-1].ended_at == from_slot(a)
            start = periods.pop().started_at if adjoins else from_slot(a)
            periods.append(ServicePeriod(start, from_slot(b)))
    outages = derive_outages(segments, periods)
    assert tally.outages == len(outages)
    assert {started for _, started in tally.outage_seconds} == {round(o.started_at.timestamp()) for o in outages}


CASES: dict[str, list[LedgerPiece]] = {
    "our blindness": [(0, 100, "up"), (100, 200, "down"), (200, 230, "unknown"), (230, 300, "down"), (300, None, "up")],
    "a parent that is out": [
        (0, 100, "up"),
        (100, 200, "down"),
        (200, 300, "unreachable"),
        (300, 400, "down"),
        (400, None, "up"),
    ],
    "silence until the answer": [(0, 100, "up"), (100, 200, "down"), (200, 900, "unknown"), (900, None, "up")],
    "a degraded answer": [
        (0, 100, "up"),
        (100, 200, "down"),
        (200, 210, "degraded"),
        (210, 300, "down"),
        (300, None, "up"),
    ],
    "unreachable alone": [(0, 100, "up"), (100, 200, "unreachable"), (200, None, "up")],
}


@pytest.mark.parametrize(("case", "outages"), list(zip(CASES, (1, 1, 1, 2, 0), strict=True)))
async def test_uptime_and_incidents_agree(scenario: IncidentScenario, case: str, outages: int) -> None:
    site = await scenario.site()
    await scenario.write(site, *CASES[case])
    assert await _counted(scenario, site) == outages == len(await scenario.list_incidents())


async def test_the_end_of_service_is_the_end_of_an_outage_for_both(
    scenario: IncidentScenario, session: AsyncSession
) -> None:
    site = await scenario.site()
    await execute(
        session,
        "UPDATE site_configuration SET ended_at = :paused WHERE site_id = :id",
        "INSERT INTO site_configuration (site_id, started_at, ended_at, lifecycle, technology, provider_id, "
        "addressed_at, village_code) SELECT site_id, :paused, :resumed, 'suspended', technology, provider_id, "
        "addressed_at, village_code FROM site_configuration WHERE site_id = :id",
        "INSERT INTO site_configuration (site_id, started_at, lifecycle, technology, provider_id, addressed_at, "
        "village_code) SELECT site_id, :resumed, 'active', technology, provider_id, addressed_at, village_code "
        "FROM site_configuration WHERE site_id = :id AND ended_at = :paused",
        id=site,
        paused=scenario.at(150),
        resumed=scenario.at(180),
    )
    await scenario.write(site, (0, 100, "up"), (100, 300, "down"), (300, None, "up"))
    assert [one[2:] for one in await scenario.summaries()] == [(100, 150), (180, 300)]
    assert await _counted(scenario, site) == 2


async def _counted(scenario: IncidentScenario, site: int) -> Any:
    await hold_last_state(scenario, site)
    period = {"from": scenario.at(-100), "to": scenario.at(1000)}
    total = (await get(scenario.cast.sari, f"/sites/{site}/uptime", **period))["total"]
    region = (await get(scenario.cast.sari, "/regions/64/uptime", **period))["total"]
    assert region["outages"] == total["outages"]
    return total["outages"]


async def hold_last_state(scenario: IncidentScenario, site: int) -> None:
    """Let the last state hold until now."""
    async with scenario.sessions() as session:
        await execute(
            session,
            "UPDATE site_status SET evidence_at = :at, valid_s = 3600 WHERE site_id = :id",
            at=scenario.now - timedelta(seconds=1),
            id=site,
        )


@pytest.mark.parametrize(("least_s", "counted_s"), [(300, 0), (291, 0), (290, 310)])
async def test_a_contract_compares_its_least_duration_with_the_provable_minimum(
    scenario: IncidentScenario, session: AsyncSession, least_s: int, counted_s: int
) -> None:
    """Lost from 60 to 350, answered at 370: 310 s to the answer, 290 s proven."""
    site = await scenario.site()
    first = scenario.at(-100).astimezone(WITA).date()
    await under_contract(session, site, valid_from=first, terms=[(first, {"min_outage_s": least_s})])
    lost = [(second, Outcome.TIMEOUT) for second in range(60, 360, 10)]
    await scenario.read(site, (0, Outcome.OK), *lost)
    await scenario.read(site, (370, Outcome.OK))
    (incident,) = await scenario.list_incidents()
    assert (incident["duration_s"], incident["duration_min_s"]) == (310, 290)
    period = {"from": scenario.at(-100), "to": scenario.at(400)}
    total = (await get(scenario.cast.sari, f"/sites/{site}/uptime", **period))["total"]
    assert total["countable_down_s"] == counted_s


async def test_an_outage_that_nobody_saw_over_midnight_is_one_however_it_is_counted(
    session: AsyncSession, cast: Cast
) -> None:
    site = await site_since(
        session,
        cast,
        day(4),
        (day(3, 23), "down"),
        (day(3, 23.5), "unknown"),
        (day(1, 1), "down"),
        (day(1, 2), "up"),
        (day(1, 3), "down"),
        (day(1, 3.5), "up"),
    )
    for counted in (False, True):
        if counted:
            await count(session)
        for path in (f"/sites/{site}/uptime", "/regions/64/uptime"):
            answer = await get(cast.sari, path, step="day", **{"from": day(4), "to": day(0)})
            rows = [(row["outages"], row["longest_outage_s"]) for row in answer["series"]]
            assert rows == [(0, 0), (1, 1800), (0, 0), (2, 3600)], path
            assert (answer["total"]["outages"], answer["total"]["longest_outage_s"]) == (2, 5400), path
            part = await get(cast.sari, path, **{"from": day(2, 12), "to": day(0)})
            assert (part["total"]["outages"], part["total"]["longest_outage_s"]) == (2, 3600), path


async def test_a_change_at_one_end_of_an_outage_has_all_its_days_counted_again_and_no_other(
    session: AsyncSession, cast: Cast
) -> None:
    site = await site_since(
        session,
        cast,
        day(9),
        (day(7), "unknown"),
        (day(6), "up"),
        (day(5, 12), "down"),
        (day(4, 12), "unknown"),
        (day(2, 12), "down"),
        (day(2, 13), "up"),
    )
    await count(session)
    async with session.begin():
        await invalidation.invalidate(session, [DirtyRange(site, day(2, 13), day(2, 14), whole=True)])
        stale = await session.scalars(text("SELECT day FROM stale_day ORDER BY day"))
        assert list(stale) == [day(ago).astimezone(WITA).date() for ago in (5, 4, 3, 2)]
        await session.execute(text("DELETE FROM stale_day"))
        await invalidation.invalidate(session, [DirtyRange(site, day(6), day(6, 1), whole=True)])
        stale = await session.scalars(text("SELECT day FROM stale_day ORDER BY day"))
        assert list(stale) == [day(6).astimezone(WITA).date()], "what nobody saw, without an outage, is none of it"
