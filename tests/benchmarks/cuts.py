"""Power, device, link and cable cuts of villages' networks: whether the suggested cause is right in every one.

The real agent of each village measures in namespaces of its own (box, gateway, terminal) and pushes to a real service.
Half of the villages are cut at a time, each in another way, so that the others prove that the service can hear.
CUTS=40 python -m tests.benchmarks.cuts. Exits with 1 if a cause is wrong or an outage is missing.
"""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from simulator.namespace import Namespace
from tests.agents.agent_machine import Machine, busybox_tools, linux_tools
from tests.support.demo_process import Demo, demo, wait_for
from tests.support.village_network import ANCHORS, SERVER, Cut, VillageNetwork, open_beyond

POWER = "power"
KINDS = (POWER, Cut.GATEWAY, Cut.LINK, Cut.CABLE, POWER, Cut.TERMINAL, Cut.LINK, Cut.CABLE)
CAUSES = {POWER: "power", Cut.GATEWAY: "device", Cut.TERMINAL: "device", Cut.LINK: "link", Cut.CABLE: "unplugged"}
VILLAGES, AT_ONCE, BEAT_S = 8, 4, 5
OUT_S, BACK_S = 40, 35
PORT = 8080
SCRIPT = f"seed = 5\ninterval_s = {BEAT_S}\nsites = 12\n"
SHELLS = {"openwrt": ("busybox ash", busybox_tools), "linux": ("dash", linux_tools)}


class Box(Machine):
    """A machine whose uptime begins anew with its power."""

    booted_at = 0.0  # by the uptime of this computer

    def _command(self, *argv: str, **environment: str) -> list[str]:
        offset = ["unshare", "--time", "--boottime", f"-{int(self.booted_at)}", "--"] if self.booted_at else []
        command = super()._command(*argv, **environment)
        end = command.index("--") + 1
        return [*command[:end], *offset, *command[end:]]

    def power_up(self) -> None:
        self.booted_at = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.start()


class Village:
    def __init__(self, running: Demo, network: VillageNetwork, box: Box, site: dict[str, Any]) -> None:
        self._running, self.network, self.box, self.site = running, network, box, site

    def fail(self, kind: str) -> None:
        if kind == POWER:
            self.box.power_cut()
        else:
            self.network.cut(Cut(kind))

    def recover(self, kind: str) -> None:
        self.network.restore()
        if kind == POWER:
            self.box.power_up()

    def state(self) -> str:
        return str(self._running.sites()[self.site["code"]]["state"])

    def incident_since(self, began: float) -> dict[str, Any] | None:
        """Return the newest incident of the site that began then, or None."""
        found = self._running.get("/incidents", site=self.site["id"], limit=5)["items"]
        return next((one for one in found if _moment(one["started_at"]) >= began - 2 * BEAT_S), None)


def main() -> None:
    cuts = int(os.environ.get("CUTS", "40"))
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as parent, demo(Path(parent, "data"), SCRIPT) as running:
        asyncio.run(_measure(running, Path(parent), cuts))


async def _measure(running: Demo, folder: Path, cuts: int) -> None:
    with open_beyond() as beyond, _villages(running, beyond, folder) as villages:
        async with _forwarding(beyond, int(running.ingest_url.rpartition(":")[2])):
            for village in villages:
                village.box.start()
            await asyncio.to_thread(wait_for, lambda: all(village.state() == "up" for village in villages), 180)
            wrong = 0
            for number in range(-(-cuts // AT_ONCE)):
                cut = villages[AT_ONCE * (number % 2) :][:AT_ONCE]
                wrong += await _round(number, cut)
            print(f"cause by evidence right in {cuts - wrong} of {cuts}")
            if wrong:
                sys.exit("FAILED")


async def _round(number: int, villages: list[Village]) -> int:
    """Cut four villages, each in another way; return in how many the cause is wrong."""
    kinds = {village: KINDS[(place + number * 3) % len(KINDS)] for place, village in enumerate(villages)}
    began = time.time()
    for village, kind in kinds.items():
        village.fail(kind)
    await asyncio.sleep(OUT_S)
    restored = time.time()
    for village, kind in kinds.items():
        village.recover(kind)
    await asyncio.sleep(BACK_S)
    wrong = 0
    for village, kind in kinds.items():
        incident = await asyncio.to_thread(village.incident_since, began)
        said = None if incident is None else incident["cause_hint"]
        wrong += said != CAUSES[kind]
        bounds = "no outage" if incident is None else _bounds(incident, began, restored)
        print(
            f"{village.site['code']} {kind:<8} {said!s:<9} {bounds}{'' if said == CAUSES[kind] else '  WRONG'}",
            flush=True,
        )
    return wrong


def _bounds(incident: dict[str, Any], began: float, restored: float) -> str:
    if incident["ended_at"] is None:
        return "lasts"
    start, end = _moment(incident["started_at"]) - began, _moment(incident["ended_at"]) - restored
    return f"first loss {start:+.0f} s, answers again {end:+.0f} s"


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@contextmanager
def _villages(running: Demo, beyond: Namespace, folder: Path) -> Iterator[list[Village]]:
    """Open villages in districts of their own: several of one provider in a district would share their cause."""
    districts = [one["code"] for one in running.get("/regions", level="kabupaten_kota")["items"]][:VILLAGES]
    with contextlib.ExitStack() as stack:
        villages = []
        for number, district in enumerate(districts, 1):
            network = VillageNetwork(beyond, number)
            stack.callback(network.close)
            place = _first_below(running, _first_below(running, district))
            villages.append(_village(running, network, place, folder, ("linux", "openwrt")[number % 2]))
            stack.callback(villages[-1].box.kill)
        yield villages


def _first_below(running: Demo, region: str) -> str:
    return str(running.get("/regions", parent=region, limit=1)["items"][0]["code"])


def _village(running: Demo, network: VillageNetwork, place: str, folder: Path, kind: str) -> Village:
    body = {"village_code": place, "technology": "leo", "provider": "iconplus", "probe": "push"}
    site = running.client.post("/sites", json=body).raise_for_status().json()
    script = running.client.post(f"/sites/{site['id']}/agent?kind={kind}").raise_for_status().text
    shell, tools = SHELLS[kind]
    chosen = tools(folder / f"tools-{site['id']}")
    if not (chosen / "ip").exists():
        ip = subprocess.run(["which", "ip"], check=True, capture_output=True, text=True).stdout.strip()
        (chosen / "ip").symlink_to(ip)
    box = Box(network.box, folder / f"box-{site['id']}", script, shell=shell, tools=chosen)
    box.configure(
        URL=f"http://{SERVER}:{PORT}",
        ANCHORS=f"'{' '.join(ANCHORS)}'",
        RUN=box.ram,
        SPOOL=box.disk if kind == "linux" else box.ram,
        RTC="/nowhere",
        JITTER_S=0,
        PACKETS=1,
        PING_WAIT_S=1,
        PUSH_TIMEOUT_S=3,
        TERMINAL_S=0,
    )
    return Village(running, network, box, site)


@asynccontextmanager
async def _forwarding(beyond: Namespace, port: int) -> AsyncIterator[None]:
    """Pass on to ingest what arrives beyond."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65_536):
                writer.write(chunk)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, out = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, out), copy(back, writer))

    handle = beyond.socket()
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    handle.bind((SERVER, PORT))
    listening = await asyncio.start_server(serve, sock=handle)
    try:
        yield
    finally:
        listening.close()


if __name__ == "__main__":
    main()
