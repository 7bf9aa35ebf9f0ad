"""Every HTML page of a running service, found by walking the routes: a page that is new is among them by itself."""

import asyncio
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from fastapi.routing import iter_route_contexts
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.routing import BaseRoute

from app.alerts.message_links import make_token
from app.core.clock import utc_now
from app.core.sealing import Sealer, read_keys
from app.postgres.embedded import find_url
from app.postgres.engine import open_engine
from app.settings import Settings
from tests.support.demo_process import Demo
from tests.support.stored_report import store_draft

ROOTS = {
    "",
    "console",
    "layar",
    "en",
    "kabupaten",
    "desa",
    "cari",
    "metode",
    "data",
    "data-terbuka",
    "verifikasi",
    "ukur",
}
# Files, streams, redirects; a month of open data is published once it is closed, which no demo waits for.
NOT_HTML = re.compile(r".*(/stream|/report|/penilaian|\{month\}|\{file\}|:path\}|\.js|\.svg|\.webmanifest)")
PARAMETER = re.compile(r"([^/]+)/\{[^}]+\}")


def _first(path: str, key: str = "id") -> Callable[[Demo], Any]:
    return lambda running: running.get(path, limit=1)["items"][0][key]


_site = _first("/sites")


def _created(running: Demo, path: str, body: dict[str, Any]) -> Any:
    """Return the id of the newest below `path`, created first where there is none."""
    if items := running.get(path, limit=1)["items"]:
        return items[0]["id"]
    answer = running.client.post(path.replace("/diagnoses", "/diagnose"), json=body)
    assert answer.is_success, answer.text
    return answer.json()["id"]


def _window(running: Demo) -> Any:
    night = utc_now() + timedelta(days=30)
    period = {"started_at": night.isoformat(), "ended_at": (night + timedelta(hours=4)).isoformat()}
    return _created(running, "/maintenance", {**period, "region": "64.01.01", "title": "Penggantian kabel utama"})


def _channel(running: Demo) -> Any:
    """One at which nobody listens; its office's usual rules come with it."""
    return _created(running, "/channels", {"name": "Grup jaga", "office": "64", "url": "http://127.0.0.1:9/pesan"})


def _rule(running: Demo) -> Any:
    _channel(running)
    return _first("/rules")(running)


def _notification(running: Demo) -> Any:
    if items := running.get("/notifications", limit=1)["items"]:
        return items[0]["id"]
    answer = running.client.post(f"/channels/{_channel(running)}/test")
    assert answer.is_success, answer.text
    return answer.json()["id"]


def _report(running: Demo) -> Any:
    """Return a draft's id: a stored one where no month is closed."""
    if items := running.get("/reports", limit=1)["items"]:
        return items[0]["id"]
    contract = _first("/contracts")(running)

    async def store() -> int:
        url = find_url(running.folder)
        assert url is not None
        engine = open_engine(url, name="test")
        try:
            async with AsyncSession(engine) as session, session.begin():
                return await store_draft(session, contract)
        finally:
            await engine.dispose()

    with ThreadPoolExecutor(1) as thread:  # this one's loop is running
        return thread.submit(asyncio.run, store()).result()


def _verify_code(running: Demo) -> Any:
    return running.get(f"/reports/{_report(running)}")["verify_code"]


def _line(running: Demo) -> Any:
    return running.get(f"/reports/{_report(running)}")["data"]["sites"][0]["code"]


# What stands for a parameter, by the part of the path before it.
SAMPLES: dict[str, Callable[[Demo], Any]] = {
    "sites": _site,
    "incidents": _first("/incidents"),
    "providers": _first("/providers"),
    "contracts": _first("/contracts"),
    "maintenance": _window,
    "accounts": _first("/accounts"),
    "tokens": _first("/tokens"),
    "audit": _first("/audit"),
    "channels": _channel,
    "rules": _rule,
    "reports": _report,
    "lines": _line,
    "verifikasi": _verify_code,
    "notifications": _notification,
    "diagnoses": lambda running: _created(running, f"/sites/{_site(running)}/diagnoses", {"kind": "ping"}),
    "regions": lambda running: "64.01",
    "vantages": lambda running: 0,
    "kabupaten": lambda running: "64.01",
    "desa": _first("/sites", "village_code"),
}


def _assignment(running: Demo) -> str:
    contract = SAMPLES["contracts"](running)
    return f"/console/contracts/{contract}/sites/{_first(f'/contracts/{contract}/sites')(running)}"


def _link(running: Demo) -> str:
    """The link of a message, signed by the service's own key."""
    notification = _notification(running)  # the key is made with the first channel
    sealer = Sealer(read_keys(Settings(data_dir=running.folder)))
    return f"/console/acknowledge/{make_token(notification, utc_now() + timedelta(days=1), sealer)}"


# Addresses that no sample makes by itself.
WHOLE: dict[str, Callable[[Demo], str]] = {
    "/console/contracts/{contract_id}/sites/{assignment_id}": _assignment,
    "/console/acknowledge/{token}": _link,
}


def addresses(routes: Sequence[BaseRoute], running: Demo) -> list[str]:
    """Return the address of each HTML page of the console, the wall and the public page, with real values.

    Raises KeyError for a parameter without a sample.
    """
    given: dict[str, str] = {}

    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in given:
            given[name] = str(SAMPLES[name](running))
        return f"{name}/{given[name]}"

    paths = {str(route.path) for route in iter_route_contexts(routes) if "GET" in (route.methods or ())}
    pages = [path for path in paths if path.split("/")[1] in ROOTS and not NOT_HTML.fullmatch(path)]
    return sorted(WHOLE[path](running) if path in WHOLE else PARAMETER.sub(fill, path) for path in pages)
