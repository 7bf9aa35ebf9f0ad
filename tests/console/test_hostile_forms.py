"""Forms as no page of ours sends them: too large, too many fields, in odd encodings, forged where they were kept."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Role
from app.console.forms import MAX_FIELDS, MAX_FORM
from app.console.page import MAX_KEPT
from tests.access.browser import OTHER, PASSWORD, account
from tests.conftest import Cast
from tests.factories import register
from tests.support.console import Page, Visitor
from tests.support.status import publish

Open = Callable[[], Visitor]

PATH = "/console/me/password"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def multipart(*values: bytes, charset: str = "") -> dict[str, Any]:
    """Keywords of httpx."""
    parts = b"".join(b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + value + b"\r\n" for value in values)
    return {"content": parts + b"--x--\r\n", "headers": {"Content-Type": f"multipart/form-data; boundary=x{charset}"}}


async def send(browser: Visitor, content: bytes, headers: dict[str, str] = FORM, path: str = PATH) -> Page:
    answer = await browser.client.post(path, content=content, headers=headers)
    return Page(answer, None)


@pytest.mark.parametrize(
    "content", [b"&" * 1_000_000, b"a&" * MAX_FIELDS, b"a=" + b"%f0" * (MAX_FORM // 3), b"a=" + b"b" * 2_000_000]
)
async def test_a_form_beyond_its_limits_is_refused_by_a_page(officer: Visitor, visitor: Open, content: bytes) -> None:
    for path in (PATH, "/console/sign-in", "/layar"):
        answer = await officer.client.post(path, content=content, headers=FORM)
        assert (answer.status_code, "text/html" in answer.headers["content-type"]) == (413, True)
    stranger = await visitor().client.post(PATH, content=content, headers=FORM)
    assert (stranger.status_code, 'name="kept"' in stranger.text) == (401, False)


async def test_a_form_with_too_many_parts_or_two_files_is_refused(officer: Visitor) -> None:
    many = await officer.client.post(PATH, **multipart(*[b""] * (MAX_FIELDS + 1)))
    assert many.status_code == 400
    files = {name: (name, b"x") for name in ("a", "b")}
    assert (await officer.client.post(PATH, files=files)).status_code == 400


@pytest.mark.parametrize(
    "charset",
    ["; charset=punycode", '; charset="idna"', "; charset*=utf-8''punycode", "; charset=utf-8; charset=utf-7"],
)
async def test_a_form_is_decoded_as_utf_8_alone(officer: Visitor, visitor: Open, charset: str) -> None:
    """Some of Python's codecs take minutes for a MB, and a browser sends none of them."""
    for browser in (officer, visitor()):
        for path in (PATH, "/api/v1/sites/import"):
            assert (await browser.client.post(path, **multipart(b"a", charset=charset))).status_code == 422
    assert (await officer.client.post(PATH, **multipart(b"a", charset="; charset=UTF-8"))).status_code == 403


@pytest.mark.parametrize("text", [b"%ff%fe", b"\xff\xfe", b"%00", b"%ed%a0%80", b"%F0%9F%98%80", b"%"])
async def test_no_text_in_a_form_is_a_fault_of_ours(officer: Visitor, text: bytes) -> None:
    page = await officer.get(PATH)
    token = page.form(PATH)["csrf_token"].encode()
    for content in (
        b"csrf_token=" + token + b"&idempotency_key=" + text + b"&current_password=" + text + b"&new_password=" + text,
        b"csrf_token=" + text + b"&" + text + b"=" + text,
    ):
        assert (await send(officer, content)).status in {403, 422}
        assert (await send(officer, content, path="/console/providers/1/edit")).status in {403, 404, 422}
    signing_in = b"username=" + text + b"&password=" + text + b"&next=" + text + b"&kept=" + text
    assert (await send(officer, signing_in, path="/console/sign-in")).status in {401, 422, 429}


async def test_passwords_are_not_kept_in_a_page(visitor: Open) -> None:
    typed = {"current_password": "rahasia-1", "new_password": "rahasia-2", "name": "Budi"}
    page = await visitor().post(PATH, typed)
    assert "rahasia" not in page.response.text
    assert json.loads(page.form("/console/sign-in")["kept"])["fields"] == [["name", "Budi"]]


async def test_a_form_is_kept_as_long_as_it_can_be_sent_again(visitor: Open, session: AsyncSession) -> None:
    await account(session, "kukar", Role.DISTRICT_OPERATOR, "64.02")
    for character in ("a", "é", "😀", '"'):
        browser = visitor()
        fits = character * (MAX_KEPT // len(json.dumps(character, ensure_ascii=False)[1:-1].encode()) - 100)
        page = await browser.post("/console/providers/1/edit", {"name": fits})
        page = await browser.submit(page, "/console/sign-in", username="kukar", password=PASSWORD)
        assert page.form("/console/providers/1/edit")["name"] == fits
        page = await browser.post("/console/providers/1/edit", {"name": character * MAX_KEPT})
    assert 'name="kept"' not in page.response.text


@pytest.mark.parametrize(
    "kept",
    [
        '{"path": "/console/../api/v1/session", "fields": []}',
        '{"path": "/console/%2e%2E/api/v1/session", "fields": []}',
        '{"path": "/console/sites\\u0000", "fields": [[1]]}',
        json.dumps({"path": "/console/sites", "fields": [["a", "b"]] * MAX_FIELDS}),
        '{"path": "/console/sites", "fields": ' + "[" * 50_000,
        '{"path": "/console/sites", "fields": {"a": 1}}',
    ],
)
async def test_a_forged_kept_form_is_dropped(visitor: Open, session: AsyncSession, kept: str) -> None:
    await account(session, "kukar", Role.DISTRICT_OPERATOR, "64.02")
    page = await visitor().post("/console/sign-in", {"username": "kukar", "password": PASSWORD, "kept": kept})
    assert (page.status, page.response.headers.get("location")) == (303, "/console")


async def test_signing_in_leads_nowhere_above_the_console(visitor: Open, session: AsyncSession) -> None:
    await account(session, "kukar", Role.DISTRICT_OPERATOR, "64.02")
    for target in ("/console/..", "/console/../enrol/x", "/layar/%2E%2e/x", "/console/./x", "/console/" + "a" * 9000):
        page = await visitor().post("/console/sign-in", {"username": "kukar", "password": PASSWORD, "next": target})
        assert page.response.headers["location"] == "/console", target
    for target in ("/console/sites?q=a..b", "/console/sites/x.y", "/layar?theme=light"):
        page = await visitor().post("/console/sign-in", {"username": "kukar", "password": PASSWORD, "next": target})
        assert page.response.headers["location"] == target


async def test_an_initial_password_opens_no_page_that_others_have_loaded(
    app: FastAPI, officer: Visitor, visitor: Open, session: AsyncSession
) -> None:
    await publish(app)
    assert (await officer.get("/console")).status == 200
    assert (await officer.get("/layar")).status == 200
    person = await account(session, "baru", Role.VIEWER, "64.02")
    async with session.begin():
        person.must_change_password = True
    browser = visitor()
    await browser.sign_in("baru")
    for path in ("/console", "/layar", "/console/me", "/console/nowhere"):
        page = await browser.get(path)
        assert (page.status, page.response.headers.get("location")) in {(303, PATH), (404, None)}, path
    page = await browser.get(PATH)
    done = await browser.submit(page, PATH, current_password=PASSWORD, new_password=OTHER)
    assert done.response.headers["location"].startswith("/console/me?")


async def test_what_stands_for_a_header_is_no_fault_of_ours(officer: Visitor, cast: Cast) -> None:
    site_id = (await register(cast))["id"]
    page = await officer.get(f"/console/sites/{site_id}/edit")
    fields = page.form(f"/console/sites/{site_id}/edit") | {"version": "😀\r\nX: y", "name": "Baru"}
    assert (await officer.post(f"/console/sites/{site_id}/edit", fields)).status < 500


async def test_an_address_that_names_a_file_of_the_api_is_no_page(officer: Visitor) -> None:
    for path in ("export", "import", "template", "..", "1%3Fx=1", "1%2Fuptime"):
        assert (await officer.get(f"/console/sites/{path}/edit")).status in {404, 405, 422}, path
