"""What readers cost: 3,000 of the public page that poll once a minute, and 50 with the console open.

The same demo is measured without readers, with the one and with the other: the processor's share of each process, the
api's memory, and whether probing is as true and as punctual as before. python -m tests.benchmarks.viewers
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from app.settings import ROOT
from tests.benchmarks.streams import JOIN_S, MEASURE_S, SCRIPT, SETTLE_S, SHARES, measure, report_quality
from tests.support.demo_accounts import PASSWORD, administering
from tests.support.demo_process import Demo, demo, resident_mb

CONSOLES = 50
PAGES = ("/", "/kabupaten/64.02", "/desa/64.02.05.2003")


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="sinyal-bench-") as parent,
        demo(Path(parent, "data"), SCRIPT, SINYAL_LIMITS__REQUESTS_PER_S="0", **SHARES) as running,
    ):
        asyncio.run(_run(running))


async def _run(running: Demo) -> None:
    cookies = _sessions(running)
    await asyncio.sleep(SETTLE_S)
    memory = resident_mb(running.child("api"))
    alone = await measure(running)
    for part, arguments in (("viewers", PAGES), ("consoles", cookies)):
        clients = _start(running, part, arguments)
        await asyncio.sleep(JOIN_S)
        loaded = await measure(running)
        received = json.loads((await asyncio.to_thread(clients.communicate))[0])
        took = sorted(1000 * duration_s for duration_s in received["durations_s"])
        print(
            f"\n{part}: {len(took) / (JOIN_S + MEASURE_S):.0f} requests a second {received['statuses']}, "
            f"{received['length'] / max(1, len(took)) / 1000:.1f} kB each, p50 {took[len(took) // 2]:.0f} ms, "
            f"p99 {took[int(len(took) * 0.99)]:.0f} ms; memory of the api {memory:.0f} MB before, "
            f"{resident_mb(running.child('api')):.0f} MB after"
        )
        report_quality(alone, loaded)


def _sessions(running: Demo) -> list[str]:
    """Return the cookies of CONSOLES sessions of the admin."""
    with administering(running):
        pass
    cookies = []
    for _ in range(CONSOLES):
        with httpx.Client(base_url=f"{running.url}/api/v1", trust_env=False) as client:
            answer = client.post("/session", json={"username": "admin", "password": PASSWORD})
            answer.raise_for_status()
            cookies += [f"{name}={value}" for name, value in answer.cookies.items()]
    return cookies


def _start(running: Demo, part: str, arguments: Sequence[str]) -> Any:
    port, seconds = running.url.rpartition(":")[2], str(JOIN_S + MEASURE_S)
    command = [sys.executable, "-m", "tests.benchmarks.page_clients", part, port, seconds, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


if __name__ == "__main__":
    main()
