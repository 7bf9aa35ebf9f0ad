"""Readers of pages, as a process of its own; results as JSON on standard output.

python -m tests.benchmarks.page_clients viewers PORT SECONDS PATH...       each polls its page once a minute
python -m tests.benchmarks.page_clients consoles PORT SECONDS COOKIE...    each has /console open, as console.js does
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.sse import Sse

VIEWERS_PER_SECOND = 50  # 3,000 that poll once a minute
LEAST_PAUSE_S, JITTER_S = 2.5, (0.2, 0.8)


@dataclass
class Received:
    durations_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    length: int = 0  # bytes of bodies on the wire

    async def get(self, client: httpx.AsyncClient, path: str, headers: dict[str, str]) -> httpx.Response:
        started = time.monotonic()
        async with client.stream("GET", path, headers=headers) as response:
            self.length += len(b"".join([part async for part in response.aiter_raw()]))
        self.durations_s.append(time.monotonic() - started)
        self.statuses[response.status_code] += 1
        return response

    def as_json(self) -> dict[str, Any]:
        return {"durations_s": self.durations_s, "statuses": self.statuses, "length": self.length}


async def viewers(port: int, seconds: float, paths: list[str]) -> dict[str, Any]:
    """One request each 1/50 s, with the ETag of the page's last version, as its script sends it."""
    received, etags, until = Received(), dict.fromkeys(paths, ""), time.monotonic() + seconds
    async with _client(port) as client, asyncio.TaskGroup() as group:
        for number in range(round(seconds * VIEWERS_PER_SECOND)):
            await asyncio.sleep(max(0.0, until - seconds + number / VIEWERS_PER_SECOND - time.monotonic()))
            group.create_task(_view(client, received, etags, paths[number % len(paths)]))
    return received.as_json()


async def _view(client: httpx.AsyncClient, received: Received, etags: dict[str, str], path: str) -> None:
    response = await received.get(client, path, {"If-None-Match": etags[path]})
    etags[path] = response.headers.get("etag", etags[path])


async def consoles(port: int, seconds: float, cookies: list[str]) -> dict[str, Any]:
    received = Received()
    async with _client(port) as client:
        await asyncio.gather(*(_keep_open(client, port, cookie, seconds, received) for cookie in cookies))
    return received.as_json()


async def _keep_open(client: httpx.AsyncClient, port: int, cookie: str, seconds: float, received: Received) -> None:
    """Fetch the page after each version that the stream tells of, at most once in LEAST_PAUSE_S."""
    headers, until = {"Cookie": cookie}, time.monotonic() + seconds
    stream = await Sse.open(port, "/api/v1/status/stream?detail=version", headers)
    assert stream.status == 200, stream.status
    last = 0.0
    while (left := until - time.monotonic()) > 0:
        try:
            event = await stream.event(left)
        except TimeoutError:
            break
        if event.kind == "version" and time.monotonic() - last > LEAST_PAUSE_S:
            last = time.monotonic()
            await asyncio.sleep(random.uniform(*JITTER_S))
            await received.get(client, "/console", headers)
    stream.close()


def _client(port: int) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=100)
    headers = {"Accept-Encoding": "gzip"}
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=headers, limits=limits, trust_env=False, timeout=30
    )


PARTS = {"viewers": viewers, "consoles": consoles}


if __name__ == "__main__":
    part, port, seconds, *rest = sys.argv[1:]
    print(json.dumps(asyncio.run(PARTS[part](int(port), float(seconds), rest))))
