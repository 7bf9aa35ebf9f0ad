"""`sinyal ping` beside fping and icmplib over loopback hosts: python -m tests.benchmarks.echo

Every engine sends one echo to each host, as fast as it can, in a process of its own; the engines alternate. Wall time
and CPU are the process's; the time that `sinyal ping` takes for a single host (its start) is subtracted. Exits with 1
if a target is missed.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

REPETITIONS = 5
WALL_RATIO, CPU_RATIO, MEDIAN_US = 1.3, 1.5, 10.0

OURS = [sys.executable, "-c", "import typer; from app.cli.ping import ping; typer.run(ping)"]
FPING = ["fping", "-q", "-i", "0", "-c", "1"]
ICMPLIB = [sys.executable, "-m", "tests.benchmarks.icmplib_ping"]


@dataclass(frozen=True, slots=True)
class Run:
    wall_s: float
    cpu_s: float
    median_us: float
    lost: int


def run(command: Sequence[str], rtts_us: Callable[[str], list[float]], hosts: int) -> Run | str:
    """Return a process's cost, or its last line of output if it failed."""
    with tempfile.TemporaryFile("w+") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode > 1:
        return text.strip().splitlines()[-1][:60]
    rtts = rtts_us(text)
    return Run(wall_s, usage.ru_utime + usage.ru_stime, statistics.median(rtts), hosts - len(rtts))


def json_rtts_us(text: str) -> list[float]:
    return [rtt * 1000 for host in orjson.loads(text)["hosts"] for rtt in host["rtt_ms"]]


def fping_rtts_us(text: str) -> list[float]:
    return [float(rtt) * 1000 for rtt in re.findall(r"min/avg/max = [\d.]+/([\d.]+)/", text)]


def loopback(hosts: int) -> list[str]:
    return [f"127.{1 + i // 62_500}.{i // 250 % 250}.{i % 250 + 1}" for i in range(hosts)]


def median(runs: Sequence[Run | str]) -> Run | str:
    done = [run for run in runs if isinstance(run, Run)]
    if len(done) < len(runs):
        return next(run for run in runs if isinstance(run, str))
    middle = statistics.median
    return Run(
        middle(run.wall_s for run in done),
        middle(run.cpu_s for run in done),
        middle(run.median_us for run in done),
        max(run.lost for run in done),
    )


def compare(hosts: int, folder: Path, *, icmplib: bool) -> list[str]:
    """Print the rows of this size; return the targets that were missed."""
    file = folder / f"{hosts}.txt"
    file.write_text("\n".join(loopback(hosts)) + "\n")
    ours, start, theirs = [], [], []
    for _ in range(REPETITIONS):
        ours.append(run([*OURS, "-c", "1", "--rate", "0", "--json", "--file", str(file)], json_rtts_us, hosts))
        start.append(run([*OURS, "-c", "1", "--rate", "0", "--json", "127.0.0.1"], json_rtts_us, 1))
        theirs.append(run([*FPING, "-f", str(file)], fping_rtts_us, hosts))
    engine, one, fping = median(ours), median(start), median(theirs)
    assert isinstance(one, Run)
    if isinstance(engine, Run):
        engine = Run(engine.wall_s - one.wall_s, engine.cpu_s - one.cpu_s, engine.median_us, engine.lost)
    row(hosts, "sinyal ping", engine, fping)
    row(hosts, "fping", fping, fping)
    if icmplib:
        row(hosts, "icmplib (500 at once)", run([*ICMPLIB, str(file)], json_rtts_us, hosts), fping)
    return [f"{hosts} hosts: {miss}" for miss in misses(engine, fping)]


def misses(engine: Run | str, fping: Run | str) -> list[str]:
    if isinstance(engine, str):
        return [engine]
    missed = [f"{engine.lost} lost"] if engine.lost else []
    if isinstance(fping, Run):
        if engine.wall_s > WALL_RATIO * fping.wall_s:
            missed.append(f"wall ratio above {WALL_RATIO}")
        if engine.cpu_s > CPU_RATIO * fping.cpu_s:
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
        ratios = f"{figures.wall_s / base.wall_s:5.2f} | {figures.cpu_s / base.cpu_s:4.2f}"
    print(
        f"| {hosts:>7,} | {name:<21} | {figures.wall_s:6.3f} | {figures.cpu_s:6.3f} | {ratios}"
        f" | {1e6 * figures.cpu_s / hosts:6.1f} | {figures.median_us:9.1f} | {figures.lost:5} |"
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
    for miss in missed:
        print(f"MISSED  {miss}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
