"""Every HTML page of a running service, found by walking the routes: a page that is new is among them by itself."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from tests.support.demo_process import Demo

PAGES = ("/console", "/layar", "/kabupaten", "/desa", "/metode", "/data")
PARAMETER = re.compile(r"([^/]+)/\{[^}]+\}")


def _first(path: str, key: str = "id") -> Callable[[Demo], Any]:
    return lambda running: running.get(path, limit=1)["items"][0][key]


# What stands for a parameter, by the part of the path before it.
SAMPLES: dict[str, Callable[[Demo], Any]] = {
    "sites": _first("/sites"),
    "incidents": _first("/incidents"),
    "providers": _first("/providers"),
    "contracts": _first("/contracts"),
    "regions": lambda running: "64.01",
    "kabupaten": lambda running: "64.01",
    "desa": lambda running: "64.01.01.2001",
}


def addresses(routes: Sequence[BaseRoute], running: Demo) -> list[str]:
    """Return the address of each GET route of the console and the public page, with real values.

    Raises KeyError for a parameter without a sample.
    """
    given: dict[str, str] = {}

    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in given:
            given[name] = str(SAMPLES[name](running))
        return f"{name}/{given[name]}"

    paths = {str(route.path) for route in iter_route_contexts(routes) if "GET" in (route.methods or ())}
    pages = [path for path in paths if path == "/" or (path.startswith(PAGES) and ":path}" not in path)]
    return sorted(PARAMETER.sub(fill, path) for path in pages)
