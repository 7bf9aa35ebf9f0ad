"""What tests of this folder look for on a page, and at the service beside it."""

import re

from playwright.async_api import Page

from tests.support.axe import grave_violations
from tests.support.demo_process import Demo


async def page_faults(page: Page, address: str) -> list[str]:
    response = await page.goto(address)
    assert response is not None
    return [f"status {response.status}"] * (response.status != 200) + await page_faults_here(page)


async def page_faults_here(page: Page) -> list[str]:
    faults, beyond = (
        await grave_violations(page),
        await page.evaluate("document.documentElement.scrollWidth - innerWidth"),
    )
    return [*faults, f"{beyond} px wider than the window"] if beyond > 0 else faults


def is_down(running: Demo, name: str) -> bool:
    return any(site["state"] == "down" for site in running.sites().values() if site["name"] == name)


def open_streams(running: Demo) -> float:
    text = running.client.get(f"{running.url}/metrics").text
    return float(re.findall(r"^sinyal_status_streams (\S+)$", text, re.MULTILINE)[0])
