"""`make screenshots`: every page, on a desktop and on a phone, from a demo with a simulated past, into var/screenshots.

Without ARGS all pages; `ARGS="/console /kabupaten/64.01"` takes some.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from app.api.app import create_app
from app.settings import ROOT
from tests.support.browser import DESKTOP, PHONE, Windows, chromium, sign_in
from tests.support.demo_accounts import administering
from tests.support.demo_process import Demo, demo
from tests.support.pages import addresses

HISTORY, FOLDER = "90d", ROOT / "var" / "screenshots"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="sinyal-screenshots-") as parent,
        demo(Path(parent, "data"), history=HISTORY) as running,
    ):
        with administering(running):
            pass
        asyncio.run(_take(running, sys.argv[1:]))


async def _take(running: Demo, wanted: list[str]) -> None:
    pages = wanted or addresses(create_app().router.routes, running)
    async with chromium() as browser:
        windows, state = Windows(browser, running.url), await sign_in(browser, running.url, "admin")
        for window in (DESKTOP, PHONE):
            async with windows.open(window, state=state) as page:
                for address in pages:
                    response = await page.goto(address)
                    assert response is not None
                    name = address.strip("/").replace("/", "-") or "public"
                    file = FOLDER / f"{name}.{window.name}.png"
                    await page.screenshot(path=file, full_page=True)
                    print(f"{response.status} {address} ({window.name}): {file.relative_to(ROOT)}", flush=True)
    for fault in windows.faults.seen:
        print(f"fault: {fault}")


if __name__ == "__main__":
    main()
