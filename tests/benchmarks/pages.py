"""What pages weigh on the wire, cold and warm, and their first contentful paint over a satellite link.

Bytes are those that Chromium received, headers included, without a stream's events. A warm visit is a second one in the
same window. The link: 1 Mbps each way, 600 ms added to each request. python -m tests.benchmarks.pages
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page

from tests.support.browser import DESKTOP, PHONE, Window, Windows, chromium, sign_in
from tests.support.demo_accounts import administering
from tests.support.demo_process import Demo, demo

HISTORY, KB = "14d", 1000
LINK = {"offline": False, "latency": 600, "downloadThroughput": 125_000, "uploadThroughput": 125_000}
PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


@dataclass(frozen=True)
class Budget:
    """Limits in kB on the wire; None: shown only."""

    path: str
    window: Window
    cold_kb: int | None = None
    warm_kb: int | None = None


@dataclass
class Traffic:
    """What a window received."""

    received: dict[str, int] = field(default_factory=dict)  # bytes by request

    async def watch(self, page: Page) -> None:
        session = await page.context.new_cdp_session(page)
        session.on("Network.loadingFinished", self._finished)
        await session.send("Network.enable")

    def _finished(self, event: dict[str, Any]) -> None:
        self.received[event["requestId"]] = int(event["encodedDataLength"])

    @property
    def total(self) -> int:
        return sum(self.received.values())

    @property
    def requests(self) -> int:
        return sum(size > 0 for size in self.received.values())  # what came out of the cache has none


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as parent, _demo(Path(parent)) as running:
        asyncio.run(_run(running))


def _demo(parent: Path) -> Any:
    return demo(parent / "data", "lively = true\nnodes = 8\nagents = true\n", history=HISTORY)


async def _run(running: Demo) -> None:
    with administering(running):
        pass
    site = running.get("/sites", limit=1)["items"][0]["id"]
    budgets = (
        Budget("/", PHONE),
        Budget("/kabupaten/64.02", PHONE, cold_kb=40),
        Budget("/desa/64.02.05.2003", PHONE),
        Budget("/console", DESKTOP, cold_kb=100, warm_kb=25),
        Budget("/console/sites", DESKTOP, cold_kb=100, warm_kb=25),
        Budget(f"/console/sites/{site}", DESKTOP, cold_kb=100, warm_kb=25),
    )
    print(
        f"{len(running.sites())} sites, {HISTORY} of history; kB on the wire (requests), first paint at 1 Mbps, 600 ms"
    )
    print(f"{'':<26}{'window':<10}{'cold':>14}{'warm':>14}{'document':>10}{'paint cold':>12}{'warm':>8}")
    async with chromium() as browser:
        state = await sign_in(browser, running.url, "admin")
        for budget in budgets:
            await _report(browser, running, budget, state if "console" in budget.path else None)


async def _report(browser: Browser, running: Demo, budget: Budget, state: Any) -> None:
    async with _window(browser, running, budget, state) as context:
        cold, _, document = await _visit(context, budget.path)
        warm, _, _ = await _visit(context, budget.path)
    async with _window(browser, running, budget, state) as context:
        _, cold_ms, _ = await _visit(context, budget.path, slow=True)
        _, warm_ms, _ = await _visit(context, budget.path, slow=True)
    sizes = "".join(f"{traffic.total / KB:>9.1f} ({traffic.requests:>2})" for traffic in (cold, warm))
    over = [
        f"cold over {budget.cold_kb} kB" * (budget.cold_kb is not None and cold.total > budget.cold_kb * KB),
        f"warm over {budget.warm_kb} kB" * (budget.warm_kb is not None and warm.total > budget.warm_kb * KB),
    ]
    print(
        f"{budget.path:<26}{budget.window.name:<10}{sizes}{document / KB:>9.0f}r{cold_ms / 1000:>10.2f} s"
        f"{warm_ms / 1000:>6.2f} s  {', '.join(filter(None, over))}"
    )


@asynccontextmanager
async def _window(browser: Browser, running: Demo, budget: Budget, state: Any) -> AsyncIterator[BrowserContext]:
    async with Windows(browser, running.url).open(budget.window, state=state) as page:
        yield page.context


async def _visit(context: BrowserContext, path: str, *, slow: bool = False) -> tuple[Traffic, float, int]:
    """Return what a page of its own receives, its first paint in ms, and the length of its unpacked document."""
    page, traffic = await context.new_page(), Traffic()
    await traffic.watch(page)
    if slow:
        await (await context.new_cdp_session(page)).send("Network.emulateNetworkConditions", LINK)
    response = await page.goto(path, wait_until="load", timeout=60_000)
    assert response is not None and response.ok, f"{path}: {response and response.status}"  # noqa: PT018
    await page.wait_for_timeout(500)
    paint = await page.evaluate(PAINT)
    length = len(await response.body())
    await page.close()
    return traffic, paint, length


if __name__ == "__main__":
    main()
