"""The outages behind a verdict: each with its bounds, what counts of it and why, and who said so."""

from datetime import datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import WITA
from app.postgres.engine import Sessions, transaction
from tests.conftest import Cast, Person
from tests.support.contracts import assign_days
from tests.support.incident_scenario import IncidentScenario
from tests.support.site_histories import (
    day,
    maintain,
    make_contract,
    record_cause,
    site_since,
    under_contract,
)
from tests.support.uptime import get

HOUR = 3600


async def outages(person: Person, site: int, start: datetime, end: datetime, **params: Any) -> Any:
    return await get(person, f"/sites/{site}/contract-outages", **{"from": start, "to": end}, **params)


@pytest.fixture
async def site(session: AsyncSession, cast: Cast) -> int:
    """A site with one outage of each kind, under terms that exclude power and count from 300 s on."""
    site = await site_since(
        session,
        cast,
        day(6),
        (day(5, 23), "down"),
        (day(4, 1), "up"),
        (day(4, 6), "down"),
        (day(4, 7), "up"),
        (day(3, 2), "unreachable"),
        (day(3, 3), "down"),
        (day(3, 4), "unknown"),
        (day(3, 5), "up"),
        (day(2, 10), "down"),
        (day(2, 10.05), "up"),
        (day(2, 20), "degraded"),
        (day(2, 21), "up"),
        (day(1, 12), "down"),
    )
    terms = {"min_outage_s": 300, "excluded_causes": ["power"]}
    await under_contract(session, site, valid_from=day(9).date(), terms=[(day(9).date(), terms)])
    await record_cause(session, site, day(4, 6), day(4, 7), "power")
    await maintain(session, day(4, 0.5), day(4, 2), site_id=site)
    return site


async def test_every_outage_is_listed_with_what_counts_of_it_and_why(cast: Cast, site: int) -> None:
    answer = await outages(cast.sari, site, day(4), day(0))
    shown = [(o["started_at"], o["counted_s"], o["excluded"], o["unknown_s"]) for o in answer["items"]]
    assert [(datetime.fromisoformat(at), *counts) for at, *counts in shown] == [
        (day(5, 23), HOUR // 2, {"maintenance": HOUR // 2}, 0),
        (day(4, 6), 0, {"power": HOUR}, 0),
        (day(3, 2), 2 * HOUR, {}, HOUR),
        (day(2, 10), 0, {"short": 180}, 0),
        (day(1, 12), 12 * HOUR, {}, 0),
    ]
    crossing, power, silent, short, lasting = answer["items"]
    assert (crossing["duration_s"], crossing["compared_s"]) == (2 * HOUR, 1.5 * HOUR), "of the whole outage"
    assert (power["cause"], power["cause_set_by"], power["compared_s"]) == ("power", "sari", 0)
    assert power["cause_set_at"] is not None
    assert (short["cause"], short["cause_set_by"], short["cause_set_at"]) == (None, None, None)
    assert (silent["kind"], silent["compared_s"]) == ("downtime", 2 * HOUR)
    assert (lasting["ended_at"], lasting["duration_s"]) == (None, None)
    assert short["why"]["en"] == (
        "Left out: shorter than the contract counts 3 min. Proven: 3 min; outages count from 5 min on."
    )
    assert silent["why"]["id"] == (
        "Dihitung putus: 2 jam. Tidak terlihat, atau dibantah perangkatnya: 1 jam. "
        "Terbukti: 2 jam; gangguan dihitung mulai 5 menit."
    )
    assert {o["contract"]["number"] for o in answer["items"]} == {f"K-{site}"}


async def test_the_outages_add_up_to_the_verdict_page_by_page(cast: Cast, site: int) -> None:
    period = day(5), day(0)
    total = (await get(cast.sari, f"/sites/{site}/uptime", **{"from": period[0], "to": period[1]}))["total"]
    items, cursor = [], None
    while True:
        page = await outages(cast.sari, site, *period, limit=2, **({"cursor": cursor} if cursor else {}))
        items += page["items"]
        cursor = page["next_cursor"]
        assert page["contracts"] == [total["contract"]]
        if cursor is None:
            break
    assert len(items) == 5
    assert sum(o["counted_s"] for o in items) == total["contract"]["counted_down_s"] == total["countable_down_s"]
    excluded = total["contract"]["excluded"]
    for reason in ("power", "short"):
        assert sum(o["excluded"].get(reason, 0) for o in items) == excluded[reason]


async def test_degraded_time_is_listed_where_the_terms_count_it(session: AsyncSession, cast: Cast) -> None:
    site = await site_since(session, cast, day(4), (day(3, 2), "degraded"), (day(3, 3), "up"), (day(3, 5), "degraded"))
    contract = await make_contract(session, "K-1", degraded_counts=True, min_outage_s=7200)
    other = await make_contract(session, "K-2")
    await assign_days(session, site, contract, day(9, 8).date())
    await assign_days(session, site, other, day(9, 8).date(), role="backup")
    answer = await outages(cast.sari, site, day(4), day(2))
    shown = [(o["kind"], o["contract"]["number"], o["counted_s"], o["excluded"]) for o in answer["items"]]
    assert shown == [("degraded", "K-1", 0, {"short": HOUR}), ("degraded", "K-1", 19 * HOUR, {})]
    assert [o["last_ok_at"] for o in answer["items"]] == [None, None]
    assert [c["contract"]["number"] for c in answer["contracts"]] == ["K-1", "K-2"]


async def test_each_contract_lists_an_outage_by_its_own_terms(session: AsyncSession, cast: Cast) -> None:
    site = await site_since(session, cast, day(4), (day(3, 2), "down"), (day(3, 3), "up"))
    strict, lax = await make_contract(session, "K-1"), await make_contract(session, "K-2", min_outage_s=7200)
    await assign_days(session, site, strict, day(9, 8).date())
    await assign_days(session, site, lax, day(9, 8).date(), role="backup")
    items = (await outages(cast.sari, site, day(4), day(2)))["items"]
    shown = [(o["link_role"], o["counted_s"], o["excluded"], o["min_outage_s"]) for o in items]
    assert shown == [("primary", HOUR, {}, 300), ("backup", 0, {"short": HOUR}, 7200)]


async def test_an_outage_outside_service_hours_is_listed_with_that_reason(session: AsyncSession, cast: Cast) -> None:
    site = await site_since(session, cast, day(4), (day(3, 2), "down"), (day(3, 3), "up"))
    contract = await make_contract(session, "K-1", service_from=time(7), service_to=time(17))
    await assign_days(session, site, contract, day(9, 8).date())
    (item,) = (await outages(cast.sari, site, day(4), day(2)))["items"]
    assert (item["counted_s"], item["excluded"], item["unknown_s"]) == (0, {}, 0)
    assert item["why"]["en"] == "Outside of service, or of service hours."


async def test_bounds_and_incident_are_those_that_incidents_tell(
    scenario: IncidentScenario, session: AsyncSession
) -> None:
    site = await scenario.site()
    first = scenario.at(-100).astimezone(WITA).date() - timedelta(days=1)
    await under_contract(session, site, valid_from=first, terms=[(first, {"min_outage_s": 0})])
    await scenario.write(site, (0, 100, "up"), (100, 400, "down"), (400, None, "up"))
    (incident,) = await scenario.list_incidents()
    patched = await scenario.cast.sari.patch(f"/incidents/{incident['id']}", {"ticket_no": "T-1", "cause": "link"})
    assert patched.status_code == 200, patched.text
    (item,) = (await outages(scenario.cast.sari, site, scenario.at(-100), scenario.at(1000)))["items"]
    (member,) = incident["sites"]
    for name in ("last_ok_at", "started_at", "confirmed_at", "ended_at", "first_ok_after"):
        assert datetime.fromisoformat(item[name]) == datetime.fromisoformat(member[name]), name
    for name in ("duration_s", "duration_min_s", "duration_max_s"):
        assert item[name] == member[name], name
    assert (item["incident_id"], item["ticket_no"], item["cause"]) == (incident["id"], "T-1", "link")


async def test_a_provider_sees_its_own_contracts_without_names(session: AsyncSession, cast: Cast) -> None:
    site = await site_since(
        session,
        cast,
        day(4),
        (day(3, 2), "down"),
        (day(3, 3), "up"),
        (day(2, 2), "down"),
        (day(2, 3), "up"),
        provider="iconplus",
    )
    telkom = await make_contract(session, "K-telkom", provider="telkom-wms")
    await assign_days(session, site, telkom, day(9, 8).date(), day(2, 8).date())
    await assign_days(session, site, await make_contract(session, "K-icon", provider="iconplus"), day(2, 8).date())
    await record_cause(session, site, day(2, 2), day(2, 3), "device")
    (item,) = (answer := await outages(cast.icon, site, day(4), day(0)))["items"]
    assert (item["contract"]["number"], item["cause"], item["cause_set_by"]) == ("K-icon", "device", None)
    assert [c["contract"]["number"] for c in answer["contracts"]] == ["K-icon"]
    offices = (await outages(cast.sari, site, day(4), day(0)))["items"]
    assert [o["contract"]["number"] for o in offices] == ["K-telkom", "K-icon"]
    assert offices[1]["cause_set_by"] == "sari"
    assert (await cast.ben.get(f"/sites/{site}/contract-outages")).status_code == 404


async def test_a_site_without_a_contract_has_an_empty_list(session: AsyncSession, cast: Cast) -> None:
    site = await site_since(session, cast, day(4), (day(3, 2), "down"), (day(3, 3), "up"))
    answer = await outages(cast.sari, site, day(4), day(0))
    assert (answer["items"], answer["contracts"], answer["next_cursor"]) == ([], [], None)


async def test_who_set_a_cause_and_when_stays_where_another_replaces_a_part_of_it(
    session: AsyncSession, sessions: Sessions, cast: Cast, site: int
) -> None:
    before = (await outages(cast.sari, site, day(4), day(3)))["items"][1]["cause_set_at"]
    async with transaction(sessions) as writing:
        await writing.execute(text("UPDATE outage_cause SET recorded_at = recorded_at - interval '1 day'"))
    await record_cause(session, site, day(4, 6), day(4, 6.25), "link")
    item = (await outages(cast.sari, site, day(4), day(3)))["items"][1]
    assert item["cause"] == "power"
    assert datetime.fromisoformat(item["cause_set_at"]) == datetime.fromisoformat(before) - timedelta(days=1)
    assert (item["counted_s"], item["excluded"]) == (HOUR // 4, {"power": 3 * HOUR // 4})
