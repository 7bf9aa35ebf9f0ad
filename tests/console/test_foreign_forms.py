"""Forms that a page of another site sends, in the name of whoever looks at it."""

import json
import re
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Role
from app.web.credentials import COOKIE
from tests.access.browser import PASSWORD, account
from tests.support.console import Visitor

Open = Callable[[], Visitor]

FOREIGN = [
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://test"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://test.evil.example"},
]
OWN = [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "http://test"}]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_another_site_signs_nobody_in(visitor: Open, session: AsyncSession, headers: dict[str, str]) -> None:
    await account(session, "kukar", Role.DISTRICT_OPERATOR, "64.02")
    fields = {"username": "kukar", "password": PASSWORD}
    page = await visitor().post("/console/sign-in", fields, headers=headers)
    assert page.status == 403
    assert "set-cookie" not in page.response.headers
    assert "situs lain" in page.text


async def test_nor_does_it_by_the_api(visitor: Open, session: AsyncSession) -> None:
    """A page of another site may send JSON to us only if it says that it is text."""
    await account(session, "kukar", Role.DISTRICT_OPERATOR, "64.02")
    body = json.dumps({"username": "kukar", "password": PASSWORD})
    answer = await visitor().client.post("/api/v1/session", content=body, headers={"Content-Type": "text/plain"})
    assert (answer.status_code, "set-cookie" in answer.headers) == (422, False)


@pytest.mark.parametrize("headers", OWN)
async def test_our_own_page_does(visitor: Open, session: AsyncSession, headers: dict[str, str]) -> None:
    await account(session, "kukar", Role.DISTRICT_OPERATOR, "64.02")
    page = await visitor().post("/console/sign-in", {"username": "kukar", "password": PASSWORD}, headers=headers)
    assert COOKIE in page.response.cookies


async def test_a_browser_tells_our_forms_from_others(officer: Visitor) -> None:
    """Under `no-referrer` it would send `Origin: null` with both."""
    assert (await officer.get("/console/me")).response.headers.get_list("referrer-policy") == ["same-origin"]
    assert (await officer.get("/console/nowhere")).response.headers.get_list("referrer-policy") == ["same-origin"]


async def test_no_form_of_another_site_is_kept_or_does_anything(app: FastAPI, officer: Visitor, visitor: Open) -> None:
    """Kept, it would be sent with the next reader's own token once they press a button that tells them little."""
    posting = [
        re.sub(r"\{[^}]+\}", "1", str(route.path))
        for route in iter_route_contexts(app.routes)
        if "POST" in (route.methods or ()) and str(route.path).startswith(("/console", "/layar"))
    ]
    assert len(posting) > 10
    token = (await officer.get("/console/me")).form("/console/sign-out")
    for path in posting:
        for browser in (officer, visitor()):
            page = await browser.post(path, token, headers=FOREIGN[0])
            assert page.status == 403, path
            assert not page.tree.xpath("//form"), path
    assert (await officer.get("/console/me")).status == 200
