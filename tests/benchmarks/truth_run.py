"""The ledger against the truth: a scripted village network is measured, killed at, and then held to what happened.

python -m tests.benchmarks.truth_run [--sites 300] [--nodes 10] [--minutes 15] [--seed 1] [--keep FOLDER]
python -m tests.benchmarks.truth_run --again FOLDER      judges anew what an earlier run gathered there

`--keep` leaves facts.json, truth.jsonl and the logs. Ends with 1 if anything does not hold.
"""

import argparse
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from tests.benchmarks.truth import gaps, incidents, quality, silences, sums
from tests.benchmarks.truth.facts import Facts, Stop
from tests.benchmarks.truth.scenario import INTERVAL_S, Kill, Pause, Plot
from tests.benchmarks.truth.scenario_generator import plot
from tests.benchmarks.truth.stretches import moment
from tests.benchmarks.truth.verdict import Verdict
from tests.support.demo_process import Demo, demo, wait_for

CHECKS = (
    silences.outages,
    silences.inventions,
    silences.boundaries,
    silences.unreachables,
    gaps.blindness,
    gaps.knowledge,
    quality.spells,
    quality.losses,
    sums.seconds,
    sums.pauses,
    incidents.incidents,
    gaps.recoveries,
)
SETTLE_S = 4 * INTERVAL_S
TOLD = 3  # failures of a check that are told in full


def main() -> None:
    options = _options()
    if options.again is not None:
        record = json.loads((options.again / "facts.json").read_text())
    else:
        with _folder(options.keep) as folder:
            record = run(plot(options.seed, options.sites, options.nodes, options.minutes), folder)
            (folder / "facts.json").write_text(json.dumps(record))
    print("the worker's own trouble: " + ", ".join(f"{name} {value:g}" for name, value in record["figures"].items()))
    if not report(Facts.read(record)):
        sys.exit(1)


def run(plotted: Plot, folder: Path) -> dict[str, Any]:
    """Lives the plot through, and gathers what happened and what the product says of it."""
    with demo(folder / "data", plotted.script) as running:
        zero = _zero(running)
        print(
            f"{plotted.sites} sites, {plotted.nodes} nodes, {len(plotted.events)} events in {plotted.ends_s:.0f} s, "
            f"every {INTERVAL_S} s a look; kills: {plotted.kills}",
            flush=True,
        )
        stops, paused = _act(running, plotted, zero)
        time.sleep(max(0.0, zero + plotted.ends_s + SETTLE_S - time.time()))
        record = gather(running, int(zero), int(time.time()), plotted.loss_pct)
    return record | {"stops": [asdict(stop) for stop in stops], "loss_pct": plotted.loss_pct, "paused": paused}


def _zero(running: Demo) -> float:
    """When the simulator's clock began."""
    found: list[str] = []

    def told() -> bool:
        found[:] = re.findall(r"simulator_started_at=(\S+)", running.folder.with_suffix(".log").read_text())
        return bool(found)

    wait_for(told, 30)
    return moment(found[0])


def _act(running: Demo, plotted: Plot, zero: float) -> tuple[list[Stop], dict[str, list[list[float]]]]:
    """Kills, suspends and takes back, each at its time."""
    stops: list[Stop] = []
    paused: dict[str, list[list[float]]] = defaultdict(list)

    def kill(victim: Kill) -> None:
        stops.append(_kill(running, victim))

    def suspend(pause: Pause) -> None:
        _patch(running, pause.code, "suspended")
        paused[pause.code].append([time.time()])

    def take_back(pause: Pause) -> None:
        _patch(running, pause.code, "active")
        paused[pause.code][-1].append(time.time())

    acts: list[tuple[float, Callable[[], None]]] = []
    acts += [(one.at_s, partial(kill, one)) for one in plotted.kills]
    acts += [(one.at_s, partial(suspend, one)) for one in plotted.pauses]
    acts += [(one.at_s + one.for_s, partial(take_back, one)) for one in plotted.pauses]
    for at_s, act in sorted(acts, key=lambda timed: timed[0]):
        time.sleep(max(0.0, zero + at_s - time.time()))
        act()
    return stops, paused


def _patch(running: Demo, code: str, lifecycle: str) -> None:
    running.client.patch(f"/sites/{code}", json={"lifecycle": lifecycle}).raise_for_status()


def _kill(running: Demo, kill: Kill) -> Stop:
    killed = last = time.time()
    victim = running.child(kill.child)
    os.kill(victim, signal.SIGKILL)
    while time.time() < killed + kill.held_s:
        time.sleep(0.05)
        if (successor := _child(running, kill.child)) not in (None, victim):
            os.kill(successor or 0, signal.SIGKILL)
            victim, last = successor or 0, time.time()

    def beats() -> bool:
        answer = running.client.get(f"{running.url}/readyz")
        beat_at = time.time() - float(answer.json()["worker_beat_age_s"])
        return answer.status_code == 200 and _child(running, kill.child) != victim and beat_at > last + 0.5

    wait_for(beats, 60, every_s=0.1)
    return Stop(kill.child, killed, time.time(), last)


def _child(running: Demo, name: str) -> int | None:
    try:
        return running.child(name)
    except (AssertionError, OSError):  # it is being started
        return None


def gather(running: Demo, start: int, end: int, lossy: dict[str, float]) -> dict[str, Any]:
    period = {"from": str(start * 1000), "to": str(end * 1000)}
    sites = list(_pages(running, "/sites"))
    codes = [site["code"] for site in sites]
    return {
        "interval_s": INTERVAL_S,
        "from": start,
        "to": end,
        "lines": running.truth(),
        "sites": [{name: site[name] for name in ("id", "code", "kind", "parent_id", "technology")} for site in sites],
        "segments": {code: list(_pages(running, f"/sites/{code}/segments", **period)) for code in codes},
        "uptime": {code: running.get(f"/sites/{code}/uptime", step="hour", **period) for code in codes},
        "readings": {code: list(_pages(running, f"/sites/{code}/measurements", **period)) for code in lossy},
        "incidents": _incidents(running),
        "figures": _figures(running),
    }


def _pages(running: Demo, path: str, **asked: Any) -> Iterator[dict[str, Any]]:
    page = running.get(path, limit=1000, **asked)
    yield from page["items"]
    while page["next_cursor"] is not None:
        page = running.get(path, limit=1000, cursor=page["next_cursor"], **asked)
        yield from page["items"]


def _incidents(running: Demo) -> list[dict[str, Any]] | None:
    """A row for each site of each incident that stands; None where they are not served."""
    try:
        found = list(_pages(running, "/incidents"))
    except httpx.HTTPStatusError as error:
        if error.response.status_code == 404:
            return None
        raise
    standing = [one for one in found if one["status"] != "withdrawn"]
    return [
        {name: member[name] for name in ("code", "started_at", "ended_at")}
        | {name: one[name] for name in ("kind", "cause_hint")}
        for one in standing
        for member in one["sites"]
    ]


def _figures(running: Demo) -> dict[str, float]:
    """What the worker says of its own trouble: a look that came too late is no fault of the ledger."""
    text = running.client.get(f"{running.url}/metrics").text
    wanted = r"^sinyal_worker_(missed_slots|overruns|misfires|dropped_readings|faults)\w* (\S+)$"
    return {name: float(value) for name, value in re.findall(wanted, text, re.MULTILINE)}


def report(facts: Facts) -> bool:
    """Prints every verdict; whether all hold."""
    return tell([check(facts) for check in CHECKS])


def tell(verdicts: Sequence[Verdict]) -> bool:
    words = ("expected", "found", "missed", "invented", "exempt", "worst s")
    print(f"{'':<28}" + "".join(f"{word:>10}" for word in words))
    for verdict in verdicts:
        _row(verdict)
    for verdict in verdicts:
        for failure in verdict.failures[:TOLD]:
            print(f"\n{verdict.name}: {failure}")
        if (more := len(verdict.failures) - TOLD) > 0:
            print(f"... and {more} more")
    return all(verdict.holds for verdict in verdicts)


def _row(verdict: Verdict) -> None:
    numbers = (verdict.expected, verdict.found, verdict.missed, verdict.invented, verdict.exempt)
    print(
        f"{verdict.name:<28}"
        + "".join(f"{number:>10}" for number in numbers)
        + f"{verdict.worst_s:>10.1f}  {'holds' if verdict.holds else 'FAILS'}"
    )
    for note in verdict.notes:
        print(f"  {note}")


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as parent:
        yield Path(parent)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.truth_run")
    parser.add_argument("--sites", type=int, default=300)
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the run's data, logs and facts stay")
    parser.add_argument("--again", type=Path, metavar="FOLDER", help="judge what an earlier run kept there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
