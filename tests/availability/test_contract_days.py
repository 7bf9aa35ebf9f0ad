"""What contracts count by the day: stored with the day, equal to what is counted live, and in the answers of a site."""

from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import SiteGroup
from app.availability.contract_reader import contract_tallies
from app.availability.contract_tally import ContractTally
from app.availability.models import ContractDay
from app.core.clock import utc_now
from app.core.periods import Period
from app.judging import invalidation
from app.judging.dirty_range import DirtyRange
from tests.conftest import Cast
from tests.support.site_histories import (
    assign,
    day,
    execute,
    maintain,
    make_contract,
    record_cause,
    set_states,
    site_since,
    under_contract,
)
from tests.support.uptime import count, get

HOUR = 3600
COUNTED = ("service_s", "good_s", "counted_down_s", "unknown_s", "claimed_s")


async def tallies(session: AsyncSession, period: Period, **options: Any) -> dict[Any, ContractTally]:
    async with session.begin():
        return dict(await contract_tallies(session, SiteGroup("64"), period, now=utc_now(), **options))


def by_site_and_contract(counted: dict[Any, ContractTally]) -> dict[tuple[int, int], ContractTally]:
    sums: dict[tuple[int, int], ContractTally] = {}
    for key, tally in counted.items():
        sums.setdefault((key.site_id, key.contract_id), ContractTally()).merge(tally)
    return sums


async def test_stored_days_and_what_is_counted_live_agree_with_the_sites_answers(
    session: AsyncSession, cast: Cast
) -> None:
    site = await site_since(
        session,
        cast,
        day(6),
        (day(5, 23.9), "down"),
        (day(4, 0.2), "up"),
        (day(4, 6), "down"),
        (day(4, 9), "up"),
        (day(3, 2), "unknown"),
        (day(3, 3), "up"),
        (day(2, 10), "down"),
        (day(2, 10.05), "up"),
    )
    other = await site_since(session, cast, day(5), (day(2), "unreachable"), (day(2, 5), "up"), technology="geo")
    first = day(4, 8).date()
    await under_contract(
        session,
        site,
        valid_from=day(9).date(),
        terms=[(day(9).date(), {"min_outage_s": 300}), (first, {"excluded_causes": ["power"], "sla_target_pct": 99})],
    )
    await under_contract(
        session, other, valid_from=day(9).date(), terms=[(day(9).date(), {"excuses_parent": True, "min_outage_s": 0})]
    )
    await record_cause(session, site, day(4, 6), day(4, 8), "power")
    await maintain(session, day(3, 1), day(3, 2.5), region_code="64.02")
    period = Period(day(6, 5), day(0))
    live = await tallies(session, period)
    await count(session)
    stored = await tallies(session, period)
    assert stored == live
    assert len({key.terms_on for key in stored if key.site_id == site}) == 2
    answers = {}
    for site_id in (site, other):
        total = (await get(cast.sari, f"/sites/{site_id}/uptime", **{"from": period.start, "to": period.end}))["total"]
        contract = answers[site_id] = total["contract"]
        (of_site,) = (of for (number, _), of in by_site_and_contract(stored).items() if number == site_id)
        assert {name: contract[name] for name in COUNTED} == {name: getattr(of_site, name) for name in COUNTED}
        assert contract["excluded"] == of_site.excluded
        assert contract["covered"]["seconds"] == of_site.covered_s
        assert contract["counted_down_s"] == total["countable_down_s"]
    assert answers[site]["excluded"] == {"maintenance": 1.5 * HOUR, "power": 2 * HOUR, "short": 180}
    assert answers[site]["counted_down_s"] == 1 * HOUR + 0.3 * HOUR
    assert answers[site]["unknown_s"] == 0.5 * HOUR
    assert [s["target_pct"] for s in answers[site]["stretches"]] == [97.0, 99.0]
    assert answers[other]["excluded"]["parent"] == 5 * HOUR
    region = (await get(cast.sari, "/regions/64/uptime", **{"from": period.start, "to": period.end}))["total"]
    assert region["countable_down_s"] == sum(answer["counted_down_s"] for answer in answers.values())


async def test_contract_days_are_replaced_with_the_day_and_span_the_same_seconds(
    session: AsyncSession, cast: Cast
) -> None:
    site = await site_since(session, cast, day(3, 5), (day(2, 1), "down"), (day(2, 2), "up"))
    await under_contract(session, site, valid_from=day(9).date(), terms=[(day(9).date(), {})])
    await count(session)
    before = await stored_days(session)
    assert {row.day: row.covered_s for row in before} == {
        day(ago, 8).date(): seconds for ago, seconds in ((3, 19 * HOUR), (2, 24 * HOUR), (1, 24 * HOUR))
    }
    await execute(session, "DELETE FROM counted_day")
    await count(session)
    assert [vars_of(row) for row in await stored_days(session)] == [vars_of(row) for row in before]
    async with session.begin():
        spans = await session.execute(
            text(
                "SELECT a.day, a.up + a.degraded + a.down + a.unreachable + a.unknown + a.maintenance, a.contract_s, "
                "a.countable_down_s, c.service_s, c.counted_down_s "
                "FROM availability_day a JOIN contract_day c USING (day, site_id)"
            )
        )
        for _, active, contract_s, countable, service_s, counted in spans:
            assert (active, countable) == (contract_s, counted) == (service_s, counted)


async def stored_days(session: AsyncSession) -> list[ContractDay]:
    async with session.begin():
        rows = await session.execute(text("SELECT * FROM contract_day ORDER BY day, site_id"))
        return list(rows)  # type: ignore[arg-type]


def vars_of(row: Any) -> tuple[Any, ...]:
    return tuple(row)


async def test_a_stale_day_is_counted_live_until_it_is_counted_again(session: AsyncSession, cast: Cast) -> None:
    site = await site_since(session, cast, day(4))
    await under_contract(session, site, valid_from=day(9).date(), terms=[(day(9).date(), {})])
    await count(session)
    await set_states(session, site, (day(4), "up"), (day(2, 3), "down"), (day(2, 4), "up"))
    await execute(session, "INSERT INTO stale_day (site_id, day) VALUES (:id, :day)", id=site, day=day(2, 8).date())
    period = Period(day(4), day(0))
    live = await tallies(session, period)
    assert [tally.counted_down_s for tally in live.values()] == [HOUR]
    await count(session)
    assert await tallies(session, period) == live


async def test_only_the_contract_and_the_group_asked_for_are_read(session: AsyncSession, cast: Cast) -> None:
    first = await site_since(session, cast, day(4))
    second = await site_since(session, cast, day(4), provider="iconplus")
    for site in (first, second):
        await under_contract(session, site, valid_from=day(9).date(), terms=[(day(9).date(), {})])
    period = Period(day(4), day(0, 0.01))
    for counted in (False, True):
        if counted:
            await count(session)
        keys = await tallies(session, period)
        assert {key.site_id for key in keys} == {first, second}
        (key,) = (key for key in keys if key.site_id == second)
        assert {k.site_id for k in await tallies(session, period, contract_id=key.contract_id)} == {second}
        async with session.begin():
            of_provider = SiteGroup("64", provider_id=key.provider_id)
            own = await contract_tallies(session, of_provider, period, now=utc_now())
            elsewhere = await contract_tallies(session, SiteGroup("64.03"), period, now=utc_now())
        assert {k.site_id for k in own} == {second}
        assert elsewhere == {}


async def test_a_site_moved_between_contracts_at_midnight_is_covered_by_one_of_them_each_second(
    session: AsyncSession, cast: Cast
) -> None:
    site = await site_since(session, cast, day(5), (day(3, 23), "down"), (day(2, 1), "up"))
    first, second = await make_contract(session, "K-1"), await make_contract(session, "K-2")
    await assign(session, site, first, day(9, 8).date(), day(2, 8).date())
    await assign(session, site, second, day(2, 8).date())
    backup = await make_contract(session, "K-3")
    await assign(session, site, backup, day(4, 8).date(), day(3, 8).date(), link_role="backup")
    await count(session)
    total = (await get(cast.sari, f"/sites/{site}/uptime", **{"from": day(5), "to": day(0)}))["total"]
    assert (total["contract"], total["sla_verdict"], total["countable_down_s"]) == (None, None, 2 * HOUR)
    shown = [(c["contract"]["number"], c["covered"]["seconds"], c["counted_down_s"]) for c in total["contracts"]]
    assert shown == [("K-1", 3 * 86_400, HOUR), ("K-2", 2 * 86_400, HOUR), ("K-3", 86_400, 0)]
    by_day = (await get(cast.sari, f"/sites/{site}/uptime", step="day", **{"from": day(5), "to": day(0)}))["series"]
    assert [row["contract"]["contract"]["number"] for row in by_day] == ["K-1"] * 3 + ["K-2"] * 2
    assert [len(row["contracts"]) for row in by_day] == [0, 2, 0, 0, 0]
    stored = by_site_and_contract(await tallies(session, Period(day(5), day(0))))
    assert stored[site, first].covered_s + stored[site, second].covered_s == 5 * 86_400


async def test_degraded_time_over_midnight_counts_by_its_whole_length_and_a_change_of_it_recounts_both_days(
    session: AsyncSession, cast: Cast
) -> None:
    site = await site_since(session, cast, day(4), (day(3, 23.9), "degraded"), (day(2, 0.1), "up"))
    terms = {"degraded_counts": True, "min_outage_s": 700}
    await under_contract(session, site, valid_from=day(9).date(), terms=[(day(9).date(), terms)])
    period = Period(day(4), day(0))
    for counted in (False, True):
        if counted:
            await count(session)
        assert sum(tally.counted_down_s for tally in (await tallies(session, period)).values()) == 720
    part = (await get(cast.sari, f"/sites/{site}/uptime", **{"from": day(2), "to": day(1)}))["total"]
    assert part["contract"]["counted_down_s"] == 360
    await set_states(session, site, (day(4), "up"), (day(3, 23.9), "degraded"), (day(2, 0.05), "up"))
    async with session.begin():
        await invalidation.invalidate(session, [DirtyRange(site, day(2, 0.05), day(2, 0.1))])
        stale = list(await session.scalars(text("SELECT day FROM stale_day ORDER BY day")))
    assert stale == [day(3, 8).date(), day(2, 8).date()]
    await count(session)
    assert [tally.excluded for tally in (await tallies(session, period)).values()] == [{"short": 540}]


async def test_degraded_time_that_no_terms_count_makes_no_other_day_stale(session: AsyncSession, cast: Cast) -> None:
    site = await site_since(session, cast, day(4), (day(3, 23.9), "degraded"), (day(2, 0.1), "up"))
    await under_contract(session, site, valid_from=day(9).date(), terms=[(day(9).date(), {})])
    await count(session)
    async with session.begin():
        await invalidation.invalidate(session, [DirtyRange(site, day(2, 0.05), day(2, 0.1))])
        stale = list(await session.scalars(text("SELECT day FROM stale_day ORDER BY day")))
    assert stale == [day(2, 8).date()]


async def test_a_day_whose_degraded_time_may_still_count_stays_stale(session: AsyncSession, cast: Cast) -> None:
    site = await site_since(session, cast, day(3), (day(1, 23.99), "degraded"))
    terms = {"degraded_counts": True, "min_outage_s": 3600}
    await under_contract(session, site, valid_from=day(3).date(), terms=[(day(3).date(), terms)])
    await execute(
        session, "UPDATE site_status SET evidence_at = :at, valid_s = 60 WHERE site_id = :id", id=site, at=day(0, 0.19)
    )
    await count(session, day(0, 0.2))
    async with session.begin():
        assert list(await session.scalars(text("SELECT site_id FROM stale_day"))) == [site]


async def test_a_provider_sees_no_contract_of_another(session: AsyncSession, cast: Cast) -> None:
    site = await site_since(session, cast, day(4), (day(2, 3), "down"), (day(2, 5), "up"), provider="iconplus")
    other = await make_contract(session, "K-telkom", provider="telkom-wms")
    await assign(session, site, other, day(9, 8).date(), day(2, 8).date())
    own = await make_contract(session, "K-icon", provider="iconplus")
    await assign(session, site, own, day(2, 8).date())
    period = {"from": day(4), "to": day(0)}
    seen = (await get(cast.sari, f"/sites/{site}/uptime", **period))["total"]
    assert [contract["contract"]["number"] for contract in seen["contracts"]] == ["K-telkom", "K-icon"]
    shown = (await get(cast.icon, f"/sites/{site}/uptime", **period))["total"]
    assert (shown["contract"]["contract"]["number"], shown["contracts"]) == ("K-icon", [])
    assert shown["contract"]["whole_period"] is False
    assert shown["contract"]["covered"]["seconds"] == timedelta(days=2).total_seconds()
