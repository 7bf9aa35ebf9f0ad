"""Incidents as a provider sees them: nothing that an office wrote for others, nothing of other providers' sites."""

import json
from typing import Any

import pytest
from sqlalchemy import text

from app.postgres.engine import transaction
from tests.support.incident_scenario import IncidentScenario


@pytest.fixture
async def shared(scenario: IncidentScenario) -> dict[str, Any]:
    """An incident of a tower's sites, three of one provider and two of `iconplus`, which are back."""
    node = await scenario.site(kind="node")
    others = [await scenario.site(parent_id=node) for _ in range(3)]
    own = [await scenario.site(parent_id=node, provider="iconplus") for _ in range(2)]
    for site in (*others, *own):
        begin, end = (100, 700) if site in others else (150, 400)
        await scenario.write(site, (0, begin, "up"), (begin, end, "down"), (end, None, "up"))
    (incident,) = await scenario.list_incidents(kind="shared")
    return incident


async def write_note(scenario: IncidentScenario, incident: int, words: str, **audience: str) -> dict[str, Any]:
    answer = await scenario.cast.ana.post(f"/incidents/{incident}/notes", {"text": words} | audience)
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def notes(scenario: IncidentScenario, incident: int, person: Any) -> list[str]:
    return [note["text"] for note in (await scenario.get(incident, person))["notes"]]


async def test_a_provider_reads_the_notes_that_were_written_for_it_alone(
    scenario: IncidentScenario, shared: dict[str, Any]
) -> None:
    cast = scenario.cast
    await write_note(scenario, shared["id"], "untuk kita")
    await write_note(scenario, shared["id"], "untuk Telkom", audience="telkom-wms")
    written = await write_note(scenario, shared["id"], "untuk Icon+", audience="iconplus")
    assert (written["office"], written["audience"]) == ("64.02", "iconplus")
    assert await notes(scenario, shared["id"], cast.icon) == ["untuk Icon+"]
    for office in (cast.ana, cast.sari, cast.vera):
        assert await notes(scenario, shared["id"], office) == ["untuk kita", "untuk Telkom", "untuk Icon+"]


async def test_a_note_is_written_for_a_provider_of_the_incident_only(
    scenario: IncidentScenario, shared: dict[str, Any]
) -> None:
    for slug in ("comtelindo", "nobody"):
        answer = await scenario.cast.ana.post(f"/incidents/{shared['id']}/notes", {"text": "x", "audience": slug})
        assert answer.status_code == 422
        assert [(fault["field"], fault["code"]) for fault in answer.json()["errors"]] == [
            ("audience", "no_site_in_incident")
        ]
    assert await scenario.count("incident_note") == 0


async def test_an_office_reads_no_note_of_one_beside_it(scenario: IncidentScenario, shared: dict[str, Any]) -> None:
    await write_note(scenario, shared["id"], "dari Kutai Kartanegara")
    async with transaction(scenario.sessions) as session:
        await session.execute(
            text("UPDATE site_configuration SET village_code = '64.03.01.2001' WHERE site_id = :id"),
            {"id": shared["sites"][0]["id"]},
        )
    assert await notes(scenario, shared["id"], scenario.cast.ben) == []
    assert await notes(scenario, shared["id"], scenario.cast.sari) == ["dari Kutai Kartanegara"]


async def test_a_provider_sees_its_own_sites_and_bounds_and_nobodys_name(
    scenario: IncidentScenario, shared: dict[str, Any]
) -> None:
    await scenario.patch(shared["id"], cause="weather", assignee="Teknisi Rahasia", ticket_no="T-RAHASIA")
    whole, seen = await scenario.get(shared["id"]), await scenario.get(shared["id"], scenario.cast.icon)
    (listed,) = await scenario.list_incidents(scenario.cast.icon, kind="shared")
    assert listed == {name: value for name, value in seen.items() if name not in {"near", "notes", "events"}}
    assert (whole["assignee"], seen["assignee"], seen["ticket_no"], seen["cause"]) == (
        "Teknisi Rahasia",
        None,
        None,
        "weather",
    )
    assert [scenario.second(seen[name]) for name in ("started_at", "ended_at")] == [150, 400]
    assert [scenario.second(whole[name]) for name in ("started_at", "ended_at")] == [100, 700]
    assert (seen["duration_s"], whole["duration_s"]) == (250, 600)
    assert len(seen["sites"]) == 2
    told = json.dumps(seen)
    for secret in ("RAHASIA", "Rahasia", "token sari", scenario.at(100).isoformat(), scenario.at(700).isoformat()):
        assert secret not in told
    changed = {name for event in seen["events"] for name in event["after"] or {}}
    assert {"status", "cause"} <= changed <= {"status", "cause", "cause_hint", "merged_into"}


async def test_a_provider_sees_the_ticket_of_an_incident_that_is_its_own_alone(scenario: IncidentScenario) -> None:
    site = await scenario.site(provider="iconplus")
    await scenario.write(site, (0, 100, "up"), (100, None, "down"))
    (incident,) = await scenario.list_incidents()
    await scenario.patch(incident["id"], ticket_no="T-7", assignee="Teknisi")
    seen = await scenario.get(incident["id"], scenario.cast.icon)
    assert (seen["ticket_no"], seen["assignee"]) == ("T-7", None)
