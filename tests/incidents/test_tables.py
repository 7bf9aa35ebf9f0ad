"""Incidents, and the outages within them, as files that go into a letter."""

from typing import Any

import httpx
import pytest

from app.core import tables
from app.registry.indonesian import TECHNOLOGIES
from tests.conftest import Person
from tests.factories import BERAU_VILLAGE
from tests.support.files import read_csv, read_xlsx
from tests.support.incident_scenario import IncidentScenario


@pytest.fixture
async def incidents(scenario: IncidentScenario) -> dict[str, Any]:
    """One incident that is over, with all that offices write of it, and a shared one of a node's five sites."""
    single = await scenario.site(name="=1+1 Kantor Desa")
    await scenario.write(single, (0, 100, "up"), (100, 400, "down"), (400, None, "up"))
    (over,) = [one["id"] for one in await scenario.list_incidents()]
    await scenario.patch(over, scenario.cast.ana, cause="power", assignee="Teknisi", ticket_no="T-7")
    node = await scenario.site(kind="node")
    sites = [
        await scenario.site(parent_id=node, **where)
        for where in (
            {"village_code": BERAU_VILLAGE, "provider": "iconplus", "technology": "geo"},
            *({"provider": "telkom-wms"},) * 4,
        )
    ]
    for site in sites:
        await scenario.write(site, (0, 500, "up"), (500, None, "down"))
    (shared,) = [one["id"] for one in await scenario.list_incidents(kind="shared")]
    return {"over": over, "shared": shared, "sites": sites, "single": single}


async def fetch(person: Person, **params: str) -> httpx.Response:
    return await person.get("/incidents", params={"format": "csv", **params})


async def test_one_row_an_incident_with_where_whose_and_who_dealt_with_it(
    scenario: IncidentScenario, incidents: dict[str, Any]
) -> None:
    answer = await fetch(scenario.cast.sari, status="resolved")
    (row,) = read_csv(answer)
    code = scenario.sites[incidents["single"]]["code"]
    assert {
        "Nomor gangguan": str(incidents["over"]),
        "Jenis": "tunggal",
        "Status": "pulih",
        "Kode titik akses": code,
        "Nama titik akses": "'=1+1 Kantor Desa",
        "Desa/kelurahan": "Muara Badak Ulu",
        "Kecamatan": "Muara Badak",
        "Kabupaten/kota": "Kabupaten Kutai Kartanegara",
        "Penyedia": "Telkom WMS",
        "Teknologi": "serat optik",
        "Lama (detik)": "300",
        "Penyebab": "listrik padam",
        "Petugas": "Teknisi",
        "Nomor tiket": "T-7",
        "Penyebab ditetapkan oleh": "token ana",
    }.items() <= row.items()
    assert row["Mulai (WITA)"].endswith("+08:00")
    assert scenario.second(row["Mulai (WITA)"]) == 100
    assert 'filename="gangguan-64-' in answer.headers["content-disposition"]


async def test_a_shared_incident_names_the_values_of_all_its_sites(
    scenario: IncidentScenario, incidents: dict[str, Any]
) -> None:
    (row,) = read_csv(await fetch(scenario.cast.sari, kind="shared", lang="en"))
    assert row["Provider"] == "Icon+; Telkom WMS"
    assert row["Technology"] == "fiber; geo"
    assert row["District"] == "Kabupaten Berau; Kabupaten Kutai Kartanegara"
    assert (row["Outages"], row["Kind"], row["Status"]) == ("5", "shared", "open")
    (row,) = read_csv(await fetch(scenario.cast.sari, kind="shared"))
    assert row["Teknologi"] == f"{TECHNOLOGIES['fiber']}; {TECHNOLOGIES['geo']}"


async def test_one_row_an_outage_of_a_site(scenario: IncidentScenario, incidents: dict[str, Any]) -> None:
    rows = read_csv(await fetch(scenario.cast.sari, rows="members", lang="api", status="open,resolved"))
    codes = {scenario.sites[site]["code"]: site for site in (incidents["single"], *incidents["sites"])}
    assert {row["code"] for row in rows} == codes.keys()
    by_code = {row["code"]: row for row in rows}
    there = by_code[scenario.sites[incidents["sites"][0]]["code"]]
    assert {
        "id": str(incidents["shared"]),
        "provider": "Icon+",
        "technology": "geo",
        "district": "Kabupaten Berau",
        "status": "open",
        "duration_s": "",
        "refuted_s": "0",
    }.items() <= there.items()
    here = by_code[scenario.sites[incidents["single"]]["code"]]
    assert (here["duration_s"], here["cause"], here["ticket_no"]) == ("300", "power", "T-7")
    whole = (await scenario.get(incidents["over"]))["sites"][0]
    assert (here["duration_min_s"], here["duration_max_s"]) == (
        str(whole["duration_min_s"] or ""),
        str(whole["duration_max_s"]),
    )


async def test_a_workbook_has_title_period_and_what_the_status_leaves_out(
    scenario: IncidentScenario, incidents: dict[str, Any]
) -> None:
    answer = await scenario.cast.ana.get(
        "/incidents", params={"format": "xlsx", "status": "open", "period": "24h", "region": "64.02"}
    )
    book = read_xlsx(answer)
    assert book.heading[0] == "Gangguan: Kabupaten Kutai Kartanegara (64.02)"
    assert book.heading[1].startswith("Masa: ")
    assert "Tidak termuat di sini: 1 pulih, 3 dibatalkan" in book.heading
    assert [row["Nomor gangguan"] for row in book.rows] == [incidents["shared"]]
    assert {"Nomor gangguan", "Penyebab"} <= {entry["Kolom"] for entry in book.dictionary}
    assert 'filename="gangguan-64.02-' in answer.headers["content-disposition"]


async def test_a_provider_gets_its_own_sites_and_nobodys_name(
    scenario: IncidentScenario, incidents: dict[str, Any]
) -> None:
    await scenario.patch(incidents["shared"], status="acknowledged", assignee="Teknisi Rahasia", ticket_no="T-RAHASIA")
    for rows in ("incidents", "members"):
        answer = await fetch(scenario.cast.icon, rows=rows, lang="api", kind="shared")
        (row,) = read_csv(answer)
        assert (row["code"], row["provider"]) == (scenario.sites[incidents["sites"][0]]["code"], "Icon+")
        for secret in ("Rahasia", "RAHASIA", "token sari", "Telkom"):
            assert secret not in answer.text
    of_ben = read_csv(await fetch(scenario.cast.ben, rows="members", lang="api", kind="shared"))
    assert [row["district"] for row in of_ben] == ["Kabupaten Berau"]


async def test_a_file_comes_whole_and_json_has_its_sites_inside(
    scenario: IncidentScenario, incidents: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for params, found in (
        ({"format": "csv", "limit": "5"}, ("limit", "whole_only")),
        ({"rows": "members"}, ("rows", "of_files")),
        ({"format": "csv", "rows": "sites"}, ("rows", "enum")),
    ):
        answer = await scenario.cast.sari.get("/incidents", params=params)
        assert [(fault["field"], fault["code"]) for fault in answer.json()["errors"]] == [found], params
    monkeypatch.setattr(tables, "MAX_CELLS", {"csv": 70, "xlsx": 70})
    answer = await fetch(scenario.cast.sari, rows="members")
    assert [(fault["field"], fault["code"]) for fault in answer.json()["errors"]] == [("format", "too_many_rows")]
