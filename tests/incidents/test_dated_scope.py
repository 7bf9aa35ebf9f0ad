"""Whose an outage is follows from the day of the outage: a site that moves takes none of its past along."""

from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.postgres.engine import transaction
from tests.factories import BERAU_VILLAGE
from tests.support.incident_scenario import IncidentScenario
from tests.support.status import status


async def move(scenario: IncidentScenario, site: int, second: int, **changes: Any) -> None:
    """As the registry does when a site is changed, at a second of the scenario's."""
    answer = await scenario.cast.sari.patch(f"/sites/{site}", changes)
    assert answer.status_code == 200, answer.text
    async with transaction(scenario.sessions) as session:
        for end, which in (("ended_at", "IS NOT NULL"), ("started_at", "IS NULL")):
            await session.execute(
                text(f"UPDATE site_configuration SET {end} = :at WHERE site_id = :site AND ended_at {which}"),
                {"site": site, "at": scenario.at(second)},
            )


@pytest.fixture
async def moved(scenario: IncidentScenario) -> dict[str, int]:
    """A site of telkom-wms until second 500, then of iconplus; the ids of its incidents."""
    site = await scenario.site()
    await scenario.write(
        site,
        (0, 100, "up"),
        (100, 200, "down"),
        (200, 400, "up"),
        (400, 600, "down"),
        (600, 700, "up"),
        (700, None, "down"),
    )
    await move(scenario, site, 500, provider="iconplus", technology="geo")
    before, across, after = [one["id"] for one in await scenario.list_incidents()]
    return {"site": site, "before": before, "across": across, "after": after}


async def test_a_new_provider_sees_no_outage_from_before_its_time(
    scenario: IncidentScenario, moved: dict[str, int]
) -> None:
    icon = scenario.cast.icon
    assert [one["id"] for one in await scenario.list_incidents(icon)] == [moved["across"], moved["after"]]
    assert (await icon.get(f"/incidents/{moved['before']}")).status_code == 404
    assert (await icon.get(f"/incidents/{moved['across']}")).status_code == 200
    whole = await scenario.get(moved["after"], icon)
    assert [member["provider"] for member in whole["sites"]] == ["iconplus"]
    assert whole["events"]


async def test_a_filter_by_provider_or_technology_is_as_of_the_outage(
    scenario: IncidentScenario, moved: dict[str, int]
) -> None:
    async def listed(**params: str) -> list[str]:
        ids = {one["id"] for one in await scenario.list_incidents(None, **params)}
        return [name for name in ("before", "across", "after") if moved[name] in ids]

    assert await listed(provider="telkom-wms") == ["before", "across"]
    assert await listed(provider="iconplus") == ["across", "after"]
    assert await listed(provider="iconplus,telkom-wms") == ["before", "across", "after"]
    assert await listed(technology="geo") == ["across", "after"]
    assert await listed(technology="fiber", provider="iconplus") == [], "one and the same configuration meets both"


async def test_a_member_shows_its_site_as_it_was_when_the_outage_began(
    scenario: IncidentScenario, moved: dict[str, int]
) -> None:
    shown = {}
    for name in ("before", "across", "after"):
        (member,) = (await scenario.get(moved[name]))["sites"]
        shown[name] = member["provider"], member["technology"], member["district"]
    assert shown == {
        "before": ("telkom-wms", "fiber", "Kabupaten Kutai Kartanegara"),
        "across": ("telkom-wms", "fiber", "Kabupaten Kutai Kartanegara"),
        "after": ("iconplus", "geo", "Kabupaten Kutai Kartanegara"),
    }


async def test_a_district_keeps_the_outages_of_a_site_that_moved_away(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    await scenario.write(site, (0, 100, "up"), (100, 200, "down"), (200, 400, "up"), (400, None, "down"))
    await move(scenario, site, 300, village_code=BERAU_VILLAGE)
    here, there = [one["id"] for one in await scenario.list_incidents()]
    assert [one["id"] for one in await scenario.list_incidents(scenario.cast.ana)] == [here]
    assert [one["id"] for one in await scenario.list_incidents(scenario.cast.ben)] == [there]
    assert [one["id"] for one in await scenario.list_incidents(region="64.02")] == [here]
    assert (await scenario.cast.ben.patch(f"/incidents/{here}", {"assignee": "x"})).status_code == 404


async def test_dashboards_show_an_open_incident_to_whoever_has_the_site_now(
    scenario: IncidentScenario, moved: dict[str, int], app: FastAPI
) -> None:
    (shown,) = (await status(app, scenario.cast.icon)).values()
    assert shown["incident_id"] == moved["after"]


async def test_a_member_shows_its_contract_of_that_day_and_a_provider_only_its_own(
    scenario: IncidentScenario, moved: dict[str, int]
) -> None:
    async with transaction(scenario.sessions) as session:
        for number, slug, role, start, end in (
            ("K-1", "telkom-wms", "primary", -10, 5),
            ("K-2", "iconplus", "backup", -10, 5),
            ("K-3", "iconplus", "backup", 5, 10),
        ):
            await session.execute(
                text(
                    "WITH made AS (INSERT INTO contract (number, provider_id, valid_from, version) "
                    "SELECT :number, id, current_date - 100, 1 FROM provider WHERE slug = :slug RETURNING id) "
                    "INSERT INTO site_contract (site_id, contract_id, link_role, started_on, ended_on, recorded_by, "
                    "version) SELECT :site, id, :role, current_date + cast(:start AS int), "
                    "current_date + cast(:end AS int), 'sari', 1 FROM made"
                ),
                {"number": number, "slug": slug, "site": moved["site"], "role": role, "start": start, "end": end},
            )
    for person, expected in ((scenario.cast.sari, "K-1; K-2"), (scenario.cast.icon, "K-2")):
        (member,) = (await scenario.get(moved["across"], person))["sites"]
        assert member["contract_number"] == expected
