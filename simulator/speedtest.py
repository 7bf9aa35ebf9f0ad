"""The rate of a simulated link, and an agent's speed test over it: download and upload at the link's rate."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from simulator.host_plan import SimulatedHost
from simulator.http_client import HttpClient, NoResponse
from simulator.link_defaults import DEFAULTS
from simulator.seeded_random import key, mix, share
from simulator.shaped_server import TICK_S, Shape, send

SPEEDTEST = "/api/v1/speedtest"
DEFAULT_MBPS = 20.0
_POOR_SHARE = 0.15  # of the links deliver 30 to 60% of the contracted rate
_JSON = {"Content-Type": "application/json"}

logger = logging.getLogger(__name__)


def delivered_share(code: str) -> float:
    """Return the share of its contracted rate that a site's link delivers."""
    link_key = key(0, f"speed/{code}")
    drawn = share(mix(link_key, 1))
    return 0.3 + 0.3 * drawn if share(mix(link_key)) < _POOR_SHARE else 0.85 + 0.13 * drawn


def link_shape(host: SimulatedHost, *, up: bool = False) -> Shape:
    defaults = DEFAULTS.get(host.technology, DEFAULTS["fiber"])
    contracted = (host.up_mbps if up else host.down_mbps) or DEFAULT_MBPS
    return Shape(contracted * delivered_share(host.code), rtt_ms=(defaults.fastest_ms + defaults.slowest_ms) / 2)


class AgentSpeedtest:
    def __init__(self, http: HttpClient, host: SimulatedHost, ping_ms: Callable[[], float | None]) -> None:
        self._http, self._host, self._ping_ms = http, host, ping_ms

    async def run(self, grant: str, limits: Mapping[str, Any]) -> None:
        """Run the granted test and report its result, also of half a test."""
        max_s = float(limits.get("max_s") or 10)
        result: dict[str, Any] = {"grant": grant, "rtt_idle_ms": self._ping_ms()}
        try:
            result |= await self._down(grant, max_s)
            result["rtt_loaded_ms"] = None if result["rtt_idle_ms"] is None else result["rtt_idle_ms"] * 1.8
            if limits.get("up_bytes"):
                result |= await self._up(grant, int(limits["up_bytes"]), max_s)
            await self._http.post(f"{SPEEDTEST}/report", json.dumps(result).encode(), _JSON)
        except NoResponse as problem:
            logger.info("%s: speed test failed: %s", self._host.code, problem)

    async def _down(self, grant: str, max_s: float) -> dict[str, Any]:
        link, received, began = link_shape(self._host), 0, 0.0

        async def read(reader: asyncio.StreamReader) -> None:
            nonlocal received, began
            began = time.monotonic()
            while not reader.at_eof():
                due = int(link.bytes_by(time.monotonic() - began)) - received
                if due <= 0:
                    await asyncio.sleep(TICK_S)
                    continue
                received += len(await reader.read(min(due, 65_536)))

        await self._http.request("GET", f"{SPEEDTEST}?grant={grant}", {}, read=read, timeout_s=max_s + 15)
        return {"down_bytes": received, "down_ms": _ms_since(began)}

    async def _up(self, grant: str, max_bytes: int, max_s: float) -> dict[str, Any]:
        link = link_shape(self._host, up=True)
        size, began = min(max_bytes, int(link.bytes_by(0.9 * max_s))), time.monotonic()

        async def write(writer: asyncio.StreamWriter) -> None:
            await send(writer, link, size=size)

        await self._http.request(
            "POST",
            f"{SPEEDTEST}?grant={grant}",
            {"Content-Type": "application/octet-stream"},
            size=size,
            send=write,
            timeout_s=max_s + 15,
        )
        return {"up_bytes": size, "up_ms": _ms_since(began)}


def _ms_since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)
