"""The agents' looks at gateway, terminal and carrier, and at the traffic of their link, in a village's own network."""

import asyncio
import json
import re
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.agents import scripts
from app.agents.models import AgentKind
from app.agents.scripts import ScriptSite
from app.profiles import Technology, profiles
from simulator.namespace import Namespace, NamespaceUnavailable
from tests.agents.agent_machine import Machine, busybox_tools, linux_tools
from tests.support.village_network import ANCHORS, SERVER, Cut, VillageNetwork, open_beyond

pytestmark = pytest.mark.real_time

KINDS = {"openwrt": ("busybox ash", busybox_tools), "linux": ("dash", linux_tools)}
GRANT = {"accepted": 1, "next_s": 1, "speedtest_grant": "abc", "speedtest": {"up_bytes": 0, "max_s": 1}}
SEEN = {
    None: {"lan": 1, "terminal": 1, "carrier": 1},
    Cut.LINK: {"lan": 1, "terminal": 1, "carrier": 1},
    Cut.TERMINAL: {"lan": 1, "terminal": 0, "carrier": 1},
    Cut.GATEWAY: {"lan": 0, "terminal": 0, "carrier": 1},
    Cut.CABLE: {"lan": 0, "terminal": 0, "carrier": 0},
}


@pytest.fixture(scope="module")
def beyond() -> Iterator[Namespace]:
    try:
        opened = open_beyond()
    except NamespaceUnavailable as problem:
        pytest.skip(str(problem))
    with opened:
        yield opened


@pytest.fixture(scope="module")
def village(beyond: Namespace) -> Iterator[VillageNetwork]:
    network = VillageNetwork(beyond, 7)
    yield network
    network.close()


def install(village: VillageNetwork, folder: Path, kind: str) -> Machine:
    shell, tools = KINDS[kind]
    script = scripts.render(
        AgentKind(kind),
        ScriptSite("64.02.05.2003-01", "Badak Baru", "Telkomsat-Starlink"),
        url=f"http://{SERVER}:8080",
        token="sd-token",
        anchors=list(ANCHORS),
        profile=profiles()[Technology.LEO],
        now=datetime(2026, 11, 1, tzinfo=UTC),
    )
    box = tools(folder / f"{kind}-tools")
    if not (box / "ip").exists():
        (box / "ip").symlink_to(shutil.which("ip") or "")
    machine = Machine(village.box, folder / kind, script, shell=shell, tools=box)
    machine.configure(RUN=machine.ram, SPOOL=machine.ram, PACKETS=1, PING_WAIT_S=1, SEND_S=1, BEAT_S=1, TRAFFIC_S=1)
    return machine


def seen(row: str) -> dict[str, int]:
    return {name: value for name, value in json.loads(row).items() if name in {"lan", "terminal", "carrier"}}


async def test_each_cut_looks_different_from_the_box(village: VillageNetwork, tmp_path: Path) -> None:
    machines = [install(village, tmp_path, kind) for kind in KINDS]
    for machine in machines:
        machine.configure(URL="http://127.0.0.1:9")
    for cut, expected in SEEN.items():
        if cut is not None:
            village.cut(cut)
        await asyncio.gather(*(machine.tick() for machine in machines))
        village.restore()
        for machine in machines:
            row = machine.rows[-1]
            assert (seen(row), len(json.loads(row)["rtt_ms"])) == (expected, int(cut is None)), (cut, row)


async def test_only_what_is_the_sites_own_is_asked(village: VillageNetwork, tmp_path: Path) -> None:
    router = install(village, tmp_path, "openwrt")
    router.configure(GATEWAY="none", TERMINAL="''")
    await router.tick()
    assert seen(router.rows[-1]) == {"carrier": 1}
    router.configure(GATEWAY="198.18.0.9", TERMINAL="192.168.7.1")
    await router.tick()
    assert seen(router.rows[-1]) == {"lan": 0, "terminal": 1, "carrier": 1}, "as its settings say"


class Reports:
    """A server that grants a speed test with each push, and keeps what is reported."""

    def __init__(self) -> None:
        self.reports: list[dict[str, object]] = []
        self.downloads = 0
        self.pushes: list[dict[str, object]] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        body = await reader.readexactly(int(length[1])) if length else b""
        if head.startswith(b"POST /api/v1/push"):
            self.pushes.append(json.loads(body))
        elif b"/report" in head:
            self.reports.append(json.loads(body))
        else:
            self.downloads += 1
        content = json.dumps(GRANT).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(content), content))
        await writer.drain()
        writer.close()


@pytest.fixture
async def server(beyond: Namespace) -> AsyncIterator[Reports]:
    reports, handle = Reports(), beyond.socket()
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    handle.bind((SERVER, 8080))
    listening = await asyncio.start_server(reports.answer, sock=handle)
    yield reports
    listening.close()


async def use_the_link(beyond: Namespace, address: str) -> None:
    """Send some 400 kbps to the box."""
    with beyond.socket(type=socket.SOCK_DGRAM) as handle:
        while True:
            handle.sendto(bytes(1000), (address, 9))
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_speed_test_waits_while_the_link_is_in_use(
    village: VillageNetwork, beyond: Namespace, server: Reports, tmp_path: Path, kind: str
) -> None:
    box = install(village, tmp_path, kind)
    using = asyncio.create_task(use_the_link(beyond, village.box_address))
    await box.tick()
    using.cancel()
    (report,) = server.reports
    assert (report["grant"], report["deferred"], server.downloads) == ("abc", True, 0)
    assert isinstance(report["rx_bps"], int)
    assert report["rx_bps"] > 64_000
    assert not (box.ram / "grant").exists()
    await box.tick(now=True)
    assert server.downloads == 1, "nobody uses it: its own pushes and pings do not count"
    assert "deferred" not in server.reports[-1]
