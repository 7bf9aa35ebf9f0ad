"""What one officer leaves behind in a browser that the next one uses."""

import json

import pytest
from playwright.async_api import Page

from tests.support.browser import DESKTOP, Windows
from tests.support.demo_accounts import PASSWORD

pytestmark = pytest.mark.real_time

STORED = "() => JSON.stringify({...localStorage})"


async def sign_in(page: Page, username: str) -> None:
    await page.goto("/console/sign-in?next=/console/sites/new")
    await page.fill("[name=username]", username)
    await page.fill("[name=password]", PASSWORD)
    await page.click("main button")
    await page.wait_for_url("**/console/sites/new")


async def test_a_draft_is_its_accounts_alone_without_personal_data_and_ends_with_signing_out(windows: Windows) -> None:
    async with windows.open(DESKTOP) as page:
        await sign_in(page, "ana")
        await page.fill("[name=name]", "Balai Desa")
        await page.fill("[name=contact_name]", "Pak Budi")
        await page.fill("[name=contact_phone]", "0812-5550-7713")
        await page.reload()
        assert await page.input_value("[name=name]") == "Balai Desa"
        stored = str(await page.evaluate(STORED))
        assert "Balai Desa" in stored
        assert not [personal for personal in ("Budi", "7713") if personal in stored]
        await page.context.clear_cookies()  # the session ended by itself: the draft stays for the same account
        await sign_in(page, "ana")
        assert await page.input_value("[name=name]") == "Balai Desa"
        await page.context.clear_cookies()
        await sign_in(page, "admin")
        assert await page.input_value("[name=name]") == ""
        assert json.loads(await page.evaluate(STORED)) == {}
        await page.fill("[name=name]", "Puskesmas")
        await page.click(".who form button")
        await page.wait_for_url("**/console/sign-in?notice=signed_out")
        assert json.loads(await page.evaluate(STORED)) == {}
        await page.go_back()
        assert "Puskesmas" not in await page.content()
