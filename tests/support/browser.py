"""Debian's Chromium, driven by Playwright: windows of a desktop and of a phone, with and without JavaScript."""

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    async_playwright,
    expect,
)

from tests.support.demo_accounts import PASSWORD

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NOT_LOADED = "Failed to load resource"


@dataclass(frozen=True)
class Window:
    """How a person looks at the pages."""

    name: str
    width: int
    height: int
    javascript: bool = True

    @property
    def is_phone(self) -> bool:
        return self.width < 500

    def options(self) -> dict[str, Any]:
        return {
            "viewport": {"width": self.width, "height": self.height},
            "java_script_enabled": self.javascript,
            "is_mobile": self.is_phone,
            "has_touch": self.is_phone,
            "locale": "id-ID",
            "timezone_id": "Asia/Makassar",
        }


DESKTOP = Window("desktop", 1280, 800)
PHONE = Window("phone", 390, 844)
DESKTOP_WITHOUT_JAVASCRIPT = Window("desktop without JavaScript", 1280, 800, javascript=False)
PHONE_WITHOUT_JAVASCRIPT = Window("phone without JavaScript", 390, 844, javascript=False)


@dataclass
class Faults:
    """What must not happen in any window: errors, refusals of the content security policy, answers of 500 and more,
    files of the page that are missing, and requests to another host."""

    seen: list[str] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        context.on("console", self._console)
        context.on("weberror", lambda error: self.seen.append(f"uncaught: {error.error}"))
        context.on("response", self._response)
        context.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(NOT_LOADED):
            self.seen.append(f"console: {message.text}")

    def _response(self, response: Response) -> None:
        missing = response.status >= 400 and not response.request.is_navigation_request()
        if response.status >= 500 or missing:
            self.seen.append(f"{response.status}: {response.request.method} {response.url}")

    def _request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in {"data", "blob", "about"} and address.hostname != "127.0.0.1":
            self.seen.append(f"another host: {request.url}")


class Windows:
    """Opens windows, each with cookies of its own, and knows the faults of all."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser, self._url = browser, url
        self.faults = Faults()

    @asynccontextmanager
    async def open(self, window: Window, *, state: Any = None) -> AsyncIterator[Page]:
        """`state`: the cookies of a window that has signed in (`BrowserContext.storage_state`)."""
        context = await self._browser.new_context(base_url=self._url, storage_state=state, **window.options())
        context.set_default_timeout(60_000)
        self.faults.watch(context)
        try:
            yield await context.new_page()
        finally:
            await context.close()


@asynccontextmanager
async def chromium(arguments: Sequence[str] = ARGUMENTS, executable: str | None = None) -> AsyncIterator[Browser]:
    executable = executable or shutil.which("chromium")
    assert executable is not None, "chromium is needed: apt-get install chromium"
    expect.set_options(timeout=60_000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=[*arguments])
        try:
            yield browser
        finally:
            await browser.close()


async def sign_in(browser: Browser, url: str, username: str, password: str = PASSWORD) -> Any:
    """Sign in by the form; return the cookies of that window, for others (`Windows.open`)."""
    async with Windows(browser, url).open(DESKTOP) as page:
        await page.goto("/console/me")
        await page.fill("[name=username]", username)
        await page.fill("[name=password]", password)
        await page.click("main button")
        await page.wait_for_url("**/console/me")
        return await page.context.storage_state()
