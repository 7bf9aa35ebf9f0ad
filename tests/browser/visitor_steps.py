"""What a visitor does on the page that measures."""

import re
from typing import Any

from playwright.async_api import Page, expect

KEPT = """() => new Promise(done => {
    const request = indexedDB.open("sinyal-ukur");
    request.onsuccess = () => {
        const all = request.result.transaction("rows").objectStore("rows").getAll();
        all.onsuccess = () => { done(all.result); request.result.close(); };
    };
})"""
LATENCY, WAITING = re.compile(r"Waktu tanggap \d+ ms: baik"), "Menunggu dikirim: {n}."


async def open_page(page: Page, code: str) -> None:
    """By the QR code of a poster, once the browser holds a copy of the page."""
    await page.goto(f"/ukur#{code}")
    await expect(page.locator("#status")).to_contain_text(code)
    await page.evaluate("navigator.serviceWorker.ready.then(() => true)")


async def measure(page: Page, *, speed: bool = False) -> None:
    await page.locator("#consent").set_checked(speed)
    await page.get_by_role("button", name="Ukur sekarang").click()
    await expect(page.locator("#bar")).to_be_hidden()
    await expect(page.locator("#latency")).to_have_text(LATENCY)


async def measure_offline(page: Page, *, waiting: int) -> None:
    await page.get_by_role("button", name="Ukur sekarang").click()
    await expect(page.locator("#latency")).to_contain_text("Tidak ada jawaban")
    await expect(page.locator("#waiting")).to_contain_text(WAITING.format(n=waiting))


async def kept(page: Page) -> list[dict[str, Any]]:
    """Return what the browser keeps, by number."""
    rows: list[dict[str, Any]] = await page.evaluate(KEPT)
    return rows
