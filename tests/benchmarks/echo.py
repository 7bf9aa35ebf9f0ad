"""`sinyal ping` beside fping and icmplib over loopback hosts: python -m tests.benchmarks echo

Every engine sends one echo to each host, as fast as it can, in a process of its own that writes to nowhere; the engines
alternate, and medians are compared. Wall time and CPU are the process's; what `sinyal ping` takes for one host (its
start) is subtracted. Round trips and losses are those of one more run each. At last, what a packet costs as the worker
sends them: 3 to each of 10,000 hosts, 1 s apart, at 20,000 a second. Exits with 1 if a target is missed.
"""

import asyncio
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from probes.echo import Echo, Ping, PingBatch, prepare_addresses

REPETITIONS = 7
WALL_RATIO, CPU_RATIO, MEDIAN_US = 0.8, 0.8, 10.0

OURS = [sys.executable, "-c", "import typer; from app.cli.ping import ping; typer.run(ping)"]
OUR_OPTIONS = ["-c", "1", "--rate", "0", "--json"]
FPING = ["fping", "-q", "-i", "0", "-c", "1"]
ICMPLIB = [sys.executable, "-m", "tests.benchmarks.icmplib_ping"]


@dataclass(frozen=True, slots=True)
class Cost:
    wall_s: float
    cpu_s: float

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.wall_s - other.wall_s, self.cpu_s - other.cpu_s)


@dataclass(frozen=True, slots=True)
class Run:
    cost: Cost
    median_us: float
    lost: int


def cost(command: Sequence[str]) -> Cost:
    """Return what a process takes. Its output goes to nowhere."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(wall_s, usage.ru_utime + usage.ru_stime)


def median(costs: Sequence[Cost]) -> Cost:
    return Cost(statistics.median(each.wall_s for each in costs), statistics.median(each.cpu_s for each in costs))


def measured(command: Sequence[str], rtts_us: Callable[[str], list[float]], hosts: int, of: Cost | None) -> Run | str:
    """Run once more for the round trips; return them with the cost, or a failed process's last line of output."""
    started, before = time.perf_counter(), _children_cpu_s()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    this = Cost(time.perf_counter() - started, _children_cpu_s() - before)
    if done.returncode > 1:
        return done.stdout.strip().splitlines()[-1][:60]
    rtts = rtts_us(done.stdout)
    return Run(of or this, statistics.median(rtts), hosts - len(rtts))


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def json_rtts_us(text: str) -> list[float]:
    return [rtt * 1000 for host in orjson.loads(text)["hosts"] for rtt in host["rtt_ms"]]


def fping_rtts_us(text: str) -> list[float]:
    return [float(rtt) * 1000 for rtt in re.findall(r"min/avg/max = [\d.]+/([\d.]+)/", text)]


def loopback(hosts: int) -> list[str]:
    return [f"127.{1 + i // 62_500}.{i // 250 % 250}.{i % 250 + 1}" for i in range(hosts)]


def compare(hosts: int, folder: Path, *, icmplib: bool) -> list[str]:
    """Print the rows of this size; return the targets that were missed."""
    file = folder / f"{hosts}.txt"
    file.write_text("\n".join(loopback(hosts)) + "\n")
    ours, one, theirs = (
        [*OURS, *OUR_OPTIONS, "--file", str(file)],
        [*OURS, *OUR_OPTIONS, "127.0.0.1"],
        [*FPING, "-f", str(file)],
    )
    costs = [(cost(ours), cost(theirs), cost(one)) for _ in range(REPETITIONS)]
    our_cost, their_cost, start = (median(of_one) for of_one in zip(*costs, strict=True))
    engine = measured(ours, json_rtts_us, hosts, our_cost - start)
    fping = measured(theirs, fping_rtts_us, hosts, their_cost)
    row(hosts, "sinyal ping", engine, fping)
    row(hosts, "fping", fping, fping)
    if icmplib:
        row(hosts, "icmplib (500 at once)", measured([*ICMPLIB, str(file)], json_rtts_us, hosts, None), fping)
    return [f"{hosts} hosts: {miss}" for miss in misses(engine, fping)]


def misses(engine: Run | str, fping: Run | str) -> list[str]:
    if isinstance(engine, str):
        return [engine]
    missed = [f"{engine.lost} lost"] if engine.lost else []
    if isinstance(fping, Run):
        if engine.cost.wall_s > WALL_RATIO * fping.cost.wall_s:
            missed.append(f"wall ratio above {WALL_RATIO}")
        if engine.cost.cpu_s > CPU_RATIO * fping.cost.cpu_s:
            missed.append(f"CPU ratio above {CPU_RATIO}")
        if abs(engine.median_us - fping.median_us) > MEDIAN_US:
            missed.append(f"median RTT more than {MEDIAN_US:g} µs apart")
    return missed


def row(hosts: int, name: str, figures: Run | str, base: Run | str) -> None:
    if isinstance(figures, str):
        print(f"| {hosts:>7,} | {name:<21} | {figures} |")
        return
    ratios = "    - |    -"
    if isinstance(base, Run):
        ratios = f"{figures.cost.wall_s / base.cost.wall_s:5.2f} | {figures.cost.cpu_s / base.cost.cpu_s:4.2f}"
    print(
        f"| {hosts:>7,} | {name:<21} | {figures.cost.wall_s:6.3f} | {figures.cost.cpu_s:6.3f} | {ratios}"
        f" | {1e6 * figures.cost.cpu_s / hosts:6.1f} | {figures.median_us:9.1f} | {figures.lost:5} |"
    )


async def worker_shape(hosts: int = 10_000) -> str:
    """Return what a packet of a round costs, as the worker sends them."""
    async with Echo.open() as echo:
        batch = PingBatch.alike(prepare_addresses(loopback(hosts)), Ping(""))
        started, before = time.perf_counter(), time.process_time()
        pongs = await echo.sweep(batch)
        cpu_s, wall_s = time.process_time() - before, time.perf_counter() - started
    packets = int(batch.count.sum())
    rtts_us = pongs.rtts_ns[pongs.rtts_ns >= 0] / 1000
    return (
        f"a round of {hosts:,} hosts, 3 packets each: {1e6 * cpu_s / packets:.1f} µs a packet, {wall_s:.2f} s,"
        f" median {np.median(rtts_us):.1f} µs, p99 {np.percentile(rtts_us, 99):.1f} µs, {packets - len(rtts_us)} lost"
    )


def main() -> int:
    print("|   hosts | engine                | wall s | cpu s  | wall× | cpu× | µs/echo| median µs | lost  |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        missed = [
            *compare(10_000, Path(folder), icmplib=True),
            *compare(60_000, Path(folder), icmplib=False),
            *compare(100_000, Path(folder), icmplib=False),
        ]
    print(asyncio.run(worker_shape()))
    for miss in missed:
        print(f"MISSED  {miss}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
