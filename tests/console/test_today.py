"""*Hari ini*: whether anything is broken, since when, and who must act."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Role
from app.console.api_client import ApiClient
from app.console.scope_cache import ScopeCache
from tests.access.browser import account
from tests.factories import BERAU_VILLAGE, register
from tests.support.console import Page, Visitor
from tests.support.incident_scenario import IncidentScenario
from tests.support.status import judge, publish

Open = Callable[[], Visitor]


async def look(browser: Visitor, app: FastAPI, query: str = "") -> Page:
    await publish(app)
    page = await browser.get(f"/console{query}")
    assert page.status == 200, page.text
    return page


def said(page: Page, fragment: str) -> str:
    [element] = page.tree.xpath(f'//*[@id="{fragment}" and @data-live]')
    return " ".join(element.text_content().split())


@pytest.fixture
async def outages(scenario: IncidentScenario, session: AsyncSession) -> dict[str, int]:
    """Kutai Kartanegara: one site down since 600 s, one since 60 s, one well; Berau: one down; one recovered."""
    sites = {
        "long": await scenario.site(name="Muara <b>Kaman</b>"),
        "short": await scenario.site(name="Pela", technology="geo", provider="iconplus"),
        "well": await scenario.site(name="Liang"),
        "berau": await scenario.site(name="Maluang", village_code=BERAU_VILLAGE),
    }
    await scenario.write(sites["long"], (-100, 0, "up"), (0, None, "down"))
    await scenario.write(sites["short"], (-100, 0, "up"), (540, None, "down"))
    await scenario.write(sites["berau"], (-100, 0, "up"), (0, None, "down"))
    await scenario.write(sites["well"], (-100, 100, "up"), (100, 200, "down"), (200, None, "up"))
    for name, site_id in sites.items():
        await judge(session, site_id, "up" if name == "well" else "down", age_s=0 if name == "short" else 5)
    return sites


async def test_an_officer_reads_what_is_broken_in_the_district_since_when_and_who_must_act(
    officer: Visitor, app: FastAPI, scenario: IncidentScenario, outages: dict[str, int]
) -> None:
    page = await look(officer, app)
    now = said(page, "now")
    assert "2 titik akses putus sekarang di Kabupaten Kutai Kartanegara." in now
    assert "Terlama: Muara <b>Kaman</b>, Muara Badak, Kabupaten Kutai Kartanegara, sejak" in now
    assert "2 gangguan belum ditangani: tangani sekarang." in now
    lasting = said(page, "incidents")
    assert lasting.index("Muara <b>Kaman</b>") < lasting.index("Pela"), "the longest first"
    assert "Diskominfo perlu memastikan penyebabnya; penyedia: Icon+" in lasting
    assert "Maluang" not in page.text
    assert "&lt;b&gt;" in page.response.text
    [incident] = [one for one in await scenario.list_incidents(status="open") if one["sites"][0]["name"] == "Pela"]
    await scenario.patch(incident["id"], status="acknowledged", cause="power", assignee="Teknisi Ana")
    page = await look(officer, app)
    assert "1 gangguan belum ditangani: tangani sekarang. 1 sedang ditangani." in said(page, "now")
    assert "sedang ditangani: Teknisi AnaPerlu tindakan PLN" in said(page, "incidents")
    assert page.tree.xpath(f'//*[@id="incidents"]//a[@href="/console/incidents/{incident["id"]}"]')


async def test_counts_regions_providers_and_changes_are_those_of_the_scope(
    officer: Visitor,
    neighbour: Visitor,
    province: Visitor,
    app: FastAPI,
    scenario: IncidentScenario,
    outages: dict[str, int],
) -> None:
    own, berau, whole = [await look(visitor, app) for visitor in (officer, neighbour, province)]
    down = '//*[@id="counts"]//a[@href="/console/sites?state=down"]/*[@class="figure"]/text()'
    assert [page.tree.xpath(down) for page in (own, berau, whole)] == [["2"], ["1"], ["3"]]
    assert "data terpantau saat ini, dari 3 titik akses" in said(own, "counts")
    assert "Muara Badak3 2000" in said(own, "regions")
    assert "Kabupaten Kutai Kartanegara3 2000" in said(whole, "regions")
    assert "Kabupaten Berau1 1000" in said(whole, "regions")
    assert "Liang" in said(own, "changes"), "it recovered"
    [recovered] = own.tree.xpath('//*[@id="changes"]//a[text()="Pulih (1)"]/@href')
    assert "Liang" in (await officer.get(recovered)).text
    fresh = await register(scenario.cast, village_code=BERAU_VILLAGE, name="Baru <i>", host="198.51.100.77")
    await publish(app)
    app.state.scope_cache = ScopeCache()  # as some minutes later
    [link] = (await look(neighbour, app)).tree.xpath('//*[@id="changes"]//li/a[contains(., "Baru <i>")]/@href')
    assert link == f"/console/sites/{fresh['id']}"
    providers = said(whole, "providers")
    assert providers.index("serat optik Telkom WMS") < providers.index("satelit")


async def test_the_map_shows_sites_by_state_and_the_table_says_the_same(
    province: Visitor, app: FastAPI, scenario: IncidentScenario, outages: dict[str, int]
) -> None:
    sari = scenario.cast.sari
    for site_id in outages.values():
        await sari.patch(f"/sites/{site_id}", {"latitude": -0.15, "longitude": 116.7})
    page = await look(province, app)
    dots = page.tree.xpath('//*[@id="map"]//*[contains(@class, "dots s-down")]//*[local-name()="title"]/text()')
    assert sorted(title.split(",")[0] for title in dots) == [
        "putus: Maluang",
        "putus: Muara <b>Kaman</b>",
        "putus: Pela",
    ]
    assert "Kutai Kartanegara" in said(page, "map")
    assert len(page.tree.xpath('//*[@id="map-table"]//tbody/tr')) == 3
    assert "7 hari" in said(await look(province, app, "?period=7d"), "counts")
    assert (await province.get("/console?period=1y")).status == 422


async def test_a_quiet_district_is_told_so_and_an_empty_one_what_to_do(
    neighbour: Visitor, app: FastAPI, scenario: IncidentScenario, session: AsyncSession
) -> None:
    page = await look(neighbour, app)
    assert "Tidak ada titik akses yang putus sekarang di Kabupaten Berau." in said(page, "now")
    assert "Belum ada titik akses yang terdaftar di sini. Daftarkan titik akses" in said(page, "regions")
    site_id = await scenario.site(village_code=BERAU_VILLAGE)
    await judge(session, site_id, "up")
    page = await look(neighbour, app, "?lang=en")
    assert "No site is down now in Kabupaten Berau. No incident waits to be taken over." in said(page, "now")
    assert "No incident lasts." in said(page, "incidents")


async def test_that_nothing_is_down_is_not_said_of_what_is_unknown(
    neighbour: Visitor, app: FastAPI, scenario: IncidentScenario, session: AsyncSession
) -> None:
    await judge(session, await scenario.site(village_code=BERAU_VILLAGE), "unknown")
    page = await look(neighbour, app)
    told = "Tidak ada titik akses yang diketahui putus di Kabupaten Berau; keadaan 1 dari 1 tidak diketahui."
    assert told in said(page, "now")
    assert page.tree.xpath('string(//*[@id="now"]/@class)') == "notice warn"
    assert told in (await neighbour.get("/layar")).text


async def test_readers_of_one_scope_share_what_was_made_of_a_version(
    province: Visitor,
    visitor: Open,
    officer: Visitor,
    app: FastAPI,
    session: AsyncSession,
    outages: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []
    get = ApiClient.get

    async def counted(self: ApiClient, path: str, /, **params: Any) -> Any:
        read.append(path)
        return await get(self, path, **params)

    monkeypatch.setattr(ApiClient, "get", counted)
    await account(session, "petugas", Role.PROVINCE_OPERATOR, "64")
    reader = visitor()
    await reader.sign_in("petugas")
    await look(province, app)
    first, other = len(read), await reader.get("/console")
    assert (len(read), said(other, "now")) == (first, said(await province.get("/console"), "now"))
    assert "Petugas" in other.text
    assert "provinsi" not in other.tree.xpath('string(//*[@class="who"])')
    await officer.get("/console")
    before = len(read)
    assert before == 2 * first - 1, "of another scope; the drafts of reports are the province's"
    await judge(session, outages["short"], "up")
    assert "2 titik akses putus" in said(await look(reader, app), "now")
    assert first > len(read) - before > 0, "what does not move with the status is read once in minutes"
