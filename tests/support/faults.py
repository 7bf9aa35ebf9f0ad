"""A demo whose parts fail one after the other while dashboards poll it: what they were shown, and how soon it was well.

A row that says `up` is fresh as long as its last answer is younger than 2.5 intervals at the moment of asking: the
server answers later than that, so an older one was surely served stale. A dashboard also shows what a 304 left it.
"""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from sqlalchemy.engine import make_url

from app.postgres.embedded import Cluster
from tests.support.demo_process import Demo, demo, wait_for

INTERVAL_S, SITES = 5, 40
HOLD_S = 2.5 * INTERVAL_S
SCRIPT = f"""
seed = 11
interval_s = {INTERVAL_S}
sites = {SITES}
[technology.fiber]
loss_pct = 0
[technology.leo]
loss_pct = 0
[technology.cellular]
loss_pct = 0
"""


class Dashboard(threading.Thread):
    """Polls ten times a second, with `If-None-Match` or with `since`, and looks at every row that it shows."""

    def __init__(self, running: Demo, *, follows: bool) -> None:
        super().__init__(daemon=True)
        self._client = httpx.Client(
            base_url=f"{running.url}/api/v1", headers=running.client.headers, timeout=3, trust_env=False
        )
        self._follows, self._ends = follows, threading.Event()
        self._etag, self._version = "", ""
        self.sites: dict[int, dict[str, Any]] = {}
        self.stale: list[str] = []
        self.asked = self.answered = 0

    def run(self) -> None:
        while not self._ends.wait(0.1):
            asked_at = time.time()
            self.asked += 1
            try:
                answer = self._ask()
            except httpx.HTTPError:
                continue
            if answer.status_code in {200, 304}:
                self.answered += 1
                self.stale += [
                    f"{site['code']} {age:.2f} s"
                    for site in self.sites.values()
                    if site["state"] == "up" and (age := _age(site, asked_at)) > HOLD_S
                ]

    def _ask(self) -> httpx.Response:
        if not self._follows:
            answer = self._client.get("/status", headers={"If-None-Match": self._etag})
            if answer.status_code == 200:
                self._etag = answer.headers["etag"]
                self.sites = {site["id"]: site for site in answer.json()["sites"]}
            return answer
        answer = self._client.get("/status", params={"since": self._version} if self._version else {})
        if answer.status_code == 410:
            self._version = ""
        if answer.status_code != 200:
            return answer
        told = answer.json()
        self._version = told["version"]
        if "sites" in told:
            self.sites = {site["id"]: site for site in told["sites"]}
        else:
            self.sites |= {site["id"]: site for site in told["changed"]}
            for gone in told["removed"]:
                self.sites.pop(gone, None)
        return answer

    def end(self) -> None:
        self._ends.set()
        self.join(10)
        self._client.close()


def _age(site: dict[str, Any], now: float) -> float:
    return now - datetime.fromisoformat(site["last_seen_at"]).timestamp()


@contextmanager
def watched(folder: Path) -> Iterator[tuple[Demo, list[Dashboard]]]:
    with demo(folder, SCRIPT) as running:
        wait_for(lambda: up(running) == SITES, 60)
        dashboards = [Dashboard(running, follows=follows) for follows in (False, True)]
        for dashboard in dashboards:
            dashboard.start()
        try:
            yield running, dashboards
        finally:
            for dashboard in dashboards:
                dashboard.end()


def up(running: Demo) -> int:
    """How many sites are shown to be up."""
    return sum(site["state"] == "up" for site in running.sites().values())


def told(running: Demo) -> Callable[[], bool]:
    """Writes, and answers whether the status shows it."""
    code, name = next(iter(running.sites())), f"Diubah {time.time()}"
    wait_for(lambda: running.client.patch(f"/sites/{code}", json={"name": name}).is_success, 30, every_s=0.05)
    return lambda: bool(running.sites()[code]["name"] == name)


def the_line_is_cut(running: Demo, limit_s: float) -> float:
    """Seconds until a change is shown that came after LISTEN was cut."""
    asyncio.run(_cut(Cluster(running.folder).url))
    return wait_for(told(running), limit_s, every_s=0.05)


async def _cut(url: str) -> None:
    connection = await asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))
    cut = await connection.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'sinyal api listen'"
    )
    await connection.close()
    assert cut == 1, cut


def the_database_is_killed(running: Demo, limit_s: float) -> float:
    """Seconds until a change is shown, once the database takes one again."""
    os.kill(running.child("database"), signal.SIGKILL)
    return wait_for(told(running), limit_s, every_s=0.05)


def the_worker_is_dead(running: Demo, limit_s: float) -> float:
    """It stands still until all is unknown; seconds until the first site is known again once it goes on."""
    worker = running.child("worker")
    os.kill(worker, signal.SIGSTOP)
    try:
        wait_for(lambda: up(running) == 0, HOLD_S + 5)
    finally:
        os.kill(worker, signal.SIGCONT)
    first = wait_for(lambda: up(running) > 0, limit_s, every_s=0.05)
    wait_for(lambda: up(running) == SITES, limit_s + 3 * INTERVAL_S)
    return first


def the_api_is_killed(running: Demo, limit_s: float) -> float:
    """Seconds until it shows every site again."""
    os.kill(running.child("api"), signal.SIGKILL)
    return wait_for(lambda: up(running) == SITES, limit_s, every_s=0.05)


FAULTS = (the_line_is_cut, the_database_is_killed, the_worker_is_dead, the_api_is_killed)
