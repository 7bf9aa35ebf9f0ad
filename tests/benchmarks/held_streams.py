"""What 2,000 held streams cost ingest: memory, CPU a minute, writes, and how long its stop takes with them."""

import asyncio
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from app.postgres.embedded import Cluster
from app.runtime.server import raise_file_limit
from app.settings import ROOT
from tests.conftest import make_database
from tests.push.fleet import fill
from tests.support.demo_process import free_port

STREAMS, ROUND_S, MEASURED_S = 2_000, 60, 120
LIMIT_STOP_S = 2.0


def main() -> None:
    raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as folder:
        cluster = Cluster(Path(folder) / "pg")
        cluster.start()
        try:
            asyncio.run(_measure(cluster.url, Path(folder)))
        finally:
            cluster.stop()


async def _measure(server_url: str, folder: Path) -> None:
    url = await make_database(server_url)
    tokens = await fill(url, STREAMS)
    port = free_port()
    limits = {"SINYAL_LIMITS__CONNECTIONS": "6000", "SINYAL_LIMITS__CONNECTIONS_PER_ADDRESS": "6000"}
    places = {"SINYAL_DATABASE_URL": url, "SINYAL_DATA_DIR": str(folder / "ingest"), "SINYAL_PUSH__MAX_STREAMS": "2500"}
    argv = [sys.executable, "-m", "app.cli", "ingest", "--supervised", "--port", str(port)]
    log = (folder / "ingest.log").open("wb")
    ingest = await asyncio.create_subprocess_exec(
        *argv, cwd=ROOT, env=os.environ | limits | places, stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log
    )
    try:
        await asyncio.sleep(8)
        before_mb, started = _memory_mb(ingest.pid), time.monotonic()
        devices: list[asyncio.Task[None]] = []
        opened: list[str] = []
        for token in tokens:
            devices.append(asyncio.create_task(_hold(port, token, opened)))
            await asyncio.sleep(0.004)
        while len(opened) < STREAMS and time.monotonic() < started + 120:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        print(f"{len(opened):,} of {STREAMS:,} streams opened in {time.monotonic() - started:.0f} s")
        cpu = _cpu_s(ingest.pid)
        await asyncio.sleep(MEASURED_S)
        minutes = MEASURED_S / 60
        print(
            f"memory: {_memory_mb(ingest.pid) - before_mb:.0f} MB more ({before_mb:.0f} before); "
            f"CPU: {(_cpu_s(ingest.pid) - cpu) / minutes:.2f} s a minute"
        )
        stopped = time.monotonic()
        ingest.send_signal(signal.SIGTERM)
        await ingest.wait()
        took_s = time.monotonic() - stopped
        await asyncio.gather(*devices, return_exceptions=True)
        print(f"stopped in {took_s:.1f} s; {sum('wait' in text for text in opened):,} devices told when to come back")
        if took_s > LIMIT_STOP_S:
            sys.exit("FAILED")
    finally:
        if ingest.returncode is None:
            ingest.kill()
            await ingest.wait()


async def _hold(port: int, token: str, opened: list[str]) -> None:
    head = f"/api/v1/stream?boot=bench&number=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    ours, asking = await asyncio.open_connection("127.0.0.1", port, limit=4096)
    asking.write(f"GET {head}\r\n".encode())
    _, sending = await asyncio.open_connection("127.0.0.1", port, limit=4096)
    sending.write(f"POST {head}Transfer-Encoding: chunked\r\n\r\n".encode())
    await ours.readuntil(b"beat 30\n")
    place = len(opened)
    opened.append("")
    writing = asyncio.create_task(_write_lines(sending))
    opened[place] = (await ours.read()).decode()
    writing.cancel()
    asking.close()
    sending.close()


async def _write_lines(sending: asyncio.StreamWriter) -> None:
    while True:
        line = f"{time.monotonic():.2f}\n"
        sending.write(f"{len(line):x}\r\n{line}\r\n".encode())
        await asyncio.sleep(ROUND_S)


def _memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
