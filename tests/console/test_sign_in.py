import html
import json
from collections.abc import Callable

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Role
from app.web.account_queues import AccountQueues
from tests.access.browser import OTHER, PASSWORD, account
from tests.support.console import Visitor

Open = Callable[[], Visitor]


async def test_a_page_sends_a_stranger_to_sign_in_and_then_back(visitor: Open, session: AsyncSession) -> None:
    await account(session, "kukar", Role.DISTRICT_OPERATOR, "64.02")
    browser = visitor()
    page = await browser.follow(await browser.get("/console/me?period=7d"))
    assert "Masuk" in page.text
    answer = await browser.submit(page, "/console/sign-in", username="kukar", password=PASSWORD)
    assert (answer.status, answer.response.headers["location"]) == (303, "/console/me?period=7d")
    assert "Kukar" in (await browser.follow(answer)).text


async def test_signing_in_leads_to_no_other_site(visitor: Open, session: AsyncSession) -> None:
    await account(session, "kukar", Role.DISTRICT_OPERATOR, "64.02")
    for target in (
        "https://evil.example/",
        "//evil.example/console",
        "/consolex",
        "/console/\\evil.example",
        "/api/v1/me",
    ):
        fields = {"username": "kukar", "password": PASSWORD, "next": target}
        answer = await visitor().post("/console/sign-in", fields)
        assert answer.response.headers["location"] == "/console", target


async def test_a_wrong_password_is_said_and_the_username_kept(visitor: Open, session: AsyncSession) -> None:
    await account(session, "kukar", Role.DISTRICT_OPERATOR, "64.02")
    page = await visitor().sign_in("kukar", "salah")
    assert page.status == 401
    assert "Nama pengguna atau kata sandi salah" in page.text
    assert page.form("/console/sign-in")["username"] == "kukar"
    assert "salah" not in page.response.text.replace("kata sandi salah", "")


async def test_a_form_whose_session_ended_is_sent_after_signing_in(officer: Visitor) -> None:
    fields = (await officer.get("/console/me/password")).form("/console/me/password")
    await officer.post("/console/sign-out", fields)
    typed = {**fields, "note": '<b>"kata"</b>'}
    page = await officer.post("/console/me/password", typed)
    assert page.status == 401
    assert "Isian Anda tetap tersimpan" in page.text
    page = await officer.submit(page, "/console/sign-in", username="kukar", password="salah")
    page = await officer.submit(page, "/console/sign-in", username="kukar", password=PASSWORD)
    resumed = page.form("/console/me/password")
    assert resumed["note"] == typed["note"]
    assert resumed["idempotency_key"] == typed["idempotency_key"]
    assert resumed["csrf_token"] != typed["csrf_token"]
    assert html.escape(typed["note"]) in page.response.text.replace("&#34;", "&quot;")


async def test_a_kept_form_goes_to_the_console_alone(visitor: Open, session: AsyncSession) -> None:
    await account(session, "kukar", Role.DISTRICT_OPERATOR, "64.02")
    forged: list[object] = [{"path": "https://evil.example/", "fields": []}, {"path": "//x", "fields": []}, [], "x"]
    for kept in forged:
        fields = {"username": "kukar", "password": PASSWORD, "kept": json.dumps(kept)}
        assert (await visitor().post("/console/sign-in", fields)).response.headers["location"] == "/console"


async def test_signing_out_ends_the_session_and_needs_the_token_of_the_page(officer: Visitor) -> None:
    page = await officer.get("/console/me")
    refused = await officer.post("/console/sign-out", {"csrf_token": "x"})
    assert refused.status == 403
    assert (await officer.get("/console/me")).status == 200
    answer = await officer.submit(page, "/console/sign-out")
    assert "Anda sudah keluar" in (await officer.follow(answer)).text
    assert (await officer.get("/console/me")).status == 303


async def test_a_password_that_somebody_else_chose_is_changed_first(visitor: Open, session: AsyncSession) -> None:
    person = await account(session, "baru", Role.VIEWER, "64")
    async with session.begin():
        person.must_change_password = True
    browser = visitor()
    page = await browser.follow(await browser.sign_in("baru"))
    wrong = await browser.submit(page, "/console/me/password", current_password="x", new_password=OTHER)
    assert set(wrong.errors()) == {"current_password"}
    done = await browser.submit(page, "/console/me/password", current_password=PASSWORD, new_password=OTHER)
    assert "Kata sandi sudah diganti" in (await browser.follow(done)).text


async def test_pages_speak_indonesian_first_and_english_by_a_switch_that_lasts(officer: Visitor) -> None:
    assert "Akun saya" in (await officer.get("/console/me")).text
    assert "My account" in (await officer.get("/console/me?lang=en")).text
    assert "My account" in (await officer.get("/console/me")).text
    page = await officer.get("/console/me?lang=id&period=7d")
    assert page.tree.get("lang") == "id"
    assert page.tree.xpath("//a[@hreflang]/@href") == ["?period=7d&lang=en"], "what is shown stays"


async def test_the_language_switch_of_signing_in_loses_neither_the_way_back_nor_a_kept_form(visitor: Open) -> None:
    page = await visitor().get("/console/sign-in?next=/console/sites%3Fq%3Da%26b")
    [switch] = page.tree.xpath('//a[@lang="en"]/@href')
    page = await visitor().get(f"/console/sign-in{switch}")
    assert page.form("/console/sign-in")["next"] == "/console/sites?q=a&b"
    page = await visitor().post("/console/sites/new", {"name": "Balai"})
    assert page.form("/console/sign-in")["kept"]
    assert not page.tree.xpath('//a[contains(@href, "lang=")]')


async def test_an_unknown_page_is_a_page_that_says_so(officer: Visitor) -> None:
    page = await officer.get("/console/nothing/here")
    assert page.status == 404
    assert (await officer.post("/console/nothing/here")).status == 404
    assert "alamatnya salah ketik" in page.text
    assert page.response.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")


async def test_pages_beyond_an_accounts_queue_are_refused_by_a_page_that_says_to_try_again(
    app: FastAPI, officer: Visitor
) -> None:
    app.state.pages = AccountQueues(at_once=1, queued=0, retry_after_s=5)
    page = await officer.get("/console/me")
    assert (page.status, page.response.headers["retry-after"]) == (429, "5")
    assert "Coba lagi sebentar lagi" in page.text
