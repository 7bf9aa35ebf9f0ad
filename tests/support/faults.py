"""Break parts of a demo one after the other while dashboards poll it: stale rows shown, and time to recovery.

A row that is `up` is stale if its last answer is older than 2.5 intervals when the request is sent. A dashboard also
shows what it kept at a 304.
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
    """Polls ten times a second, with `If-None-Match` or with `since`, and checks every row that it shows."""

    def __init__(self, running: Demo, *, follows: bool) -> None:
        super().__init__(daemon=True)
        self._client = httpx.Client(
            base_url=f"{running.url}/api/v1", headers=running.client.headers, timeout=3, trust_env=False
        )
        self._follows, self._ends = follows, threading.Event()
        self._etag, self._version = "", ""
        self.sites: dict[int, dict[str, Any]] = {}
        self.stale: list[str] = []
        self.requests = self.responses = 0

    def run(self) -> None:
        while not self._ends.wait(0.1):
            requested_at = time.time()
            self.requests += 1
            try:
                answer = self._poll()
            except httpx.HTTPError:
                continue
            if answer.status_code in {200, 304}:
                self.responses += 1
                self.stale += [
                    f"{site['code']} {age:.2f} s"
                    for site in self.sites.values()
                    if site["state"] == "up" and (age := _age(site, requested_at)) > HOLD_S
                ]

    def _poll(self) -> httpx.Response:
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
        body = answer.json()
        self._version = body["version"]
        if "sites" in body:
            self.sites = {site["id"]: site for site in body["sites"]}
        else:
            self.sites |= {site["id"]: site for site in body["changed"]}
            for gone in body["removed"]:
                self.sites.pop(gone, None)
        return answer

    def end(self) -> None:
        self._ends.set()
        self.join(60)
        self._client.close()


def _age(site: dict[str, Any], now: float) -> float:
    return now - datetime.fromisoformat(site["last_seen_at"]).timestamp()


@contextmanager
def with_dashboards(folder: Path) -> Iterator[tuple[Demo, list[Dashboard]]]:
    with demo(folder, SCRIPT) as running:
        wait_for(lambda: up(running) == SITES, 300)
        dashboards = [Dashboard(running, follows=follows) for follows in (False, True)]
        for dashboard in dashboards:
            dashboard.start()
        try:
            yield running, dashboards
        finally:
            for dashboard in dashboards:
                dashboard.end()


def up(running: Demo) -> int:
    """Return how many sites are shown as up."""
    return sum(site["state"] == "up" for site in running.sites().values())


def change_shown(running: Demo) -> Callable[[], bool]:
    """Rename a site; return a condition that is true once the status shows the new name."""
    code, name = next(iter(running.sites())), f"Diubah {time.time()}"
    wait_for(lambda: running.client.patch(f"/sites/{code}", json={"name": name}).is_success, 120, every_s=0.05)
    return lambda: bool(running.sites()[code]["name"] == name)


def cut_listen_connection(running: Demo, limit_s: float) -> float:
    """Cut the LISTEN connection; return the seconds until a later change is shown."""
    asyncio.run(_cut(Cluster(running.folder).url))
    return wait_for(change_shown(running), limit_s, every_s=0.05)


async def _cut(url: str) -> None:
    connection = await asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))
    cut = await connection.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'sinyal api listen'"
    )
    await connection.close()
    assert cut == 1, cut


def kill_database(running: Demo, limit_s: float) -> float:
    """Kill the database; return the seconds until a change is shown, once one can be written again."""
    os.kill(running.child("database"), signal.SIGKILL)
    return wait_for(change_shown(running), limit_s, every_s=0.05)


def suspend_worker(running: Demo, limit_s: float) -> float:
    """Suspend the worker until all sites are unknown; return the seconds from then to the first known site."""
    worker = running.child("worker")
    os.kill(worker, signal.SIGSTOP)
    try:
        wait_for(lambda: up(running) == 0, HOLD_S + 120)
    finally:
        os.kill(worker, signal.SIGCONT)
    first = wait_for(lambda: up(running) > 0, limit_s, every_s=0.05)
    wait_for(lambda: up(running) == SITES, limit_s + 3 * INTERVAL_S)
    return first


def kill_api(running: Demo, limit_s: float) -> float:
    """Kill the API; return the seconds until it shows every site again."""
    os.kill(running.child("api"), signal.SIGKILL)
    return wait_for(lambda: up(running) == SITES, limit_s, every_s=0.05)


FAULTS = (cut_listen_connection, kill_database, suspend_worker, kill_api)
