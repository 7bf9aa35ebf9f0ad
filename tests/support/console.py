"""People who use the console: each with a browser that keeps cookies and follows no redirect by itself."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from lxml import html
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Role
from tests.access.browser import PASSWORD, account


@dataclass
class Page:
    """A page as its reader sees it."""

    response: httpx.Response
    tree: Any

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def text(self) -> str:
        """Return the visible text, on one line."""
        return re.sub(r"\s+", " ", self.tree.text_content()).strip()

    def form(self, action: str) -> dict[str, str]:
        """Return the fields of the form that posts to an address that ends with `action`, as a browser would send;
        with "" of the form that posts to the page's own address."""
        posting = self.tree.xpath('//form[translate(@method, "POST", "post") = "post"]')
        [form] = [form for form in posting if _path(form).endswith(action) if action or not _path(form)]
        return dict(form.form_values())

    def errors(self) -> dict[str, str]:
        """Return what the page says of each wrong field."""
        said = {
            one.get("data-errors-of"): one.text_content().strip() for one in self.tree.xpath("//*[@data-errors-of]")
        }
        return {name: text for name, text in said.items() if text}


class Visitor:
    def __init__(self, app: FastAPI) -> None:
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")

    async def get(self, path: str, **options: Any) -> Page:
        return _page(await self.client.get(path, **options))

    async def post(self, path: str, fields: dict[str, Any] | None = None, **options: Any) -> Page:
        return _page(await self.client.post(path, data=fields or {}, **options))

    async def submit(self, page: Page, action: str, **fields: Any) -> Page:
        """Send a form of the page with some fields filled in."""
        return await self.post(action or page.response.url.path, page.form(action) | fields)

    async def follow(self, page: Page) -> Page:
        """Open where a response redirects to."""
        return await self.get(page.response.headers["location"])

    async def sign_in(self, username: str, password: str = PASSWORD) -> Page:
        return await self.post("/console/sign-in", {"username": username, "password": password})


def _path(form: Any) -> str:
    return form.get("action") or ""


def _page(response: httpx.Response) -> Page:
    return Page(response, html.fromstring(response.text or "<html></html>"))


@pytest.fixture
async def visitor(app: FastAPI) -> AsyncIterator[Callable[[], Visitor]]:
    """Return a function that opens a browser nobody has signed in with."""
    opened: list[Visitor] = []

    def open_visitor() -> Visitor:
        opened.append(Visitor(app))
        return opened[-1]

    yield open_visitor
    for visitor in opened:
        await visitor.client.aclose()


async def _signed_in(visitor: Visitor, session: AsyncSession, username: str, role: Role, region: str) -> Visitor:
    await account(session, username, role, region)
    assert (await visitor.sign_in(username)).status == 303
    return visitor


@pytest.fixture
async def officer(visitor: Callable[[], Visitor], session: AsyncSession) -> Visitor:
    """Operates Kutai Kartanegara (64.02)."""
    return await _signed_in(visitor(), session, "kukar", Role.DISTRICT_OPERATOR, "64.02")


@pytest.fixture
async def neighbour(visitor: Callable[[], Visitor], session: AsyncSession) -> Visitor:
    """Operates Berau (64.03)."""
    return await _signed_in(visitor(), session, "berau", Role.DISTRICT_OPERATOR, "64.03")


@pytest.fixture
async def province(visitor: Callable[[], Visitor], session: AsyncSession) -> Visitor:
    """Administers the province."""
    return await _signed_in(visitor(), session, "provinsi", Role.PROVINCE_ADMIN, "64")


@pytest.fixture
async def reader(visitor: Callable[[], Visitor], session: AsyncSession) -> Visitor:
    """Reads the province."""
    return await _signed_in(visitor(), session, "pembaca", Role.VIEWER, "64")
