"""The pages in Chromium, at a running demo: what people do in a day, in each kind of window."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import expect
from starlette.routing import BaseRoute

from app.core.clock import utc_now
from tests.browser import steps, visitor_steps
from tests.browser.conftest import FAILING
from tests.browser.page_checks import is_down, open_streams, page_faults, page_faults_here
from tests.support.browser import (
    DESKTOP,
    DESKTOP_WITHOUT_JAVASCRIPT,
    PHONE,
    PHONE_WITHOUT_JAVASCRIPT,
    Window,
    Windows,
)
from tests.support.demo_process import Demo, wait_for
from tests.support.pages import addresses

pytestmark = pytest.mark.real_time

each_window = pytest.mark.parametrize(
    "window", [DESKTOP, PHONE, DESKTOP_WITHOUT_JAVASCRIPT, PHONE_WITHOUT_JAVASCRIPT], ids=lambda window: window.name
)


WINDOWS = [DESKTOP, PHONE, DESKTOP_WITHOUT_JAVASCRIPT, PHONE_WITHOUT_JAVASCRIPT]
each_window = pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.name)


@each_window
async def test_an_officer_signs_in_and_out(windows: Windows, window: Window) -> None:
    async with windows.open(window) as page:
        await page.goto("/console/me")
        await steps.sign_in(page, "ana")
        await expect(page.get_by_text("Kabupaten Paser (64.01)")).to_be_visible()
        await page.get_by_role("button", name="Keluar").click()
        await page.goto("/console/me")
        await expect(page.get_by_role("heading", name="Masuk")).to_be_visible()


async def test_every_page_keeps_the_rules_of_axe_and_fits_its_window(
    windows: Windows, admin: Any, running: Demo, routes: list[BaseRoute]
) -> None:
    left = [(window, address) for address in addresses(routes, running) for window in (DESKTOP, PHONE)]
    found: list[str] = []

    async def check(window: Window) -> None:
        async with windows.open(window, state=admin) as page:
            while mine := next((one for one in left if one[0] == window), None):
                left.remove(mine)
                found.extend(f"{mine[1]} ({window.name}): {fault}" for fault in await page_faults(page, mine[1]))

    await asyncio.gather(*(check(window) for window in (DESKTOP, PHONE) * 2))
    assert not found, "\n".join(found)


@each_window
async def test_an_officer_registers_a_village(windows: Windows, window: Window, running: Demo, officer: Any) -> None:
    name, host = f"Balai <script>alert({window.width})</script>", f"127.99.1.{1 + WINDOWS.index(window)}"
    async with windows.open(window, state=officer) as page:
        await steps.register(page, window, name=name, host=host)
        await expect(page.locator("main")).to_contain_text(name)
    [site] = [site for site in running.get("/sites", q=name, limit=10)["items"] if site["host"] == host]
    assert (site["name"], site["village_code"], site["technology"]) == (name, steps.VILLAGE, "fiber")


@each_window
async def test_an_officer_imports_a_messy_workbook(
    windows: Windows, window: Window, running: Demo, officer: Any
) -> None:
    hosts = f"127.99.2.{1 + WINDOWS.index(window)}", f"127.99.3.{1 + WINDOWS.index(window)}"
    async with windows.open(window, state=officer) as page:
        await steps.import_workbook(page, hosts=hosts)
    sites = running.get("/sites", region=steps.IMPORTED, limit=100)["items"]
    assert {site["host"] for site in sites} >= set(hosts)


@each_window
async def test_an_officer_acknowledges_incidents_at_once_and_gives_their_cause(
    windows: Windows, window: Window, running: Demo, officer: Any
) -> None:
    await asyncio.to_thread(wait_for, lambda: len(running.get("/incidents", status="open")["items"]) > 1, 300)
    async with windows.open(window, state=officer) as page:
        ids = await steps.acknowledge(page, 2)
    incidents = [running.get(f"/incidents/{number}") for number in ids]
    told = [(one["status"], one["cause"], one["acknowledged_by"]) for one in incidents]
    assert told == [("acknowledged", "power", "ana")] * 2
    again = {"ids": [int(number) for number in ids], "changes": {"status": "open"}}  # for the other windows
    answer = running.client.patch("/incidents", json=again)
    assert answer.is_success, answer.text


@each_window
async def test_an_officer_plans_maintenance(windows: Windows, window: Window, running: Demo, officer: Any) -> None:
    title = f"Penggantian kabel utama, {window.name}"
    async with windows.open(window, state=officer) as page:
        await steps.plan_maintenance(page, title=title, day=utc_now() + timedelta(days=3 + WINDOWS.index(window)))
        await expect(page.locator("main")).to_contain_text(title)
    [planned] = [one for one in running.get("/maintenance", limit=100)["items"] if one["title"] == title]
    assert (planned["region"], planned["started_at"][10:]) == (steps.SUBDISTRICT, "T02:00:00Z")


async def test_a_neighbours_site_is_not_found(windows: Windows, running: Demo, officer: Any) -> None:
    body = {"technology": "fiber", "provider": "iconplus", "probe": "icmp", "host": "127.99.4.1"}
    answer = running.client.post("/sites", json={**body, "village_code": "64.02.05.2003"})
    assert answer.status_code == 201, answer.text
    async with windows.open(DESKTOP, state=officer) as page:
        for path in ("", "/edit", "/why"):
            response = await page.goto(f"/console/sites/{answer.json()['id']}{path}")
            assert response is not None
            assert response.status == 404
            await expect(page.get_by_role("heading", name="Tidak ditemukan")).to_be_visible()
    assert running.client.delete(f"/sites/{answer.json()['id']}").is_success


async def test_a_draft_is_its_accounts_alone_without_personal_data_and_ends_with_signing_out(windows: Windows) -> None:
    async with windows.open(DESKTOP) as page:
        await steps.open_form(page, "ana")
        await page.fill("[name=name]", "Balai Desa")
        await page.fill("[name=contact_name]", "Pak Budi")
        await page.fill("[name=contact_phone]", "0812-5550-7713")
        await page.reload()
        assert await page.input_value("[name=name]") == "Balai Desa"
        stored = str(await page.evaluate(steps.STORED))
        assert "Balai Desa" in stored
        assert not [personal for personal in ("Budi", "7713") if personal in stored]
        await page.context.clear_cookies()  # the session ended by itself: the draft stays for the same account
        await steps.open_form(page, "ana")
        assert await page.input_value("[name=name]") == "Balai Desa"
        await page.context.clear_cookies()
        await steps.open_form(page, "admin")
        assert await page.input_value("[name=name]") == ""
        assert json.loads(await page.evaluate(steps.STORED)) == {}
        await page.fill("[name=name]", "Puskesmas")
        await page.click(".who form button")
        await page.wait_for_url("**/console/sign-in?notice=signed_out")
        assert json.loads(await page.evaluate(steps.STORED)) == {}
        await page.go_back()
        assert "Puskesmas" not in await page.content()


async def test_what_was_typed_outlasts_a_session_that_ended_elsewhere(windows: Windows) -> None:
    async with windows.open(DESKTOP) as page:
        await steps.open_form(page, "ana")
        await page.evaluate("document.querySelector('main form[data-draft]').noValidate = true")
        await page.fill("[name=name]", "Balai Desa")
        await page.context.clear_cookies()
        await page.click("main form[data-draft] button[data-busy]")
        await steps.sign_in(page, "ana")
        await page.get_by_role("button", name="Kirim sekarang").click()
        await expect(page.locator("[name=name]")).to_have_value("Balai Desa")
    check = "401: POST"  # of the field that was left, without a session
    windows.faults.seen[:] = [fault for fault in windows.faults.seen if not fault.startswith(check)]


async def test_an_outage_arrives_on_the_map_without_a_reload(windows: Windows, running: Demo, officer: Any) -> None:
    async with windows.open(DESKTOP, state=officer) as page:
        await page.goto("/console")
        await page.evaluate("window.opened = true")
        sites = running.sites()
        _, name = next((code, sites[code]["name"]) for code in FAILING[1:] if sites[code]["state"] == "up")
        shown = page.locator("#map .s-down title", has_text=name)
        await expect(shown).to_have_count(0)
        await asyncio.to_thread(wait_for, lambda: is_down(running, name), 300, every_s=0.1)
        await expect(shown).to_have_count(1)
        assert await page.evaluate("window.opened")


async def test_signing_out_ends_the_stream(windows: Windows, running: Demo) -> None:
    async with windows.open(DESKTOP) as page:
        await page.goto("/console")
        await steps.sign_in(page, "ana")
        await asyncio.to_thread(wait_for, lambda: open_streams(running) == 1, 120)
        await page.get_by_role("button", name="Keluar").click()
        await asyncio.to_thread(wait_for, lambda: open_streams(running) == 0, 120)


async def test_a_link_with_the_token_behind_its_hash_opens_a_wall(windows: Windows, running: Demo) -> None:
    viewer = {"name": "Layar", "role": "viewer", "region_code": "64.01"}
    token = running.client.post(f"{running.url}/api/v1/tokens", json=viewer).json()["token"]
    asked: list[str] = []
    async with windows.open(DESKTOP) as page:
        page.on("request", lambda request: asked.append(request.url.partition("#")[0]))
        await page.goto(f"/layar#{token}")
        await expect(page.get_by_role("heading", name="Kabupaten Paser")).to_be_visible()
        assert not [url for url in (*asked, page.url) if token in url]


@pytest.mark.parametrize("window", [DESKTOP, PHONE], ids=lambda window: window.name)
async def test_a_visitor_measures_offline_and_back_and_nothing_is_lost_or_counted_twice(
    windows: Windows, window: Window, unknown_network: str
) -> None:
    async with windows.open(window) as page:
        await visitor_steps.open_page(page, unknown_network)
        await expect(page.locator("#kilobytes")).to_contain_text("kB jatah data desa ini")
        await visitor_steps.measure(page, speed=window is DESKTOP)
        assert not await page_faults_here(page)
        await page.context.set_offline(True)
        await visitor_steps.measure_offline(page, waiting=1)
        await page.reload()  # the browser's own copy
        await visitor_steps.measure_offline(page, waiting=2)
        await page.context.set_offline(False)
        await expect(page.locator("#waiting")).to_contain_text("Semuanya sudah terkirim")
        rows = await visitor_steps.kept(page)
        assert [(row["seq"], row["sent"], bool(row["rtt"])) for row in rows] == [
            (1, 1, True),
            (2, 1, False),
            (3, 1, False),
        ]
        assert bool(rows[0]["down"] and rows[0]["up"]) == (window is DESKTOP)
        page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
        await page.get_by_role("button", name="Hapus semuanya").click()
        await expect(page.locator("#week")).to_be_hidden()
        assert await visitor_steps.kept(page) == []


async def test_a_poster_leads_to_its_access_point(
    windows: Windows, running: Demo, officer: Any, unknown_network: str
) -> None:
    site = running.get("/sites", region="64.01", limit=1)["items"][0]
    async with windows.open(DESKTOP, state=officer) as page:
        await page.goto(f"/console/sites/{site['id']}")
        await page.get_by_role("link", name="Poster untuk dicetak").click()
        await expect(page.locator(".poster-code")).to_have_text(site["code"])
        label = str(await page.locator(".poster-qr").get_attribute("aria-label"))
        await page.goto(f"http://{label.rpartition(' ')[2]}#{site['village_code']}")
        await expect(page.locator("#status")).to_contain_text(site["code"])


async def test_a_browser_that_keeps_nothing_measures_all_the_same(windows: Windows, unknown_network: str) -> None:
    async with windows.open(PHONE) as page:
        await page.add_init_script(
            "Object.defineProperty(window, 'indexedDB', {get() { throw new Error('private'); }})"
        )
        await page.goto(f"/ukur#{unknown_network}")
        await visitor_steps.measure(page)
        await expect(page.locator("#waiting")).to_contain_text("Semuanya sudah terkirim")
        await expect(page.locator("#memory")).to_contain_text("tidak menyimpan apa pun")
