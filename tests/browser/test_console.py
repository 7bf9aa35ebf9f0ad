"""The console in Chromium, at a running demo: what people do in a day, in each kind of window."""

from typing import Any

import pytest
from playwright.async_api import expect
from starlette.routing import BaseRoute

from tests.support.axe import grave_violations
from tests.support.browser import (
    DESKTOP,
    DESKTOP_WITHOUT_JAVASCRIPT,
    PHONE,
    PHONE_WITHOUT_JAVASCRIPT,
    Window,
    Windows,
)
from tests.support.demo_accounts import PASSWORD
from tests.support.demo_process import Demo
from tests.support.pages import addresses

pytestmark = pytest.mark.real_time

each_window = pytest.mark.parametrize(
    "window", [DESKTOP, PHONE, DESKTOP_WITHOUT_JAVASCRIPT, PHONE_WITHOUT_JAVASCRIPT], ids=lambda window: window.name
)


@each_window
async def test_an_officer_signs_in_and_out(windows: Windows, window: Window) -> None:
    async with windows.open(window) as page:
        await page.goto("/console/me")
        await expect(page.get_by_role("heading", name="Masuk")).to_be_visible()
        await page.get_by_label("Nama pengguna").fill("ana")
        await page.get_by_label("Kata sandi").fill(PASSWORD)
        await page.get_by_role("button", name="Masuk").click()
        await expect(page.get_by_text("Kabupaten Paser (64.01)")).to_be_visible()
        await page.get_by_role("button", name="Keluar").click()
        await page.goto("/console/me")
        await expect(page.get_by_role("heading", name="Masuk")).to_be_visible()


async def test_every_page_keeps_the_rules_of_axe_on_both_widths(
    windows: Windows, officer: Any, running: Demo, routes: list[BaseRoute]
) -> None:
    for window in (DESKTOP, PHONE):
        async with windows.open(window, state=officer) as page:
            for address in addresses(routes, running):
                await page.goto(address)
                assert await grave_violations(page) == [], address
