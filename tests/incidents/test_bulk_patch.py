"""Changing many incidents at once: by ids or a filter, tried first, and all of them or none."""

from typing import Any

import httpx
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from app.incidents import bulk_patch
from app.incidents.bulk_schemas import BulkPatchOut, IncidentFilterIn, IncidentsPatch
from tests.conftest import Person
from tests.factories import BERAU_VILLAGE
from tests.support.incident_scenario import IncidentScenario


@pytest.fixture
async def incidents(scenario: IncidentScenario) -> list[int]:
    """Three incidents in Kutai Kartanegara, the first of them over, and one in Berau: the oldest outage first."""
    made = []
    for number, where in enumerate(({}, {"technology": "geo"}, {}, {"village_code": BERAU_VILLAGE})):
        site = await scenario.site(**where)
        begin, end = 100 + number, 300 if number == 0 else None
        up = [(300, None, "up")] if number == 0 else []
        await scenario.write(site, (0, begin, "up"), (begin, end, "down"), *up)
        made.append(int((await scenario.list_incidents(site=str(site)))[0]["id"]))
    return made


async def bulk(person: Person, **body: Any) -> dict[str, Any]:
    answer = await person.patch("/incidents", body)
    assert answer.status_code == 200, answer.text
    return BulkPatchOut.model_validate(answer.json()).model_dump()


async def refused(person: Person, **body: Any) -> httpx.Response:
    answer = await person.patch("/incidents", body)
    assert answer.status_code == 422, answer.text
    return answer


def results(patched: dict[str, Any]) -> dict[int, str]:
    return {incident["id"]: incident["result"].value for incident in patched["incidents"]}


async def test_incidents_are_acknowledged_and_explained_by_their_ids(
    scenario: IncidentScenario, incidents: list[int]
) -> None:
    _, second, third, _ = incidents
    ana = scenario.cast.ana
    await scenario.patch(third, ana, status="acknowledged", cause="power", ticket_no="T-7")
    changes = {"status": "acknowledged", "cause": "power", "ticket_no": "T-7"}
    patched = await bulk(ana, ids=[third, second, third], changes=changes)
    assert results(patched) == {second: "changed", third: "unchanged"}
    assert [patched[name] for name in ("matched", "changed", "unchanged", "refused")] == [2, 1, 1, 0]
    seen = await scenario.get(second)
    assert [seen[name] for name in ("status", "acknowledged_by", "cause", "ticket_no")] == [
        "acknowledged",
        "token ana",
        "power",
        "T-7",
    ]
    assert seen["events"][-1]["after"] == next(i["after"] for i in patched["incidents"] if i["id"] == second)
    again = await bulk(ana, ids=[second, third], changes=changes)
    assert (again["changed"], (await scenario.get(second))["version"]) == (0, seen["version"])


async def test_a_filter_selects_what_the_list_shows_and_nothing_beyond_the_scope(
    scenario: IncidentScenario, incidents: list[int]
) -> None:
    first, second, third, there = incidents
    ana, sari = scenario.cast.ana, scenario.cast.sari
    for given, expected in (
        ({"status": "open"}, {second, third}),
        ({"status": ["open", "resolved"], "technology": "fiber"}, {first, third}),
        ({"status": "open,resolved", "period": "24h"}, {first, second, third}),
        ({"region": "64.02", "technology": ["geo", "leo"]}, {second}),
        ({"site": scenario.sites[min(scenario.sites)]["id"]}, {first}),
        ({"from": scenario.at(301).isoformat()}, {second, third}),
        ({"kind": "shared"}, set()),
    ):
        patched = await bulk(ana, filter=given, changes={"assignee": "Teknisi"}, dry_run=True)
        assert set(results(patched)) == expected, given
    assert set(results(await bulk(sari, filter={"status": "open"}, changes={}, dry_run=True))) == {second, third, there}
    await bulk(ana, filter={"status": "open"}, changes={"assignee": "Teknisi"})
    assert [(await scenario.get(one))["assignee"] for one in incidents] == [None, "Teknisi", "Teknisi", None]


async def test_a_dry_run_tells_what_would_change_and_changes_nothing(
    scenario: IncidentScenario, incidents: list[int]
) -> None:
    before = await scenario.dump_tables()
    patched = await bulk(
        scenario.cast.ana, filter={"region": "64.02"}, changes={"status": "acknowledged"}, dry_run=True
    )
    assert (patched["dry_run"], patched["matched"], patched["changed"], patched["refused"]) == (True, 3, 2, 1)
    over = next(one for one in patched["incidents"] if one["id"] == incidents[0])
    assert [(fault["field"], fault["code"]) for fault in over["errors"]] == [("status", "already_resolved")]
    changed = next(one for one in patched["incidents"] if one["id"] == incidents[1])
    assert (changed["before"]["status"], changed["after"]["status"]) == ("open", "acknowledged")
    assert changed["after"]["acknowledged_by"] == "token ana"
    assert await scenario.dump_tables() == before


async def test_one_that_is_refused_keeps_all_as_they_were_and_each_fault_is_told(
    scenario: IncidentScenario, incidents: list[int]
) -> None:
    first, second, _, there = incidents
    before = await scenario.dump_tables()
    answer = await refused(
        scenario.cast.ana, ids=[first, second, there, 999_999], changes={"status": "acknowledged", "cause": "power"}
    )
    told = answer.json()
    assert {(fault["field"], fault["code"]) for fault in told["errors"]} == {
        (f"incidents.{first}.status", "already_resolved"),
        (f"incidents.{there}.id", "unknown_incident"),
        ("incidents.999999.id", "unknown_incident"),
    }, "one out of scope is like one that there is not"
    assert {one["id"]: one["result"] for one in told["incidents"]} == {
        first: "refused",
        second: "changed",
        there: "refused",
        999_999: "refused",
    }
    assert await scenario.dump_tables() == before
    translated = await scenario.cast.ana.patch(
        "/incidents", {"ids": [999_999], "changes": {}}, headers={"Accept-Language": "id"}
    )
    assert translated.json()["errors"][0]["message"] == "Tidak ada gangguan 999999 dalam wilayah kewenangan Anda"


async def test_the_cause_of_a_shared_incident_is_not_set_by_a_district_for_the_others(
    scenario: IncidentScenario,
) -> None:
    node = await scenario.site(kind="node")
    sites = [await scenario.site(parent_id=node, village_code=v) for v in (BERAU_VILLAGE, *["64.02.05.2003"] * 4)]
    for site in sites:
        await scenario.write(site, (0, 100, "up"), (100, None, "down"))
    (shared,) = [one["id"] for one in await scenario.list_incidents(kind="shared")]
    answer = await refused(scenario.cast.ben, filter={"kind": "shared"}, changes={"cause": "power", "assignee": "x"})
    assert [fault["code"] for fault in answer.json()["errors"]] == ["partly_out_of_scope"]
    assert (await scenario.get(shared))["assignee"] is None
    await bulk(scenario.cast.ben, filter={"kind": "shared"}, changes={"status": "acknowledged"})
    await bulk(scenario.cast.sari, filter={"kind": "shared"}, changes={"cause": "power"})
    assert await scenario.count("outage_cause") == 5


async def test_a_filter_that_matches_another_number_than_expected_changes_nothing(
    scenario: IncidentScenario, incidents: list[int]
) -> None:
    ana, given = scenario.cast.ana, {"status": "open"}
    expected = (await bulk(ana, filter=given, changes={"assignee": "x"}, dry_run=True))["matched"]
    grown = await scenario.site()
    await scenario.write(grown, (0, 200, "up"), (200, None, "down"))
    stale = await ana.patch("/incidents", {"filter": given, "changes": {"assignee": "x"}, "expected_count": expected})
    assert (stale.status_code, stale.json()["matched"], stale.json()["expected_count"]) == (412, 3, 2)
    assert (await scenario.get(incidents[1]))["assignee"] is None
    await bulk(ana, filter=given, changes={"assignee": "x"}, expected_count=3)


async def test_more_than_a_thousand_are_refused_at_once(
    scenario: IncidentScenario, incidents: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = await refused(scenario.cast.sari, ids=list(range(1, 1_002)), changes={})
    assert [(fault["field"], fault["code"]) for fault in answer.json()["errors"]] == [("ids", "too_long")]
    monkeypatch.setattr(bulk_patch, "MAX_INCIDENTS", 2)
    answer = await refused(scenario.cast.sari, filter={"status": "open"}, changes={"assignee": "x"})
    assert [(fault["field"], fault["code"]) for fault in answer.json()["errors"]] == [("filter", "too_many")]
    assert (await scenario.get(incidents[1]))["assignee"] is None


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"changes": {}}, {("filter", "ids_or_filter")}),
        ({"ids": [1], "filter": {"status": "open"}, "changes": {}}, {("filter", "ids_or_filter")}),
        ({"filter": {}, "changes": {}}, {("filter", "empty")}),
        ({"ids": [], "changes": {}}, {("ids", "too_short")}),
        ({"ids": ["x"], "changes": {}}, {("ids.0", "int_type")}),
        ({"ids": [2**31], "changes": {}}, {("ids.0", "less_than")}),
        ({"ids": [1]}, {("changes", "missing")}),
        ({"ids": [1], "changes": {"cause": "petir"}}, {("changes.cause", "enum")}),
        ({"filter": {"status": "closed"}, "changes": {}}, {("filter.status.0", "enum")}),
        ({"filter": {"status": {"open": 1}}, "changes": {}}, {("filter.status.0", "enum")}),
        ({"filter": {"colour": "red"}, "changes": {}}, {("filter.colour", "extra_forbidden")}),
        ({"filter": {"region": "64.99"}, "changes": {}}, {("filter.region", "unknown_region")}),
        ({"filter": {"provider": "nobody"}, "changes": {}}, {("filter.provider", "unknown_provider")}),
        ({"filter": {"site": "none"}, "changes": {}}, {("filter.site", "unknown_site")}),
        ({"filter": {"period": "1y"}, "changes": {}}, {("filter.period", "bad_period")}),
        ({"filter": {"period": "24h", "from": "2026-11-01"}, "changes": {}}, {("filter.period", "period_and_from")}),
        ({"ids": [1], "changes": {}, "expected_count": -1}, {("expected_count", "greater_than_equal")}),
    ],
)
async def test_a_wrong_body_is_refused(
    scenario: IncidentScenario, body: dict[str, Any], found: set[tuple[str, str]]
) -> None:
    answer = await refused(scenario.cast.sari, **body)
    assert {(fault["field"], fault["code"]) for fault in answer.json()["errors"]} == found


async def test_who_only_reads_changes_nothing_and_no_district_reaches_another(
    scenario: IncidentScenario, incidents: list[int]
) -> None:
    body: dict[str, Any] = {"filter": {"status": "open"}, "changes": {"status": "acknowledged"}}
    for reader in (scenario.cast.vera, scenario.cast.icon):
        assert (await reader.patch("/incidents", body)).status_code == 403
    assert (await scenario.cast.stranger.patch("/incidents", body)).status_code == 401
    beyond = await scenario.cast.ana.patch("/incidents", {**body, "filter": {"region": "64.03"}})
    assert beyond.status_code == 403


async def test_each_incident_that_changed_is_audited_in_its_region(
    scenario: IncidentScenario, incidents: list[int]
) -> None:
    await bulk(scenario.cast.sari, filter={"status": "open"}, changes={"ticket_no": "T-7"})
    entries = (await scenario.cast.sari.get("/audit", params={"object": "incident"})).json()["items"]
    assert {(entry["object_id"], entry["region_code"], entry["action"]) for entry in entries} == {
        (str(incidents[1]), "64.02.05.2003", "change"),
        (str(incidents[2]), "64.02.05.2003", "change"),
        (str(incidents[3]), BERAU_VILLAGE, "change"),
    }
    assert all(entry["after"] == {"ticket_no": "T-7"} for entry in entries)


async def test_fifty_incidents_take_no_more_statements_than_one(
    scenario: IncidentScenario, engine: AsyncEngine
) -> None:
    site = await scenario.site()
    ledger = [(at, at + 30, "up" if at % 60 else "down") for at in range(0, 3_000, 30)]
    await scenario.write(site, *ledger, (3_000, None, "up"))
    ids = [one["id"] for one in await scenario.list_incidents()]
    assert len(ids) == 50
    statements: list[int] = []

    def count(*_: Any) -> None:
        statements[-1] += 1

    for kind in ("before_cursor_execute", "savepoint"):
        event.listen(engine.sync_engine, kind, count)
    try:
        for chosen, cause in ((ids[:1], "power"), (ids, "link")):
            statements.append(0)
            assert (await bulk(scenario.cast.sari, ids=chosen, changes={"cause": cause}))["changed"] == len(chosen)
    finally:
        for kind in ("before_cursor_execute", "savepoint"):
            event.remove(engine.sync_engine, kind, count)
    assert statements[1] <= statements[0] + 3, "of which a flush may take one each for what it inserts"
    assert await scenario.count("outage_cause WHERE withdrawn_at IS NULL") == 50


def test_the_examples_are_true() -> None:
    for model in (IncidentsPatch, IncidentFilterIn, BulkPatchOut):
        for example in model.model_json_schema()["examples"]:
            model.model_validate(example)
