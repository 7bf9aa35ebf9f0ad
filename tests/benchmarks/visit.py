"""The measuring page in Chromium, over TLS, behind links of 1, 5 and 20 Mbps with 300 ms, and with one that breaks.

`OFFLINE_S`: how long it is broken (600); `OPEN_S`: how long the page is left open before, to count its bytes (600).
"""

import asyncio
import base64
import hashlib
import os
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from statistics import median

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from playwright.async_api import Browser, Page, expect
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.postgres.embedded import find_url
from app.postgres.engine import open_engine
from app.visitors.models import VisitResult
from tests.support.delaying_proxy import DelayingProxy
from tests.support.demo_process import Demo, demo
from tests.support.nginx import behind_nginx
from tests.support.shaped_browser import OURS, ShapedLink, chromium_behind, shaped_link

SCRIPT = "seed = 3\ninterval_s = 30\nsites = 12\nnodes = 0\n"
WAY_S, RATES_MBPS, TOLERANCE = 0.15, (1, 5, 20), 0.10
OFFLINE_S, OPEN_S = int(os.environ.get("OFFLINE_S", "600")), int(os.environ.get("OPEN_S", "600"))
MONTH_S = 30 * 86_400
ROWS = """() => new Promise(done => {
    const request = indexedDB.open("sinyal-ukur");
    request.onsuccess = () => {
        const all = request.result.transaction("rows").objectStore("rows").getAll();
        all.onsuccess = () => { done(all.result); request.result.close(); };
    };
})"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sinyal-visit-") as parent:
        folder = Path(parent)
        folder.chmod(0o755)  # nginx' worker is another user
        with demo(folder / "data", SCRIPT) as running, shaped_link() as link:
            asyncio.run(_run(running, link, folder))


async def _run(running: Demo, link: ShapedLink, folder: Path) -> None:
    code = _register_site(running)
    api = int(running.url.rpartition(":")[2])
    trusted = _certificate(folder)
    async with (
        behind_nginx(api, folder, tls=folder) as nginx,
        (proxy := DelayingProxy(nginx, way_s=WAY_S)).listening(OURS) as port,
        chromium_behind(link, folder, f"--ignore-certificate-errors-spki-list={trusted}") as browser,
    ):
        address = f"https://{OURS}:{port}/ukur#{code}"
        for mbps in RATES_MBPS:
            proxy.expect(mbps)
            link.shape(mbps)
            await _measure_speed(browser, link, address, mbps)
        await _leave_open(browser, link, address, running)


def _register_site(running: Demo) -> str:
    """Register an access point whose network nobody knows yet; return its code."""
    body = {"village_code": "64.02.05.2003", "technology": "fiber", "provider": "iconplus", "probe": "push"}
    answer = running.client.post("/sites", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["code"])


async def _measure_speed(browser: Browser, link: ShapedLink, address: str, mbps: int) -> None:
    context = await browser.new_context(locale="id-ID")
    page = await context.new_page()
    before = link.bytes()
    await page.goto(address)
    await expect(page.locator("#consent")).to_be_visible()
    opened = link.bytes()
    promised = str(await page.text_content("#kilobytes"))
    await page.locator("#consent").check()
    await page.locator("#measure").click()
    await expect(page.locator("#speed")).to_be_visible(timeout=120_000)
    await expect(page.locator("#bar")).to_be_hidden()
    spent = link.bytes() - opened
    [row] = await page.evaluate(ROWS)
    rates = {way: row[way]["bytes"] * 8 / row[way]["ms"] / 1000 if row[way] else 0.0 for way in ("down", "up")}
    kept = all(abs(rate / (mbps * 0.95) - 1) <= TOLERANCE for rate in rates.values())
    kilobytes = int("".join(filter(str.isdigit, promised)))
    print(
        f"{mbps:>2} Mbps: down {rates['down']:.2f}, up {rates['up']:.2f} Mbps (payload: 0.95 of the link's), "
        f"{median(row['rtt']):.0f} ms; within 10 %: {kept}; opening {(opened - before) / 1000:.0f} kB, "
        f"measuring {spent / 1000:,.0f} kB of {kilobytes:,} kB promised: {spent <= 1000 * kilobytes}",
        flush=True,
    )
    await context.close()


async def _leave_open(browser: Browser, link: ShapedLink, address: str, running: Demo) -> None:
    context = await browser.new_context(locale="id-ID")
    page = await context.new_page()
    await page.goto(address)
    await page.locator("#stay").check()
    await expect(page.locator("#waiting")).to_contain_text("sudah terkirim")
    await asyncio.sleep(20)
    before, started = link.bytes(), time.monotonic()
    await asyncio.sleep(OPEN_S)
    spent, lasted = link.bytes() - before, time.monotonic() - started
    rows = await page.evaluate(ROWS)
    print(
        f"left open for {lasted:.0f} s, {len(rows) - 1} measurements: {spent:,} bytes on the wire, "
        f"{spent / lasted * 3.6:.0f} kB an hour, {spent / lasted * MONTH_S / 1e6:.1f} MB in a month day and night",
        flush=True,
    )
    link.switch(on=False)
    await asyncio.sleep(OFFLINE_S)
    link.switch(on=True)
    await _compare(page, running)
    await context.close()


async def _compare(page: Page, running: Demo) -> None:
    """Wait until all is sent; print what the page holds and what the service has."""
    came_back = time.monotonic()
    while not (rows := await page.evaluate(ROWS)) or not all(row.get("sent") for row in rows) or not rows[-1]["rtt"]:
        if time.monotonic() - came_back > 400:
            break
        await asyncio.sleep(1)
    lost = [row for row in rows if not row["rtt"]]
    stored = await _read_stored(running)
    print(
        f"offline for {OFFLINE_S} s: {len(rows)} measurements of which {len(lost)} without an answer, "
        f"{sum(row['offline_s'] for row in rows)} s told as offline; sent {time.monotonic() - came_back:.0f} s after; "
        f"the service has {len(stored)}: nothing missing, nothing twice: {stored == [row['seq'] for row in rows]}"
    )


async def _read_stored(running: Demo) -> list[int]:
    """Return the numbers of the results of the visitor who came last."""
    url = find_url(running.folder)
    assert url is not None
    engine = open_engine(url, name="bench")
    try:
        async with AsyncSession(engine) as session:
            row = VisitResult
            last = select(row.visitor).order_by(row.received_at.desc()).limit(1).scalar_subquery()
            return list(await session.scalars(select(row.seq).where(row.visitor == last).order_by(row.seq)))
    finally:
        await engine.dispose()


def _certificate(folder: Path) -> str:
    """Write a certificate and its key; return by what Chromium is told to trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sinyal.test")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(utc_now() - timedelta(days=1))
    signed = made.not_valid_after(utc_now() + timedelta(days=30)).sign(key, hashes.SHA256())
    pem, none = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "fullchain.pem").write_bytes(signed.public_bytes(pem))
    (folder / "privkey.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none))
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    public = key.public_key().public_bytes(serialization.Encoding.DER, info)
    return base64.b64encode(hashlib.sha256(public).digest()).decode()
