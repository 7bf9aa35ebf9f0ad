"""Short breaks of links, as devices' streams see them: real agents, nginx with TLS, and links that forward nothing.

Each village has a link of its own in network namespaces (as root). BREAK_MINUTES: of breaks, 14 by default; then
follows an hour of all villages together without any. BREAK_VILLAGES: how many;
BREAK_LONGEST_S: of one break, 50 by default.
"""

import asyncio
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from app.agents import scripts
from app.agents.models import AgentKind
from app.agents.scripts import ScriptSite
from app.core.clock import utc_now
from app.core.stream_cost import CONNECTION_BYTES, monthly_bytes
from app.postgres.embedded import Cluster
from app.postgres.engine import Sessions, open_engine, open_sessions, transaction
from app.profiles import Technology, profiles
from app.settings import ROOT
from app.streams import store
from app.streams.break_bounds import Break
from tests.agents.agent_machine import Machine, busybox_tools, linux_tools
from tests.conftest import make_database
from tests.push.fleet import fill
from tests.support.nginx import MAIN, NGINX, example_config
from tests.support.village_link import ServiceNetwork, VillageLink, self_signed

VILLAGES = int(os.environ.get("BREAK_VILLAGES", "8"))
SHORTEST_S, LONGEST_S, REST_S = 10, int(os.environ.get("BREAK_LONGEST_S", "50")), (70, 110)
SLACK = timedelta(seconds=1)
SEED = 19


@dataclass
class Village:
    site_id: int
    link: VillageLink
    machine: Machine
    cuts: list[tuple[datetime, datetime]] = field(default_factory=list)


def main() -> None:
    if os.geteuid() != 0 or NGINX is None:
        sys.exit("breaks: needs root and nginx")
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as folder:
        cluster = Cluster(Path(folder) / "pg")
        cluster.start()
        try:
            asyncio.run(_main(cluster.url, Path(folder)))
        finally:
            cluster.stop()


async def _main(server_url: str, folder: Path) -> None:
    minutes = float(os.environ.get("BREAK_MINUTES", "14"))
    url = await make_database(server_url)
    tokens = await fill(url, VILLAGES + 1)
    engine = open_engine(url, name="bench")
    sessions = open_sessions(engine)
    async with AsyncExitStack() as stack:
        network = ServiceNetwork(stack.enter_context(ExitStack()))
        await _serve(stack, network, url, folder)
        ids = await _site_ids(sessions)
        villages = [_install(stack, network, site, tokens[n], folder, n) for n, site in enumerate(ids)]
        *broken, measured = villages
        for village in broken:
            village.machine.start()
        streaming = asyncio.create_task(_stream_alone(measured, minutes))
        await asyncio.sleep(75)
        random.seed(SEED)
        await asyncio.gather(*(_break_links(village, minutes * 60) for village in broken))
        await asyncio.sleep(100)
        await _report(sessions, broken)
        since = utc_now()
        await asyncio.sleep(3600 / VILLAGES * minutes / 14)
        invented = [one for village in broken for one in await _seen(sessions, village, since)]
        print(f"quiet: {3600 * minutes / 14 / 60:.0f} minutes of villages, breaks invented: {len(invented)}")
        print(await streaming)
        if invented:
            sys.exit("FAILED")
    await engine.dispose()


async def _serve(stack: AsyncExitStack, network: ServiceNetwork, url: str, folder: Path) -> None:
    """Run ingest, and nginx with TLS before it, as config/nginx has it."""
    environment = os.environ | {
        "SINYAL_DATABASE_URL": url,
        "SINYAL_DATA_DIR": str(folder / "ingest"),
        "SINYAL_TRUSTED_PROXIES": "127.0.0.1",
    }
    argv = [sys.executable, "-m", "app.cli", "ingest", "--supervised", "--port", "8001"]
    log = (folder / "ingest.log").open("wb")
    ingest = await asyncio.create_subprocess_exec(
        *network.namespace.command(argv),
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=log,
        stderr=log,
    )
    stack.push_async_callback(_end, ingest)
    certificate, key = self_signed(folder, network.ADDRESS)
    example = re.sub(r"server \{\n    listen 80;.*?\n\}\n", "", example_config(), flags=re.DOTALL)
    example = re.sub(r"^ *listen \[.*$", "", example, flags=re.MULTILINE)
    for ours, theirs in (
        ("/etc/ssl/sinyal/fullchain.pem", str(certificate)),
        ("/etc/ssl/sinyal/privkey.pem", str(key)),
        ("listen 443", f"listen {network.ADDRESS}:443"),
        ("/var/log/nginx/", f"{folder}/"),
    ):
        example = example.replace(ours, theirs)
    config = folder / "nginx.conf"
    config.write_text(MAIN.format(folder=folder, example=example))
    argv = [str(NGINX), "-p", str(folder), "-c", str(config)]
    stack.push_async_callback(_end, await asyncio.create_subprocess_exec(*network.namespace.command(argv)))
    wait = "until curl -sf http://127.0.0.1:8001/healthz > /dev/null; do sleep 1; done"
    await asyncio.to_thread(network.inside, "sh", "-c", wait)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        await process.wait()


async def _site_ids(sessions: Sessions) -> list[int]:
    async with transaction(sessions) as session:
        connection = await session.connection()
        return [row[0] for row in await connection.exec_driver_sql("SELECT id FROM site ORDER BY id")]


def _install(
    stack: AsyncExitStack, network: ServiceNetwork, site_id: int, token: str, folder: Path, number: int
) -> Village:
    """An OpenWrt in BusyBox's ash, or a Linux in dash: every second one."""
    is_router = number % 2 == 0
    kind = AgentKind.OPENWRT if is_router else AgentKind.LINUX
    link = network.link()
    tools = folder / f"tools-{number}"
    (busybox_tools if is_router else linux_tools)(tools)
    for name in ("curl", "mkfifo", "ls", "ping", "logger"):
        if (path := shutil.which(name)) and not (tools / name).exists():
            (tools / name).symlink_to(path)
    script = scripts.render(
        kind,
        ScriptSite(f"64.02.05.{2000 + number}-01", "Desa", "Telkom"),
        url=f"https://{network.ADDRESS}",
        token=token,
        anchors=[network.ADDRESS],
        profile=profiles()[Technology.FIBER],
        now=utc_now(),
    )
    shell = "busybox ash" if is_router else "dash"
    machine = Machine(link.device, folder / f"device-{number}", script, shell=shell, tools=tools)
    machine.configure(RUN=machine.ram, SPOOL=machine.ram, JITTER_S=number * 6, PING_WAIT_S=1)
    with machine.conf.open("a") as file:
        file.write(f"export CURL_CA_BUNDLE={folder / 'fullchain.pem'}\n")
    stack.callback(machine.kill)
    return Village(site_id, link, machine)


async def _stream_alone(village: Village, minutes: float) -> str:
    """Hold a stream beside pretended measurements; return what it cost on the wire, scaled to a month."""
    machine = village.machine
    machine.ram.mkdir(exist_ok=True)
    _tick(machine)
    machine.run_in_background("stream", SINYAL_CONF=str(machine.conf))
    ticking = asyncio.create_task(_tick_each_minute(machine))
    await asyncio.sleep(60)
    before, began = village.link.wire_bytes(), time.monotonic()
    opening = before
    await asyncio.sleep(minutes * 60)
    spent, seconds = village.link.wire_bytes() - before, time.monotonic() - began
    ticking.cancel()
    monthly = spent / seconds * 30 * 86_400 / 1e6
    profile = profiles()[Technology.FIBER]
    counted = monthly_bytes(profile.stream_beat_s, profile.beat_s) / 1e6
    return (
        f"a held stream: {monthly:.2f} MB a month on the wire (counted: {counted:.2f}); "
        f"opened and held for a minute: {opening} B (a connection is counted as {CONNECTION_BYTES})"
    )


async def _tick_each_minute(machine: Machine) -> None:
    """Tell the stream what a measurement tells it, and send nothing."""
    while True:
        _tick(machine)
        events = machine.ram / "stream/events"
        for event in ("measuring", "ok"):
            if events.exists():
                handle = os.open(events, os.O_RDWR | os.O_NONBLOCK)
                os.write(handle, f"{event} {_uptime()}\n".encode())
                os.close(handle)
            await asyncio.sleep(2)
        await asyncio.sleep(56)


def _tick(machine: Machine) -> None:
    (machine.ram / "ticked").write_text(_uptime())


def _uptime() -> str:
    return Path("/proc/uptime").read_text().partition(".")[0]


async def _break_links(village: Village, seconds: float) -> None:
    until = time.monotonic() + seconds
    await asyncio.sleep(random.uniform(0, REST_S[1]))
    while time.monotonic() < until:
        length_s = random.uniform(SHORTEST_S, LONGEST_S)
        before = utc_now()
        village.link.forward(allowed=False)
        await asyncio.sleep(length_s)
        village.link.forward(allowed=True)
        village.cuts.append((before, utc_now()))
        await asyncio.sleep(random.uniform(*REST_S))


async def _seen(sessions: Sessions, village: Village, since: datetime) -> list[Break]:
    async with transaction(sessions) as session:
        breaks = await store.list_breaks(session, village.site_id, since, utc_now())
    return [one for one in breaks if one.started_after >= since]


async def _report(sessions: Sessions, villages: list[Village]) -> None:
    """Match cuts with breaks, print how many of each length were seen and how closely, and fail for a wrong bound."""
    by_length: dict[int, list[Break | None]] = defaultdict(list)
    wrong, unmatched = 0, 0
    for village in villages:
        async with transaction(sessions) as session:
            breaks = await store.list_breaks(session, village.site_id, utc_now() - timedelta(hours=2), utc_now())
        for start, end in village.cuts:
            found = [one for one in breaks if one.overlaps(start, end)]
            breaks = [one for one in breaks if one not in found]
            seen = found[0] if found else None
            if seen is not None and not _is_within(seen, start, end):
                wrong += 1
                print(f"  WRONG {village.site_id} {start:%T.%f} to {end:%T.%f}: {seen}")
            wrong += max(0, len(found) - 1)
            by_length[int((end - start).total_seconds()) // 10 * 10].append(seen)
        unmatched += len(breaks)
    print("length      breaks  seen  by server, device, both   start known to   end known to (median, widest)")
    for length, all_seen in sorted(by_length.items()):
        seen_ones = [one for one in all_seen if one is not None]
        who = ", ".join(
            str(sum(one.seen_by.value == name for one in seen_ones)) for name in ("server", "device", "both")
        )
        starts = _spread([(one.started_before - one.started_after).total_seconds() for one in seen_ones])
        ends = _spread([(one.ended_before - one.ended_after).total_seconds() for one in seen_ones])
        print(f"{length}-{length + 10} s  {len(all_seen):>8}  {len(seen_ones):>4}  {who:>24}  {starts:>15}  {ends:>13}")
    cuts = sum(map(len, by_length.values()))
    seen_all = sum(one is not None for seen in by_length.values() for one in seen)
    print(f"{cuts} breaks, {seen_all} seen, {wrong} with a wrong bound or twice, {unmatched} invented")
    if wrong or unmatched:
        sys.exit("FAILED")


def _is_within(seen: Break, start: datetime, end: datetime) -> bool:
    return (
        seen.started_after - SLACK <= start <= seen.started_before + SLACK
        and seen.ended_after - SLACK <= end <= seen.ended_before + SLACK
    )


def _spread(seconds: list[float]) -> str:
    return f"{sorted(seconds)[len(seconds) // 2]:.0f}, {max(seconds):.0f} s" if seconds else "-"
