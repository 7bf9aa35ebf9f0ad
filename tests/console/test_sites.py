"""The list of sites and the page of one site: found, filtered, explained and acted on as the officer may."""

import re
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE, register
from tests.support.console import Visitor
from tests.support.site_histories import day, site_since, under_contract

HOSTILE = "<script>alert(1)</script>\u202egnol"


async def test_the_list_says_how_many_match_and_pages_through_them(officer: Visitor, cast: Cast) -> None:
    for n in range(53):
        await register(cast, host=f"198.51.100.{n + 1}", name=f"Titik {n:02}")
    await register(cast, host="198.51.100.99", name="Punya Berau", village_code=BERAU_VILLAGE)
    first = await officer.get("/console/sites")
    assert "53 titik akses" in first.text
    assert len(first.tree.xpath("//tbody/tr")) == 50
    assert "Punya Berau" not in first.text
    [next_page] = first.tree.xpath('//a[@rel="next"]/@href')
    second = await officer.get(next_page)
    assert len(second.tree.xpath("//tbody/tr")) == 3
    assert "Halaman pertama" in second.text
    narrowed = await officer.get("/console/sites?q=Titik+07&state=unknown&technology=fiber&provider=telkom-wms")
    assert ("1 titik akses" in narrowed.text, "Titik 07" in narrowed.text) == (True, True)
    [csv] = [href for href in narrowed.tree.xpath("//a/@href") if href.endswith("format=csv")]
    exported = await officer.client.get(csv)
    assert exported.text.count("\n") == 2
    assert "Tidak ada titik akses yang cocok" in (await officer.get("/console/sites?q=tidakada")).text


async def test_pickers_of_regions_follow_each_other_and_a_nonsense_filter_says_which(
    officer: Visitor, cast: Cast
) -> None:
    await register(cast, name="Di Muara Badak")
    page = await officer.get("/console/sites?district=64.02&subdistrict=64.02.05")
    assert "Di Muara Badak" in page.text
    assert page.tree.xpath('//select[@name="village"]/option[contains(., "Muara Badak Ulu")]')
    assert page.tree.xpath('//select[@name="subdistrict"]/option[@selected]/@value') == ["64.02.05"]
    assert [one for one in page.tree.xpath('//select[@name="district"]/option/@value') if one] == ["64.02"]
    elsewhere = await officer.get("/console/sites?district=64.02&subdistrict=64.03.01")
    assert elsewhere.tree.xpath('//select[@name="subdistrict"]/option[@selected]') == []
    for query, field, said in (
        ("state=broken", "state", "down"),
        ("provider=nobody", "provider", "nobody"),
        ("region=64.99", "region", "64.99"),
        (f"technology={HOSTILE}", "technology", "fiber"),
    ):
        refused = await officer.get(f"/console/sites?{query}")
        assert refused.status == 422
        assert said in (refused.text if field == "region" else refused.errors()[field])
        assert "<script>alert" not in refused.response.text
    assert (await officer.get("/console/sites?region=64.03")).status == 403


async def test_a_view_is_saved_by_name_for_its_owner_alone_and_deleted(
    officer: Visitor, neighbour: Visitor, session: AsyncSession
) -> None:
    page = await officer.get("/console/sites?state=down&technology=geo")
    saved = await officer.submit(page, "/console/sites/views", name=HOSTILE)
    shown = await officer.follow(saved)
    assert "Tampilan disimpan" in shown.text
    assert "<script>alert" not in shown.response.text
    assert shown.tree.xpath('//ul[@class="tabs"]//a/@href') == ["/console/sites?state=down&technology=geo"]
    assert "gnol" not in (await neighbour.get("/console/sites")).text
    view_id = await session.scalar(text("SELECT id FROM saved_view"))
    action = f"/console/sites/views/{view_id}/delete"
    own = (await neighbour.get("/console/sites")).form("/console/sign-out")
    await neighbour.post(action, own)
    assert await session.scalar(text("SELECT count(*) FROM saved_view")) == 1
    await officer.submit(shown, action)
    assert await session.scalar(text("SELECT count(*) FROM saved_view")) == 0
    refused = await officer.submit(page, "/console/sites/views", name="n" * 61)
    assert (refused.status, set(refused.errors())) == (422, {"name"})
    assert refused.form("/console/sites/views")["query"] == "state=down&technology=geo"


async def test_twenty_views_are_the_most_and_one_of_a_name_replaces_it(cast: Cast) -> None:
    for n in range(20):
        assert (await cast.ana.post("/me/views", {"name": f"v{n}", "query": "state=down"})).status_code == 201
    assert (await cast.ana.post("/me/views", {"name": "v3", "query": "state=up"})).status_code == 201
    refused = await cast.ana.post("/me/views", {"name": "v20", "query": ""})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "too_many_views")
    views = (await cast.ana.get("/me/views")).json()["items"]
    assert {view["name"]: view["query"] for view in views}["v3"] == "state=up"
    assert (await cast.ben.get("/me/views")).json()["items"] == []
    assert (await cast.ben.delete(f"/me/views/{views[0]['id']}")).status_code == 204
    assert len((await cast.ana.get("/me/views")).json()["items"]) == 20


async def test_the_page_of_a_site_shows_state_history_contract_and_what_is_around(
    officer: Visitor, reader: Visitor, session: AsyncSession, cast: Cast
) -> None:
    fields = {"name": HOSTILE, "notes": HOSTILE, "contact_name": "Pak Dul", "contact_phone": "0812-000"}
    site = await site_since(session, cast, day(5), (day(2, 1), "down"), (day(2, 3), "up"), **fields)
    await under_contract(session, site, valid_from=day(5).date(), terms=[(day(5).date(), {})])
    await register(cast, name="Tetangga", host="198.51.100.88")
    for period in ("24h", "7d", "30d", "365d"):
        page = await officer.get(f"/console/sites/{site}?period={period}")
        assert page.status == 200, page.text
        assert "<script>alert" not in page.response.text
        assert page.tree.xpath('//a[@aria-current="page"][contains(@href, "period=")]')
        assert page.tree.xpath("//svg")
    week = await officer.get(f"/console/sites/{site}?period=7d")
    assert f"K-{site}" in week.text
    for words in ("Normal sejak", "data terpantau", "Tetangga", "Pak Dul", "0812-000"):
        assert words in week.text, words
    assert week.tree.xpath(f'//svg//a[starts-with(@href, "/console/sites/{site}/why?at=")]')
    assert not week.tree.xpath('//a[contains(@href, "/audit")]'), "the audit trail is the admins'"
    assert "Pak Dul" not in week.tree.xpath("//title")[0].text_content()
    assert "Pak Dul" not in (await reader.get(f"/console/sites/{site}")).text
    one_day = await officer.get(f"/console/sites/{site}?day={day(2).date() + timedelta(days=1)}")
    assert one_day.status == 200
    english = await officer.get(f"/console/sites/{site}?period=7d&lang=en")
    assert "Why do we say so?" in english.text
    assert not re.search(r"\bputus\b|\bsejak\b", english.text)


async def test_an_unknown_a_foreign_site_and_a_nonsense_period_say_so(officer: Visitor, cast: Cast) -> None:
    foreign = await register(cast, village_code=BERAU_VILLAGE)
    for ident in (foreign["id"], foreign["code"], "999999", "64.02.05.2003-77", "x%3Cy"):
        for below in ("", "/why", "/diagnoses/1"):
            page = await officer.get(f"/console/sites/{ident}{below}")
            assert page.status == 404
            assert "wilayah kewenangan" in page.text
    own = await register(cast, host="198.51.100.21")
    for query in ("period=century", "day=kemarin"):
        assert (await officer.get(f"/console/sites/{own['id']}?{query}")).status == 422
    future = await officer.get(f"/console/sites/{own['id']}/why?at=2099-01-01T00:00:00")
    assert (future.status, "masih di depan" in future.text) == (422, True)


async def test_why_shows_rule_readings_and_limits_of_a_moment_in_wita(
    officer: Visitor, session: AsyncSession, cast: Cast
) -> None:
    site = await site_since(session, cast, day(5), (day(2, 1), "down"), (day(2, 3), "up"))
    await under_contract(session, site, valid_from=day(5).date(), terms=[(day(5).date(), {})])
    at = (day(2, 2) + timedelta(hours=8)).strftime("%Y-%m-%dT%H:%M:%S")
    page = await officer.get(f"/console/sites/{site}/why?at={at}&around=60")
    assert page.status == 200
    for words in ("Putus sejak", "02.00.00 WITA", f"Kontrak K-{site} menghitungnya putus", "serat optik", "150 ms"):
        assert words in page.text, words
    assert page.tree.xpath('//input[@name="at"]/@value') == [at]
    assert "Tidak ada hasil ukur yang tersimpan" in page.text
    assert "bukan waktu" in (await officer.get(f"/console/sites/{site}/why?at=selasa")).errors()["at"]


async def test_a_diagnosis_is_started_and_its_page_refreshes_until_it_is_over(
    officer: Visitor, session: AsyncSession, cast: Cast
) -> None:
    site = (await register(cast))["id"]
    page = await officer.get(f"/console/sites/{site}")
    action = f"/console/sites/{site}/diagnose"
    started = await officer.submit(page, action, kind="ping")
    assert started.status == 303
    shown = await officer.follow(started)
    assert shown.tree.xpath('//meta[@http-equiv="refresh"]')
    again = await officer.submit(await officer.get(f"/console/sites/{site}"), action, kind="ping")
    assert again.status == 429
    assert "Diagnosis sekarang" in again.text
    await session.execute(text("UPDATE diagnosis SET status = 'done', started_at = now(), ended_at = now()"))
    await session.commit()
    over = await officer.get(started.response.headers["location"])
    assert not over.tree.xpath('//meta[@http-equiv="refresh"]')
    assert "Ulangi" in over.text


async def test_a_site_is_retired_after_a_confirmation_and_a_code_for_its_agent_is_shown_once(
    officer: Visitor, reader: Visitor, cast: Cast
) -> None:
    site = (await register(cast, probe="push", host=None))["id"]
    page = await officer.get(f"/console/sites/{site}")
    enrolled = await officer.submit(page, f"/console/sites/{site}/enrolment")
    assert "Kode ini memasang satu agen" in enrolled.text
    done = await officer.follow(await officer.submit(page, f"/console/sites/{site}/lifecycle"))
    assert "tidak digunakan lagi" in done.text
    assert (await cast.ana.get(f"/sites/{site}")).json()["lifecycle"] == "retired"
    assert not (await reader.get(f"/console/sites/{site}")).tree.xpath('//form[contains(@action, "/lifecycle")]')
    assert (await reader.get(f"/console/sites/{site}/why")).status == 200


async def test_the_history_of_a_site_is_told_in_words(cast: Cast, province: Visitor) -> None:
    site = await register(cast, name="Balai Lama")
    await cast.sari.patch(f"/sites/{site['id']}", {"name": "Balai Baru", "technology": "radio"})
    shown = (await province.get(f"/console/sites/{site['id']}")).text
    assert "Nama: Balai Lama → Balai Baru" in shown.replace("\u2068", "").replace("\u2069", "")
    assert "serat optik → radio" in shown
    assert "link_role" not in shown
