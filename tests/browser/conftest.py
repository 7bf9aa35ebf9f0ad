"""One demo and one browser for all tests of this folder."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from playwright.async_api import Browser

from app.registry.regions import REGIONS_CSV
from simulator.villages import villages
from tests.support.browser import Windows, chromium, sign_in
from tests.support.demo_accounts import administering, create_account
from tests.support.demo_process import Demo, demo

FAILING = [f"{village['village_code']}-01" for village in villages(REGIONS_CSV, 40)][5:35]  # one after the other
SCRIPT = """
seed = 7
interval_s = 5
sites = 40
nodes = 2
""" + "".join(
    f"""[[event]]
kind = "outage"
start_s = {10 * number if number < 10 else 20 * number - 100}
duration_s = 3600
select = {{ sites = ["{code}"] }}
"""
    for number, code in enumerate(FAILING, 1)
)
OFFICER, ADMIN = "ana", "admin"  # she operates Paser (64.01), where the first villages are


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demo(tmp_path_factory.mktemp("demo") / "data", SCRIPT, history="2d") as running:
        with administering(running) as client:
            create_account(client, OFFICER, "district_operator", "64.01")
        yield running


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def windows(browser: Browser, running: Demo) -> AsyncIterator[Windows]:
    """Opens windows; at the end none of them may have seen a fault."""
    windows = Windows(browser, running.url)
    yield windows
    assert windows.faults.seen == []


@pytest.fixture(scope="session")
async def officer(browser: Browser, running: Demo) -> Any:
    """The cookies of a window in which the officer has signed in."""
    return await sign_in(browser, running.url, OFFICER)


@pytest.fixture(scope="session")
async def admin(browser: Browser, running: Demo) -> Any:
    return await sign_in(browser, running.url, ADMIN)


@pytest.fixture(scope="session")
def unknown_network(running: Demo) -> str:
    """The code of an access point of which no network is known: its visitors may be on it."""
    body = {"technology": "fiber", "provider": "iconplus", "probe": "push", "village_code": "64.02.05.2003"}
    answer = running.client.post("/sites", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["code"])
