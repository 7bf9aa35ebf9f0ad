"""What an officer does in the console, in any window: by labels of fields where scripts help, by buttons where not."""

import re
from datetime import datetime
from typing import Any

from playwright.async_api import FilePayload, Page, expect

from tests.support.browser import Window
from tests.support.demo_accounts import PASSWORD
from tests.support.imports import workbook

SUBDISTRICT, VILLAGE, IMPORTED = "64.01.01", "64.01.01.2010", "64.01.01.2009"

STORED = "() => JSON.stringify({...localStorage})"


def field(page: Page, name: str) -> Any:
    return page.locator(f"main [name={name}]:visible")


async def sign_in(page: Page, username: str) -> None:
    """From a page that asks for it."""
    await page.get_by_label("Nama pengguna").fill(username)
    await page.get_by_label("Kata sandi").fill(PASSWORD)
    await page.get_by_role("button", name="Masuk").click()


async def open_form(page: Page, username: str) -> None:
    """Sign in, to the form that registers a site."""
    await page.goto("/console/sign-in?next=/console/sites/new")
    await sign_in(page, username)
    await page.wait_for_url("**/console/sites/new")


async def register(page: Page, window: Window, *, name: str, host: str) -> None:
    """Register a site of VILLAGE; without scripts each choice that decides others is sent first."""

    async def choose(name: str, value: str, part: str) -> None:
        await field(page, name).select_option(value)
        if not window.javascript:
            await page.locator(f"#{part} noscript button, #{part} button[name=step]").first.click()

    await page.goto("/console/sites/new")
    await choose("district", "64.01", "place")
    await choose("subdistrict", SUBDISTRICT, "place")
    await field(page, "village_code").select_option(VILLAGE)
    await field(page, "name").fill(name)
    await field(page, "technology").select_option("fiber")
    await field(page, "provider").select_option("iconplus")
    await choose("probe", "icmp", "measurement")
    await field(page, "host").fill(host)
    await page.locator("main form[data-draft] button[data-busy]").click()
    if await page.get_by_role("alert").count():  # a warning, which is accepted
        await page.locator("main form[data-draft] button[data-busy]").click()
    await expect(page).to_have_url(re.compile(r"/console/sites/\d+/registered"))


async def import_workbook(page: Page, *, hosts: tuple[str, str]) -> None:
    """Import a workbook of which one row is wrong: it is marked, and left out."""
    rows = [
        ["DATA WIFI DESA"],
        ["Kode desa", "Teknologi", "ISP", "SID", "Metode", "IP"],
        *([IMPORTED.replace(".", ""), "FO", "Icon+", host, "ping", host] for host in hosts),
        ["64.01.01.9999", "satelit", "Icon+", "1", "ping", "127.99.9.9"],
    ]
    await page.goto("/console/sites/import")
    xlsx = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    file = FilePayload(name="data wifi <b>2026</b>.xlsx", mimeType=xlsx, buffer=workbook(*rows))
    await page.set_input_files("[name=file]", file)
    await page.locator("main form[enctype] button").click()
    await expect(page.locator("td.wrong").first).to_contain_text("64.01.01.9999")
    await page.locator("button[name=partial]").click()
    await expect(page.locator("main .notice.good")).to_contain_text("2")


async def acknowledge(page: Page, count: int) -> list[str]:
    """Tick the first incidents, mark them as being handled, and give a cause; return their ids."""
    await page.goto("/console/incidents?status=open")
    boxes = page.locator("input[name=ids]")
    ids = [str(await boxes.nth(number).get_attribute("value")) for number in range(count)]
    for number in ids:
        await page.locator(f"input[name=ids][value='{number}']").check()
    await page.locator("#b-status").select_option("acknowledged")
    await page.locator("#b-cause").select_option("power")
    await page.locator("fieldset.bulk button").click()
    await expect(page.locator("main .notice.good")).to_be_visible()
    return ids


async def plan_maintenance(page: Page, *, title: str, day: datetime) -> None:
    await page.goto("/console/maintenance/new")
    await field(page, "title").fill(title)
    await field(page, "started_at").fill(f"{day:%Y-%m-%d}T10:00")
    await field(page, "ended_at").fill(f"{day:%Y-%m-%d}T12:00")
    await field(page, "region").select_option(SUBDISTRICT)
    await page.locator("button[value=preview]").click()
    await expect(field(page, "title")).to_have_value(title)
    await page.locator("button[value=plan]").click()
    await expect(page.locator("main .notice.good")).to_be_visible()
