"""How fast a simulated link is, and an agent's test of it: down from the server and up to it, at the link's pace."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from simulator.host_plan import DEFAULTS, Host
from simulator.http_client import Line, NoAnswer
from simulator.seeded_random import key, mix, share
from simulator.shaped_server import TICK_S, Shape, send

SPEEDTEST = "/api/v1/speedtest"
USUAL_MBPS = 20.0
_POOR = 0.15  # of the links bring 30 to 60% of what was promised
_JSON = {"Content-Type": "application/json"}

logger = logging.getLogger(__name__)


def health(code: str) -> float:
    """Which part of its contract a site's link brings."""
    own = key(0, f"speed/{code}")
    drawn = share(mix(own, 1))
    return 0.3 + 0.3 * drawn if share(mix(own)) < _POOR else 0.85 + 0.13 * drawn


def shape(host: Host, *, up: bool = False) -> Shape:
    usual = DEFAULTS.get(host.technology, DEFAULTS["fiber"])
    promised = (host.up_mbps if up else host.down_mbps) or USUAL_MBPS
    return Shape(promised * health(host.code), rtt_ms=(usual.fastest_ms + usual.slowest_ms) / 2)


class Speedtest:
    def __init__(self, line: Line, host: Host, ping_ms: Callable[[], float | None]) -> None:
        self._line, self._host, self._ping_ms = line, host, ping_ms

    async def take(self, grant: str, says: Mapping[str, Any]) -> None:
        """Reports what it came to, also of half a test."""
        longest_s = float(says.get("max_s") or 10)
        found: dict[str, Any] = {"grant": grant, "rtt_idle_ms": self._ping_ms()}
        try:
            found |= await self._down(grant, longest_s)
            found["rtt_loaded_ms"] = None if found["rtt_idle_ms"] is None else found["rtt_idle_ms"] * 1.8
            if says.get("up_bytes"):
                found |= await self._up(grant, int(says["up_bytes"]), longest_s)
            await self._line.post(f"{SPEEDTEST}/report", json.dumps(found).encode(), _JSON)
        except NoAnswer as problem:
            logger.info("%s: a test of its speed came to nothing: %s", self._host.code, problem)

    async def _down(self, grant: str, longest_s: float) -> dict[str, Any]:
        link, came, began = shape(self._host), 0, 0.0

        async def read(reader: asyncio.StreamReader) -> None:
            nonlocal came, began
            began = time.monotonic()
            while not reader.at_eof():
                due = int(link.bytes_by(time.monotonic() - began)) - came
                if due <= 0:
                    await asyncio.sleep(TICK_S)
                    continue
                came += len(await reader.read(min(due, 65_536)))

        await self._line.ask("GET", f"{SPEEDTEST}?grant={grant}", {}, read=read, timeout_s=longest_s + 15)
        return {"down_bytes": came, "down_ms": _ms_since(began)}

    async def _up(self, grant: str, most: int, longest_s: float) -> dict[str, Any]:
        link = shape(self._host, up=True)
        size, began = min(most, int(link.bytes_by(0.9 * longest_s))), time.monotonic()

        async def write(writer: asyncio.StreamWriter) -> None:
            await send(writer, link, size=size)

        await self._line.ask(
            "POST",
            f"{SPEEDTEST}?grant={grant}",
            {"Content-Type": "application/octet-stream"},
            size=size,
            send=write,
            timeout_s=longest_s + 15,
        )
        return {"up_bytes": size, "up_ms": _ms_since(began)}


def _ms_since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)
