"""Berita acara in the console: drafted, objected to, decided, issued and corrected, by whoever may."""

from collections.abc import AsyncIterator, Callable

import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from starlette.routing import BaseRoute

from app.access.models import Role
from app.console.scope_cache import ScopeCache
from app.registry.models import Provider
from tests.access.browser import account
from tests.support.console import Page, Visitor
from tests.support.report_month import PARTIES, PERIOD, ReportMonth, shared_month
from tests.support.shared_start import SharedStart, savepoint
from tests.support.status import publish

LIST = "/console/reports"
REASONS = "Laporan PLN diterima, penyebab diubah."


@pytest.fixture(scope="module")
async def made(engine: AsyncEngine, routes: list[BaseRoute]) -> AsyncIterator[tuple[SharedStart, ReportMonth]]:
    async with shared_month(engine, routes) as made:
        yield made


@pytest.fixture
async def month(made: tuple[SharedStart, ReportMonth]) -> AsyncIterator[ReportMonth]:
    async with savepoint(made[0].connection):
        yield made[1]


@pytest.fixture
def app(made: tuple[SharedStart, ReportMonth], month: ReportMonth) -> FastAPI:
    return made[0].app


@pytest.fixture
def session(made: tuple[SharedStart, ReportMonth], month: ReportMonth) -> AsyncSession:
    return made[0].session


@pytest.fixture
async def icon(visitor: Callable[[], Visitor], session: AsyncSession) -> Visitor:
    """Reads for the contract's provider."""
    async with session.begin():
        provider_id = await session.scalar(select(Provider.id).where(Provider.slug == "iconplus"))
    await account(session, "icon", Role.PROVIDER_VIEWER, "64", provider_id=provider_id)
    browser = visitor()
    assert (await browser.sign_in("icon")).status == 303
    return browser


async def draft(province: Visitor, month: ReportMonth) -> str:
    """Draft the month; return the report's address."""
    page = await province.get(LIST)
    made = await province.submit(page, LIST, contract=str(month.contract), period=PERIOD)
    assert made.status == 303, made.text
    return made.response.headers["location"].partition("?")[0]


def said(page: Page) -> str:
    return " ".join(page.tree.xpath("//*[contains(@class, 'notice')]//text()"))


async def test_the_province_drafts_a_closed_month_and_is_told_what_is_left_to_do(
    month: ReportMonth, province: Visitor
) -> None:
    assert "Belum ada berita acara" in (await province.get(LIST)).text
    path = await draft(province, month)
    page = await province.get(path)
    for text in ("draf", "Rp", "Restitusi", "K-Icon", "Icon+", "Hash data (SHA-256)", "sites.csv"):
        assert text in page.text
    assert len(page.tree.xpath("//h2[@id='lines']/following-sibling::div[1]//tbody/tr")) == 2
    for text in ("keberatan sampai akhir", "penanda tangan untuk provinsi", "penanda tangan untuk penyedia"):
        assert text in page.text
    listed = await province.get(f"{LIST}?status=draft&period={PERIOD}&contract={month.contract}")
    assert listed.tree.xpath(f"//tbody//a[@href='{path}']")
    assert "tidak ada berita acara yang cocok" in (await province.get(f"{LIST}?status=issued")).text.lower()


async def test_a_draft_that_cannot_be_made_says_why_beside_its_field_and_loses_nothing(
    month: ReportMonth, province: Visitor
) -> None:
    page = await province.get(LIST)
    assert (await province.submit(page, LIST, contract="", period=PERIOD)).errors() == {"contract": "Pilih kontraknya."}
    wrong = await province.submit(
        page, LIST, contract=str(month.contract), period=PERIOD, objections_until="2020-01-01"
    )
    assert (wrong.status, set(wrong.errors())) == (422, {"objections_until"})
    assert wrong.form(LIST)["contract"] == str(month.contract)
    path = await draft(province, month)
    again = await province.submit(await province.get(LIST), LIST, contract=str(month.contract), period=PERIOD)
    assert (again.status, set(again.errors())) == (409, {"period"})
    assert again.tree.xpath(f"//details//a[@href='{path}']")
    assert "GET /" not in again.text, "what a page says is for people"


async def test_a_line_shows_its_arithmetic_and_its_outages(month: ReportMonth, province: Visitor) -> None:
    path = await draft(province, month)
    code = month.codes[month.here]
    page = await province.get(f"{path}/lines/{code}")
    assert page.status == 200
    assert page.tree.xpath("//ol[@class='steps']/li")
    assert len(page.tree.xpath("//table[contains(@class, 'outages-of')]/tbody/tr")) == 1
    assert "4 jam" in page.text
    assert (await province.get(f"{path}/lines/64.02.05.2003-99")).status == 404
    shown = await province.get(f"{path}?show=undetermined")
    names = shown.tree.xpath("//h2[@id='lines']/following-sibling::div[1]//tbody/tr/td[1]//small/text()")
    assert all(code not in name for name in names)


async def test_the_provider_objects_the_province_decides_and_both_stand_in_the_report(
    month: ReportMonth, province: Visitor, icon: Visitor
) -> None:
    path, code = await draft(province, month), month.codes[month.here]
    line = f"{path}/lines/{code}"
    page = await icon.get(line)
    [link] = page.tree.xpath("//table[contains(@class, 'outages-of')]//a[contains(@href, 'outage=')]/@href")
    chosen = (await icon.get(line + link)).form("/objections")
    assert chosen["outage_started_at"]
    refused = await icon.post(
        f"{path}/objections", chosen | {"text": "lihat https://contoh.id/bukti", "evidence": "PLN"}
    )
    assert (refused.status, set(refused.errors())) == (422, {"text"})
    assert refused.form("/objections")["outage_started_at"] == chosen["outage_started_at"]
    assert refused.form("/objections")["evidence"] == "PLN"
    done = await icon.post(f"{path}/objections", chosen | {"text": "Listrik padam", "evidence": "PLN 88213"})
    assert "Keberatan diajukan" in said(await icon.follow(done))
    whole = await icon.submit(await icon.get(path), f"{path}/objections", text="Jumlahnya keliru")
    assert whole.status == 303
    assert not (await icon.get(path)).tree.xpath("//form[contains(@action, '/decision')]")
    page = await province.get(path)
    assert "Listrik padam" in page.text
    assert "Keberatan yang harus diputuskan: 2" in page.text
    empty = await province.submit(page, f"{path}/objections/1/decision", decision="partly", text=" ")
    assert (empty.status, set(empty.errors())) == (422, {"text"})
    assert empty.form("/objections/1/decision")["decision"] == "partly"
    done = await province.submit(page, f"{path}/objections/1/decision", decision="partly", text=REASONS)
    shown = await icon.follow(done)
    for text in ("Diterima sebagian", REASONS, "keberatan 1: diterima sebagian"):
        assert text in shown.text
    assert "Listrik padam" in (await province.get(line)).text
    assert len((await province.get(f"{path}?show=objected")).tree.xpath("//a[contains(@href, '/lines/')]")) >= 1


async def test_what_was_looked_at_is_issued_once_nothing_is_open(
    month: ReportMonth, province: Visitor, icon: Visitor
) -> None:
    path = await draft(province, month)
    early = await province.get(f"{path}/issue")
    assert "Belum dapat diterbitkan" in early.text
    assert not early.tree.xpath("//main//form")
    fields = {"csrf_token": early.form("/sign-out")["csrf_token"], "version": "1"}
    assert (await province.post(f"{path}/issue", fields)).status in {409, 422}
    edit = await province.get(f"{path}/edit")
    names = {"parties.ppk.name": "Rina Wahyuni", "parties.provider_signatory.name": "Budi"}
    too_long = await province.submit(edit, "", **names | {"parties.place": "x" * 201})
    assert (too_long.status, set(too_long.errors())) == (422, {"parties.place"})
    assert too_long.form("")["parties.ppk.name"] == "Rina Wahyuni"
    assert (await province.submit(edit, "", **names)).status == 303
    stale = await province.submit(edit, "", **names | {"parties.place": "Samarinda"})
    assert (stale.status, stale.form("")["parties.place"]) == (412, "Samarinda")
    read = await icon.get(path)
    await province.submit(await province.get(f"{path}/edit"), "", **{"parties.place": "Samarinda"})
    late = await icon.submit(read, f"{path}/no-objections")
    assert (late.status, "pernyataan tidak dicatat" in said(late)) == (412, True)
    agreed = await icon.submit(late, f"{path}/no-objections")
    assert "tidak berkeberatan" in said(await icon.follow(agreed))
    looked_at = await province.get(f"{path}/issue")
    await month.correct_ledger(hours=6)
    refused = await province.submit(looked_at, "")
    assert refused.status in {409, 412}
    assert "berubah sejak Anda melihatnya" in said(refused)
    [before, now] = refused.tree.xpath("//code[@class='hash']/text()")
    assert before == looked_at.form("")["sha256"] != now
    again = await icon.get(path)
    assert "Angkanya berubah sejak terakhir Anda melihatnya" in said(again)
    assert "angka berubah" in again.text
    assert "sejak terakhir" not in (await icon.get(path)).text
    await icon.submit(await icon.get(path), f"{path}/no-objections")
    done = await province.submit(await province.get(f"{path}/issue"), "")
    issued = await province.follow(done)
    assert f"BA-{PERIOD}-0001" in issued.text
    assert not issued.tree.xpath("//main//form")
    for closed in ("edit", "issue"):
        assert (await province.get(f"{path}/{closed}")).status == 303


async def test_an_issued_report_is_corrected_by_a_new_one_with_the_same_signatories(
    month: ReportMonth, province: Visitor
) -> None:
    issued = await month.issued()
    path = f"{LIST}/{issued['id']}"
    form = await province.get(f"{path}/correct")
    empty = await province.submit(form, "", reason="")
    assert (empty.status, set(empty.errors())) == (422, {"reason"})
    await month.correct_ledger(hours=6)
    done = await province.submit(form, "", reason="Laporan PLN datang")
    correction = await province.follow(done)
    assert f"Mengoreksi {issued['number']}" in correction.text
    assert "Laporan PLN datang" in correction.text
    assert PARTIES["ppk"]["name"] in correction.text
    assert "Koreksinya sedang disusun" in (await province.get(path)).text
    assert (await province.get(f"{path}/correct")).status == 303


async def test_today_tells_of_objections_to_be_decided_and_of_drafts_to_be_issued(
    app: FastAPI, month: ReportMonth, province: Visitor
) -> None:
    report = (await draft(province, month)).rpartition("/")[2]

    async def told() -> str:
        app.state.scope_cache = ScopeCache()  # as some minutes later
        await publish(app)
        return (await province.get("/console")).text

    before = await told()
    assert "Draf berita acara" not in before, "the provider may still object"
    await month.cast.icon.post(f"/reports/{report}/objections", {"text": "Jumlahnya keliru"})
    assert "1 keberatan menunggu keputusan" in await told()
    decision = {"decision": "rejected", "text": "Jumlahnya benar"}
    await month.cast.sari.post(f"/reports/{report}/objections/1/decision", decision)
    assert (await month.cast.icon.post(f"/reports/{report}/no-objections")).status_code == 200
    assert "1 dapat diterbitkan" in await told()


async def test_a_wrong_draft_is_withdrawn_once_the_reason_is_given(month: ReportMonth, province: Visitor) -> None:
    path = await draft(province, month)
    page = await province.get(path)
    refused = await province.submit(page, f"{path}/withdraw", reason=" ")
    assert (refused.status, set(refused.errors())) == (422, {"reason"})
    done = await province.submit(page, f"{path}/withdraw", reason="Salah kontrak")
    assert "Draf ditarik" in (await province.follow(done)).text
    assert (await province.get(path)).status == 404


async def test_a_year_adds_up_its_issued_months(month: ReportMonth, province: Visitor) -> None:
    issued = await month.issued()
    page = await province.get(LIST)
    made = await province.submit(page, LIST, contract=str(month.contract), period=PERIOD[:4])
    recap = await province.follow(made)
    assert f"Rekapitulasi {PERIOD[:4]}" in recap.text
    assert issued["number"] in recap.text
    assert "months.csv" in recap.text
    assert PARTIES["ppk"]["name"] in recap.text, "who signs is taken over from the report before"


async def test_an_office_reads_its_lines_and_nobody_but_the_province_changes_anything(
    month: ReportMonth, province: Visitor, officer: Visitor, reader: Visitor, visitor: Callable[[], Visitor]
) -> None:
    path = await draft(province, month)
    page = await officer.get(path)
    assert "Petikan" in page.text
    assert month.codes[month.here] in page.text
    assert month.codes[month.there] not in page.text
    assert (await officer.get(f"{path}/lines/{month.codes[month.there]}")).status == 404
    for browser in (officer, reader):
        assert not (await browser.get(path)).tree.xpath("//main//form[@method='post']")
        assert not (await browser.get(LIST)).tree.xpath("//main//form[@method='post']")
        token = {"csrf_token": (await browser.get(LIST)).form("/sign-out")["csrf_token"]}
        for to in (f"{path}/issue", f"{path}/objections", f"{path}/no-objections", f"{path}/correct"):
            answer = await browser.post(to, token | {"text": "a", "reason": "a", "version": "1"})
            assert answer.status in {403, 409}, to
        assert (await browser.post(f"{path}/edit", token | {"parties.place": "Balikpapan"})).status == 403
        assert (await browser.post(LIST, token | {"contract": str(month.contract), "period": PERIOD})).status == 403


async def test_an_operator_of_the_province_drafts_and_an_admin_issues(
    month: ReportMonth, visitor: Callable[[], Visitor], session: AsyncSession
) -> None:
    await account(session, "operator", Role.PROVINCE_OPERATOR, "64")
    operator = visitor()
    await operator.sign_in("operator")
    path = await draft(operator, month)
    await month.cast.sari.patch(f"/reports/{path.rpartition('/')[2]}", {"parties": PARTIES})
    page = await operator.get(f"{path}/issue")
    assert "Diterbitkan oleh admin provinsi" in page.text
    assert not page.tree.xpath("//main//form")


async def test_reports_are_found_from_contracts_and_the_months_verdicts(
    month: ReportMonth, province: Visitor, icon: Visitor
) -> None:
    await draft(province, month)
    for browser in (province, icon):
        contract = await browser.get(f"/console/contracts/{month.contract}")
        [link] = contract.tree.xpath("//main//a[contains(@href, '/console/reports?contract=')]/@href")
        assert "Berita acara" in (await browser.get(link)).text
        sla = await browser.get(f"/console/sla?period={PERIOD}")
        [link] = sla.tree.xpath("//main//a[contains(@href, '/console/reports?period=')]/@href")
        assert (await browser.get(link)).tree.xpath("//tbody//a[contains(@href, '/console/reports/')]")
