"""Changing incidents by hand: who may, what it does, and what is refused."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import text

from app.core.clock import utc_now
from app.incidents.schemas import IncidentDetail, IncidentOut, IncidentPatch, NoteIn, NoteOut
from app.postgres.engine import transaction
from tests.conftest import Cast
from tests.support.incident_scenario import IncidentScenario
from tests.support.status import status

BERAU = "64.03.01.2001"


async def open_incident(scenario: IncidentScenario, *, over: bool = False, **where: Any) -> int:
    """Register a site, write an outage for it and return its incident's id."""
    site = await scenario.site(**where)
    known = {one["id"] for one in await scenario.list_incidents()}
    ended = 300 if over else None
    await scenario.write(site, (0, 100, "up"), (100, ended, "down"), *([(300, None, "up")] if over else []))
    (made,) = [one["id"] for one in await scenario.list_incidents() if one["id"] not in known]
    return int(made)


async def faults(cast: Cast, incident: int, **changes: Any) -> dict[str, str]:
    """Return the fault code by field of a refused change; assert that nothing of it was applied."""
    before = (await cast.sari.get(f"/incidents/{incident}")).json()
    answer = await cast.sari.patch(f"/incidents/{incident}", changes)
    assert answer.status_code == 422, answer.text
    assert (await cast.sari.get(f"/incidents/{incident}")).json() == before
    return {fault["field"]: fault["code"] for fault in answer.json()["errors"]}


async def test_an_incident_is_acknowledged_and_opened_again(scenario: IncidentScenario) -> None:
    made = await open_incident(scenario)
    ana = scenario.cast.ana
    acknowledged = await scenario.patch(made, ana, status="acknowledged", assignee="Teknisi", ticket_no="T-7")
    assert (acknowledged["status"], acknowledged["acknowledged_by"]) == ("acknowledged", "token ana")
    assert (acknowledged["assignee"], acknowledged["ticket_no"]) == ("Teknisi", "T-7")
    again = await scenario.patch(made, status="acknowledged")
    assert (again["version"], again["acknowledged_by"]) == (acknowledged["version"], "token ana"), "it is so already"
    back = await scenario.patch(made, status="open", assignee=None)
    assert (back["status"], back["acknowledged_at"], back["assignee"]) == ("open", None, None)
    assert back["version"] > acknowledged["version"]


async def test_every_change_is_in_the_history(scenario: IncidentScenario) -> None:
    made = await open_incident(scenario)
    await scenario.patch(made, scenario.cast.ana, status="acknowledged")
    whole = await scenario.patch(made, cause="weather", reported_at=scenario.at(120).isoformat())
    opened, acknowledged, explained = whole["events"]
    assert (opened["kind"], opened["by"], opened["after"]["status"]) == ("opened", None, "open")
    assert (acknowledged["by"], acknowledged["before"]["status"], acknowledged["after"]["status"]) == (
        "token ana",
        "open",
        "acknowledged",
    )
    assert explained["before"] == {"cause": None, "cause_confirmed_by": None, "reported_at": None}
    assert (explained["after"]["cause"], explained["after"]["cause_confirmed_by"]) == ("weather", "token sari")


async def test_people_learn_the_cause_of_what_is_over(scenario: IncidentScenario) -> None:
    made = await open_incident(scenario, over=True)
    known = await scenario.patch(made, cause="unplugged")
    assert (known["status"], known["cause"], known["cause_confirmed_by"]) == ("resolved", "unplugged", "token sari")
    async with transaction(scenario.sessions) as session:
        (row,) = await session.execute(text("SELECT started_at, ended_at, cause FROM outage_cause"))
    assert (scenario.second(row[0]), scenario.second(row[1]), row[2]) == (100, 300, "unplugged")
    await scenario.patch(made, cause="unplugged")
    assert await scenario.count("outage_cause") == 1


async def test_notes_are_kept_in_their_order(scenario: IncidentScenario) -> None:
    made = await open_incident(scenario, over=True)
    for words in ("  kabel putus  ", "tersambung lagi"):
        answer = await scenario.cast.ana.post(f"/incidents/{made}/notes", {"text": words})
        assert answer.status_code == 201, answer.text
    notes = (await scenario.get(made))["notes"]
    assert [(note["by"], note["text"]) for note in notes] == [
        ("token ana", "kabel putus"),
        ("token ana", "tersambung lagi"),
    ]


async def test_evidence_alone_resolves(scenario: IncidentScenario) -> None:
    made = await open_incident(scenario)
    assert await faults(scenario.cast, made, status="resolved") == {"status": "not_by_hand"}
    assert await faults(scenario.cast, made, status="withdrawn") == {"status": "not_by_hand"}


async def test_what_is_over_is_not_acknowledged(scenario: IncidentScenario) -> None:
    made = await open_incident(scenario, over=True)
    assert await faults(scenario.cast, made, status="acknowledged") == {"status": "already_resolved"}
    assert await faults(scenario.cast, made, status="open") == {"status": "already_resolved"}
    site = (await scenario.get(made))["sites"][0]["id"]
    await scenario.write(site, (0, None, "up"))
    wrong = {"status": "acknowledged", "cause": "link"}
    assert await faults(scenario.cast, made, **wrong) == {"status": "already_resolved", "cause": "withdrawn"}


async def test_what_was_merged_says_where_it_went(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    await scenario.write(site, (0, 100, "up"), (100, 150, "down"), (150, 200, "up"), (200, None, "down"))
    first, second = [one["id"] for one in await scenario.list_incidents()]
    await scenario.write(site, (0, 100, "up"), (100, None, "down"))
    answer = await scenario.cast.sari.patch(
        f"/incidents/{second}", {"status": "acknowledged"}, headers={"Accept-Language": "id"}
    )
    assert answer.json()["errors"][0]["suggestion"] == f"Penanganannya berlanjut pada gangguan {first}"


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"cause": "lightning"}, {"cause": "enum"}),
        ({"cause": None}, {"cause": "null"}),
        ({"status": None}, {"status": "null"}),
        ({"status": "closed"}, {"status": "enum"}),
        ({"ticket_no": "  "}, {"ticket_no": "string_too_short"}),
        ({"assignee": "a\0b"}, {"assignee": "nul"}),
        ({"assigne": "x"}, {"assigne": "extra_forbidden"}),
        ({"reported_at": "2026-11-24T06:00:00"}, {"reported_at": "naive_time"}),
        ({"reported_at": "yesterday"}, {"reported_at": "bad_time"}),
        ({"reported_at": True}, {"reported_at": "bad_time"}),
        ({"version": 3}, {"version": "extra_forbidden"}),
    ],
)
async def test_a_wrong_change_is_refused(
    scenario: IncidentScenario, changes: dict[str, Any], found: dict[str, str]
) -> None:
    made = await open_incident(scenario)
    assert await faults(scenario.cast, made, assignee_ok=1, **changes) == {"assignee_ok": "extra_forbidden", **found}


async def test_an_unknown_cause_is_told_what_may_be_meant(scenario: IncidentScenario) -> None:
    made = await open_incident(scenario)
    answer = await scenario.cast.sari.patch(f"/incidents/{made}", {"cause": "vandalisme"})
    (fault,) = answer.json()["errors"]
    assert (fault["code"], fault["suggestion"]) == ("enum", "Did you mean vandalism?")


async def test_a_report_comes_after_the_outage_began_and_before_now(scenario: IncidentScenario) -> None:
    made = await open_incident(scenario)
    later = (utc_now() + timedelta(minutes=5)).isoformat()
    assert await faults(scenario.cast, made, reported_at=later) == {"reported_at": "in_the_future"}
    before = scenario.at(39).isoformat()
    assert await faults(scenario.cast, made, reported_at=before) == {"reported_at": "before_outage"}
    epoch_ms = int(scenario.at(50).timestamp() * 1000)
    assert scenario.second((await scenario.patch(made, reported_at=epoch_ms))["reported_at"]) == 50
    assert (await scenario.patch(made, reported_at=None))["reported_at"] is None


@pytest.mark.parametrize("given", [{}, {"text": ""}, {"text": "   "}, {"text": None}, {"text": "x" * 4001}, [], "x"])
async def test_an_empty_note_is_refused(scenario: IncidentScenario, given: Any) -> None:
    made = await open_incident(scenario)
    answer = await scenario.cast.sari.post(f"/incidents/{made}/notes", given)
    assert answer.status_code == 422, answer.text
    assert await scenario.count("incident_note") == 0


async def test_a_change_to_another_version_is_refused(scenario: IncidentScenario) -> None:
    made = await open_incident(scenario)
    seen = await scenario.cast.sari.get(f"/incidents/{made}")
    etag = {"If-Match": seen.headers["etag"]}
    taken = await scenario.cast.ana.patch(f"/incidents/{made}", {"status": "acknowledged"}, headers=etag)
    assert taken.status_code == 200
    stale = await scenario.cast.sari.patch(f"/incidents/{made}", {"assignee": "x"}, headers=etag)
    assert (stale.status_code, stale.json()["your_version"]) == (412, seen.json()["version"])
    assert stale.json()["current_version"] == taken.json()["version"]
    wrong = await scenario.cast.sari.patch(f"/incidents/{made}", {}, headers={"If-Match": "yes"})
    assert wrong.json()["errors"][0]["code"] == "bad_version"


async def test_nobody_sees_or_touches_beyond_their_scope(scenario: IncidentScenario) -> None:
    cast = scenario.cast
    here = await open_incident(scenario)
    there = await open_incident(scenario, village_code=BERAU, provider="iconplus")
    for person, seen in (
        (cast.sari, [here, there]),
        (cast.vera, [here, there]),
        (cast.ana, [here]),
        (cast.ben, [there]),
        (cast.icon, [there]),
    ):
        assert sorted(one["id"] for one in await scenario.list_incidents(person)) == seen
    assert (await cast.ben.get(f"/incidents/{here}")).status_code == 404
    assert (await cast.ben.patch(f"/incidents/{here}", {"status": "acknowledged"})).status_code == 404
    assert (await cast.ben.post(f"/incidents/{here}/notes", {"text": "x"})).status_code == 404
    assert (await cast.ben.get("/incidents", params={"region": "64.02"})).status_code == 403
    for reader in (cast.vera, cast.icon):
        assert (await reader.patch(f"/incidents/{there}", {"status": "acknowledged"})).status_code == 403
        assert (await reader.post(f"/incidents/{there}/notes", {"text": "x"})).status_code == 403
    assert (await cast.stranger.get("/incidents")).status_code == 401
    for unknown in ("0", "999999", "99999999999", "x", "-1", "1.5"):
        assert (await cast.sari.get(f"/incidents/{unknown}")).status_code == 404


async def test_of_a_shared_incident_each_district_sees_its_own_sites(scenario: IncidentScenario) -> None:
    cast = scenario.cast
    node = await scenario.site(kind="node")
    sites = [await scenario.site(parent_id=node, village_code=village) for village in (BERAU, *["64.02.05.2003"] * 4)]
    for site in sites:
        await scenario.write(site, (0, 100, "up"), (100, None, "down"))
    (shared,) = await scenario.list_incidents(cast.ben, kind="shared")
    assert [one["id"] for one in shared["sites"]] == sites[:1]
    whole = await scenario.get(shared["id"], cast.ben)
    assert {event["site_id"] for event in whole["events"]} == {None, sites[0]}
    assert (await scenario.patch(shared["id"], cast.ben, status="acknowledged"))["acknowledged_by"] == "token ben"
    refused = await cast.ben.patch(f"/incidents/{shared['id']}", {"cause": "power", "assignee": "x"})
    assert refused.status_code == 403, "a cause counts for every site of it"
    assert (await scenario.get(shared["id"]))["assignee"] is None, "nothing is half-applied"
    await scenario.patch(shared["id"], cause="power")
    assert await scenario.count("outage_cause") == 5


async def test_incidents_are_filtered(scenario: IncidentScenario) -> None:
    here = await open_incident(scenario, over=True)
    there = await open_incident(scenario, village_code=BERAU, provider="iconplus", technology="geo")
    await scenario.patch(there, cause="quota")
    site = (await scenario.get(there))["sites"][0]
    for params in (
        {"status": "open"},
        {"provider": "iconplus"},
        {"technology": "geo"},
        {"cause": "quota"},
        {"region": "64.03"},
        {"site": str(site["id"])},
        {"site": site["code"]},
        {"period": "24h", "kind": "single", "status": "open"},
        {"from": scenario.at(301).isoformat()},
    ):
        assert [one["id"] for one in await scenario.list_incidents(**params)] == [there], params
    assert [one["id"] for one in await scenario.list_incidents(status="resolved")] == [here]
    assert {one["id"] for one in await scenario.list_incidents(period="24h")} == {here, there}
    assert await scenario.list_incidents(to="2026-01-01") == []
    for params in (
        {"status": "closed"},
        {"cause": "x"},
        {"region": "64.99"},
        {"colour": "x"},
        {"cursor": "x"},
        {"from": "x"},
        {"limit": "0"},
        {"period": "1y"},
    ):
        assert (await scenario.cast.sari.get("/incidents", params=params)).status_code == 422, params


async def test_pages_follow_each_other_the_newest_outage_first(scenario: IncidentScenario) -> None:
    site = await scenario.site()
    ledger = [(at, at + 30, "up" if at % 60 else "down") for at in range(0, 420, 30)]
    await scenario.write(site, *ledger, (420, None, "up"))
    whole = (await scenario.cast.sari.get("/incidents")).json()["items"]
    assert [scenario.second(one["started_at"]) for one in whole] == [360, 300, 240, 180, 120, 60, 0]
    seen: list[Any] = []
    params = {"limit": "2"}
    while True:
        page = (await scenario.cast.sari.get("/incidents", params=params)).json()
        seen += page["items"]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert seen == whole


async def test_dashboards_show_the_open_incident_of_each_site(scenario: IncidentScenario, app: FastAPI) -> None:
    made = await open_incident(scenario)
    (shown,) = (await status(app, scenario.cast.vera)).values()
    assert (shown["incident_id"], shown["acknowledged"]) == (made, False)
    before = app.state.snapshot.version
    await scenario.patch(made, status="acknowledged")
    (shown,) = (await status(app, scenario.cast.vera)).values()
    assert (shown["incident_id"], shown["acknowledged"]) == (made, True)
    assert app.state.snapshot.version != before
    await scenario.write(shown["id"], (0, 100, "up"), (100, 300, "down"), (300, None, "up"))
    (shown,) = (await status(app, scenario.cast.vera)).values()
    assert (shown["incident_id"], shown["acknowledged"]) == (None, False)


async def test_the_answer_has_the_fields_of_the_contract(scenario: IncidentScenario) -> None:
    await open_incident(scenario)
    (shown,) = await scenario.list_incidents()
    assert {
        "id",
        "kind",
        "status",
        "sites",
        "last_ok_at",
        "started_at",
        "confirmed_at",
        "ended_at",
        "duration_s",
        "duration_min_s",
        "duration_max_s",
        "cause",
        "cause_hint",
        "cause_confirmed_by",
        "assignee",
        "ticket_no",
        "reported_at",
        "version",
    } <= shown.keys()
    assert [scenario.second(shown[name]) for name in ("last_ok_at", "started_at", "confirmed_at")] == [40, 100, 110]


def test_the_examples_are_true() -> None:
    models: tuple[type[BaseModel], ...] = (IncidentOut, IncidentDetail, IncidentPatch, NoteIn, NoteOut)
    for model in models:
        for example in model.model_json_schema()["examples"]:
            model.model_validate(example)


async def test_every_act_on_an_incident_is_audited_where_its_sites_lie(scenario: IncidentScenario) -> None:
    made = await open_incident(scenario)
    ana, sari = scenario.cast.ana, scenario.cast.sari
    await scenario.patch(made, ana, status="acknowledged", assignee="Teknisi")
    await scenario.patch(made, ana, status="acknowledged")
    await scenario.patch(made, ana, cause="power")
    note = (await ana.post(f"/incidents/{made}/notes", {"text": "PLN padam; 0812-0000-0000"})).json()
    entries = (await sari.get("/audit", params={"object": "incident", "object_id": str(made)})).json()["items"]
    assert [(entry["action"], entry["actor"], entry["region_code"]) for entry in reversed(entries)] == [
        *[("change", "token ana", "64.02.05.2003")] * 2,
        ("note", "token ana", "64.02.05.2003"),
    ]
    noted, explained, acknowledged = entries
    assert (acknowledged["before"]["status"], acknowledged["after"]["assignee"]) == ("open", "Teknisi")
    assert (explained["before"]["cause"], explained["after"]["cause"]) == (None, "power")
    assert noted["after"] == {"note_id": note["id"], "audience": None}


async def test_an_act_on_a_shared_incident_is_filed_under_the_smallest_region_of_the_caller_s_sites(
    scenario: IncidentScenario,
) -> None:
    node = await scenario.site(kind="node")
    villages = ["64.02.05.2003", "64.02.05.2004", "64.02.03.2002", "64.02.01.2001", BERAU]
    for village in villages:
        await scenario.write(
            await scenario.site(village_code=village, parent_id=node),
            (0, 100, "up"),
            (100, None, "down"),
            reconcile=False,
        )
    await scenario.reconcile(*((site, -100, 3600) for site in scenario.sites))
    (shared,) = [one["id"] for one in await scenario.list_incidents() if one["kind"] == "shared"]
    for person, region in ((scenario.cast.ana, "64.02"), (scenario.cast.ben, BERAU), (scenario.cast.sari, "64")):
        await scenario.patch(shared, person, assignee=f"Teknisi {region}")
        entry = (await scenario.cast.sari.get("/audit", params={"limit": "1"})).json()["items"][0]
        assert entry["region_code"] == region


async def test_what_nobody_handles_comes_first_and_of_that_what_is_shared_and_what_lasts_longest(
    scenario: IncidentScenario,
) -> None:
    over, explained = await open_incident(scenario, over=True), await open_incident(scenario, over=True)
    await scenario.patch(explained, cause="link")
    handled, newer = await open_incident(scenario), await open_incident(scenario)
    await scenario.patch(handled, status="acknowledged")
    older = await scenario.site(provider="iconplus", village_code=BERAU)
    await scenario.write(older, (0, 50, "up"), (50, None, "down"))
    (oldest,) = [one["id"] for one in await scenario.list_incidents() if one["sites"][0]["id"] == older]
    node = await scenario.site(kind="node")
    for number in range(5):
        site = await scenario.site(parent_id=node)
        await scenario.write(site, (0, 2000 + number, "up"), (2000 + number, None, "down"))
    (shared,) = [one["id"] for one in await scenario.list_incidents(kind="shared")]
    found: list[int] = []
    params: dict[str, Any] = {"order": "urgent", "limit": 2}
    while True:
        page = (await scenario.cast.sari.get("/incidents", params=params)).json()
        found += [incident["id"] for incident in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert (found[:5], found[-1]) == ([shared, oldest, newer, handled, over], explained)
    params["order"] = "newest"
    assert (await scenario.cast.sari.get("/incidents", params=params)).status_code == 422, "a cursor of another order"
