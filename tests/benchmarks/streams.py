"""Whether 500 streams and 200 polls a second disturb the measurements of the demo.

The same demo is measured twice, without and with these clients: round trips against the script, packets against the
whole second at which they were due, and the delay of each state change from its commit to every stream.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy.engine import make_url

from app.postgres.embedded import Cluster
from app.postgres.engine import CHANNEL
from app.settings import ROOT
from tests.benchmarks.status_clients import POLLS_PER_SECOND, STREAMS, token_of
from tests.benchmarks.truth.scenario import RTT_MS
from tests.support.demo_process import Demo, cpu_s, demo

INTERVAL_S, SETTLE_S, MEASURE_S, JOIN_S = 20, 40, 60, 15
LIMIT_S = 2.0
SHARES = {  # all clients have one address and few tokens
    "SINYAL_STATUS__STREAMS_PER_CALLER": "1000",
    "SINYAL_STATUS__STREAMS_PER_ADDRESS": "1000",
    "SINYAL_LIMITS__CONNECTIONS_PER_ADDRESS": "2000",
}
SCRIPT = "".join(
    [
        f"seed = 1\ninterval_s = {INTERVAL_S}\n",
        *(f"[technology.{name}]\nrtt_ms = {rtt}\njitter_ms = 0\nloss_pct = 0\n" for name, rtt in RTT_MS.items()),
        *(
            f'[[event]]\nkind = "outage"\nstart_s = {start}\nduration_s = 40\nselect = {{ fraction = 0.01 }}\n'
            for start in range(10, 220, 4)
        ),
    ]
)
READINGS = """
    SELECT s.technology, m.rtt_us FROM measurement m JOIN site s ON s.id = m.site_id
    WHERE m.slot >= $1 AND m.slot < $2 AND m.outcome = 'ok'
"""
CHANGED = "SELECT s.code, t.state, t.version FROM site_status t JOIN site s ON s.id = t.site_id WHERE t.version > $1"


class StateChange(NamedTuple):
    at: float
    code: str
    version: int


@dataclass(frozen=True)
class MeasuredPeriod:
    """The quality of the measurements in a period."""

    errors_ms: list[float]
    late_ms: list[float]
    faults: dict[str, float]
    cpu: dict[str, float]  # share of a core


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="sinyal-bench-") as parent,
        demo(Path(parent, "data"), SCRIPT, **SHARES) as running,
    ):
        asyncio.run(_run(running))


async def _run(running: Demo) -> None:
    tokens = [running.token, *(_viewer(running, code) for code in _districts(running))]
    await asyncio.sleep(SETTLE_S)
    alone = await measure(running)
    seconds = JOIN_S + MEASURE_S
    last = time.time() + seconds - 2 * LIMIT_S  # later changes may not arrive before the streams are closed
    streaming = _start(running, "streams", seconds, tokens)
    polling = _start(running, "polls", seconds, tokens)
    await asyncio.sleep(JOIN_S)
    async with _changes(running) as changes:
        loaded = await measure(running)
    streamed, polled = json.loads(streaming.communicate()[0]), json.loads(polling.communicate()[0])
    print(
        f"{len(running.sites())} sites each {INTERVAL_S} s; {STREAMS} streams, {POLLS_PER_SECOND} polls a second, "
        f"{MEASURE_S} s without them and {MEASURE_S} s with them"
    )
    report_quality(alone, loaded)
    _report_polls(polled)
    _report_changes([change for change in changes if change.at < last], streamed, scopes=["64", *_districts(running)])


def _districts(running: Demo) -> list[str]:
    return [item["code"] for item in running.get("/regions", level="kabupaten_kota")["items"]]


def _viewer(running: Demo, region: str) -> str:
    made = running.client.post("/tokens", json={"name": f"wall {region}", "role": "viewer", "region_code": region})
    made.raise_for_status()
    return str(made.json()["token"])


def _start(running: Demo, part: str, seconds: float, tokens: Sequence[str], *, inside: bool = False) -> Any:
    user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
    enter = ["nsenter", "--target", str(running.child("worker")), *user, "--net", "--"] if inside else []
    port = running.url.rpartition(":")[2]
    command = [*enter, sys.executable, "-m", "tests.benchmarks.status_clients", part, port, str(seconds), *tokens]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


async def _connect(running: Demo) -> asyncpg.Connection:
    url = make_url(Cluster(running.folder).url).set(drivername="postgresql")
    return await asyncpg.connect(url.render_as_string(hide_password=False))


async def measure(running: Demo) -> MeasuredPeriod:
    """Measure for a minute: how true and how late the probes are, and what the processes take."""
    pids = {name: running.child(name) for name in ("worker", "api", "ingest", "database")}
    faults, spent, began = _faults(running), {name: cpu_s(pid) for name, pid in pids.items()}, time.time()
    pinging = _start(running, "pings", MEASURE_S, [], inside=True)
    await asyncio.sleep(MEASURE_S)
    late = json.loads((await asyncio.to_thread(pinging.communicate))[0])["late"]
    took = time.time() - began
    cpu = {name: (cpu_s(pid) - spent[name]) / took for name, pid in pids.items()}
    new_faults = {name: value - faults[name] for name, value in _faults(running).items()}
    await asyncio.sleep(5)  # until the last readings are written
    connection = await _connect(running)
    rows = await connection.fetch(READINGS, _moment(began), _moment(began + MEASURE_S))
    await connection.close()
    errors = [abs(rtt / 1000 - RTT_MS[technology]) for technology, rtts in rows for rtt in rtts]
    return MeasuredPeriod(errors, late, new_faults, cpu)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _faults(running: Demo) -> dict[str, float]:
    text = running.client.get(f"{running.url}/metrics").text
    wanted = r"^sinyal_worker_(missed_slots|overruns|misfires|faults)\w* (\S+)$"
    return {name: float(value) for name, value in re.findall(wanted, text, re.MULTILINE)}


@asynccontextmanager
async def _changes(running: Demo) -> AsyncIterator[list[StateChange]]:
    """Collect every state change, dated by the notice of its commit, inside the block."""
    changes: list[StateChange] = []
    listener, reader = await _connect(running), await _connect(running)
    notices: asyncio.Queue[float] = asyncio.Queue()
    await listener.add_listener(CHANNEL, lambda *_: notices.put_nowait(time.time()))
    following = asyncio.create_task(_follow(reader, notices, changes))
    try:
        yield changes
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await asyncio.gather(listener.close(), reader.close())


async def _follow(reader: asyncpg.Connection, notices: asyncio.Queue[float], changes: list[StateChange]) -> None:
    states: dict[str, str] = {}
    version, at = -1, time.time()
    while True:
        for code, state, changed in await reader.fetch(CHANGED, version):
            if states.get(code, state) != state:
                changes.append(StateChange(at, code, changed))
            states[code], version = state, max(version, changed)
        at = await notices.get()


def report_quality(alone: MeasuredPeriod, loaded: MeasuredPeriod) -> None:
    print(f"{'':<34}{'alone':>12}{'loaded':>12}")
    _compare("|measured - scripted| ms", alone.errors_ms, loaded.errors_ms)
    _compare("packet sent after its second, ms", alone.late_ms, loaded.late_ms)
    for name in alone.faults:
        print(f"{name:<34}{alone.faults[name]:>12.0f}{loaded.faults[name]:>12.0f}")
    for name in alone.cpu:
        print(f"{'CPU of the ' + name:<34}{alone.cpu[name]:>12.1%}{loaded.cpu[name]:>12.1%}")


def _compare(name: str, *samples: Sequence[float]) -> None:
    print(f"{name:<34}" + "".join(f"{len(values):>12,}" for values in samples))
    both = [sorted(values) for values in samples]
    for label, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)):
        print(f"  {label:<32}" + "".join(f"{_at(ordered, share):>12.3f}" for ordered in both))


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _report_polls(polled: dict[str, Any]) -> None:
    durations_ms = sorted(1000 * duration_s for duration_s in polled["durations_s"])
    print(
        f"polls: {len(durations_ms) / (JOIN_S + MEASURE_S):.0f} a second {polled['statuses']}, "
        f"p50 {_at(durations_ms, 0.5):.1f} ms, p99 {_at(durations_ms, 0.99):.1f} ms"
    )


def _report_changes(changes: Sequence[StateChange], streamed: dict[str, Any], *, scopes: Sequence[str]) -> None:
    """Report delays: a stream has a change once it got an event of the site with at least the change's version."""
    events_of: dict[tuple[int, str], list[tuple[int, str]]] = defaultdict(list)
    for key, codes in streamed["sites_by_event"].items():
        which, _, event_id = key.split()
        for code in codes:
            events_of[int(which), code].append((int(event_id.split(".")[1]), key))
    delays, missed = [], 0
    for change in changes:
        for number, arrived in enumerate(streamed["arrivals"]):
            which = token_of(number, len(scopes))
            if scopes[which] != "64" and not change.code.startswith(f"{scopes[which]}."):
                continue
            keys = [key for version, key in events_of[which, change.code] if version >= change.version]
            arrivals = [arrived[key] for key in keys if key in arrived]
            delays += [min(arrivals) - change.at] if arrivals else []
            missed += not arrivals
    delays.sort()
    print(
        f"{len(changes)} state changes, {len(delays):,} arrivals, {missed} missed: p50 {_at(delays, 0.5):.2f} s, "
        f"p99 {_at(delays, 0.99):.2f} s, max {delays[-1]:.2f} s (limit {LIMIT_S:g} s)"
    )


if __name__ == "__main__":
    main()
