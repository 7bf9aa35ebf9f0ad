"""Compare what the product recorded with the truth, over a scripted network and with killed processes.

python -m tests.benchmarks.truth_run [--sites 300] [--nodes 10] [--minutes 15] [--seed 1] [--keep FOLDER]
python -m tests.benchmarks.truth_run --again FOLDER      checks the facts that an earlier run kept there

`--keep` leaves facts.json, truth.jsonl and the logs. Ends with 1 if a check fails.
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

from tests.benchmarks.truth import degraded, gaps, incidents, outages, seconds
from tests.benchmarks.truth.facts import Facts, Stop
from tests.benchmarks.truth.intervals import moment
from tests.benchmarks.truth.scenario import INTERVAL_S, Kill, Pause, Scenario
from tests.benchmarks.truth.scenario_generator import generate
from tests.benchmarks.truth.verdict import Verdict
from tests.support.demo_process import Demo, demo, wait_for

CHECKS = (
    outages.outages,
    outages.inventions,
    outages.boundaries,
    outages.unreachables,
    gaps.blindness,
    gaps.knowledge,
    degraded.spells,
    degraded.losses,
    seconds.seconds,
    seconds.pauses,
    incidents.incidents,
    gaps.recoveries,
)
SETTLE_S = 4 * INTERVAL_S
SHOWN_FAILURES = 3  # of each check


def main() -> None:
    options = _options()
    if options.again is not None:
        record = json.loads((options.again / "facts.json").read_text())
    else:
        with _folder(options.keep) as folder:
            record = run(generate(options.seed, options.sites, options.nodes, options.minutes), folder)
            (folder / "facts.json").write_text(json.dumps(record))
    print("the worker's own faults: " + ", ".join(f"{name} {value:g}" for name, value in record["figures"].items()))
    if not report(Facts.read(record)):
        sys.exit(1)


def run(scenario: Scenario, folder: Path) -> dict[str, Any]:
    """Run the scenario, and gather what happened and what the product recorded."""
    with demo(folder / "data", scenario.script) as running:
        started_at = _start_time(running)
        print(
            f"{scenario.sites} sites, {scenario.nodes} nodes, {len(scenario.events)} events in {scenario.ends_s:.0f} s,"
            f" a reading every {INTERVAL_S} s; kills: {scenario.kills}",
            flush=True,
        )
        stops, paused = _run_actions(running, scenario, started_at)
        time.sleep(max(0.0, started_at + scenario.ends_s + SETTLE_S - time.time()))
        record = gather(running, int(started_at), int(time.time()), scenario.loss_pct)
    return record | {"stops": [asdict(stop) for stop in stops], "loss_pct": scenario.loss_pct, "paused": paused}


def _start_time(running: Demo) -> float:
    """Return when the simulator's clock started."""
    matches: list[str] = []

    def started() -> bool:
        matches[:] = re.findall(r"simulator_started_at=(\S+)", running.folder.with_suffix(".log").read_text())
        return bool(matches)

    wait_for(started, 30)
    return moment(matches[0])


def _run_actions(
    running: Demo, scenario: Scenario, started_at: float
) -> tuple[list[Stop], dict[str, list[list[float]]]]:
    """Kill processes, suspend and reactivate sites, each at its time."""
    stops: list[Stop] = []
    paused: dict[str, list[list[float]]] = defaultdict(list)

    def kill(victim: Kill) -> None:
        stops.append(_kill(running, victim))

    def suspend(pause: Pause) -> None:
        _patch(running, pause.code, "suspended")
        paused[pause.code].append([time.time()])

    def reactivate(pause: Pause) -> None:
        _patch(running, pause.code, "active")
        paused[pause.code][-1].append(time.time())

    actions: list[tuple[float, Callable[[], None]]] = []
    actions += [(kill_at.at_s, partial(kill, kill_at)) for kill_at in scenario.kills]
    actions += [(pause.at_s, partial(suspend, pause)) for pause in scenario.pauses]
    actions += [(pause.at_s + pause.for_s, partial(reactivate, pause)) for pause in scenario.pauses]
    for at_s, action in sorted(actions, key=lambda timed: timed[0]):
        time.sleep(max(0.0, started_at + at_s - time.time()))
        action()
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
    except (AssertionError, OSError):  # it is starting
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


def _pages(running: Demo, path: str, **params: Any) -> Iterator[dict[str, Any]]:
    page = running.get(path, limit=1000, **params)
    yield from page["items"]
    while page["next_cursor"] is not None:
        page = running.get(path, limit=1000, cursor=page["next_cursor"], **params)
        yield from page["items"]


def _incidents(running: Demo) -> list[dict[str, Any]] | None:
    """Return a row for each site of each incident not withdrawn; None where incidents are not served."""
    try:
        found = list(_pages(running, "/incidents"))
    except httpx.HTTPStatusError as error:
        if error.response.status_code == 404:
            return None
        raise
    current = [incident for incident in found if incident["status"] != "withdrawn"]
    return [
        {name: member[name] for name in ("code", "started_at", "ended_at")}
        | {name: incident[name] for name in ("kind", "cause_hint")}
        for incident in current
        for member in incident["sites"]
    ]


def _figures(running: Demo) -> dict[str, float]:
    """Return the worker's counters of its own faults: a reading that came too late is not a wrong judgement."""
    text = running.client.get(f"{running.url}/metrics").text
    wanted = r"^sinyal_worker_(missed_slots|overruns|misfires|dropped_readings|faults)\w* (\S+)$"
    return {name: float(value) for name, value in re.findall(wanted, text, re.MULTILINE)}


def report(facts: Facts) -> bool:
    """Print every verdict; return whether all hold."""
    return print_verdicts([check(facts) for check in CHECKS])


def print_verdicts(verdicts: Sequence[Verdict]) -> bool:
    """Print a row for each verdict and the first failures; return whether all hold."""
    words = ("expected", "found", "missed", "invented", "exempt", "worst s")
    print(f"{'':<28}" + "".join(f"{word:>10}" for word in words))
    for verdict in verdicts:
        _row(verdict)
    for verdict in verdicts:
        for failure in verdict.failures[:SHOWN_FAILURES]:
            print(f"\n{verdict.name}: {failure}")
        if (more := len(verdict.failures) - SHOWN_FAILURES) > 0:
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
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the run's data, logs and facts here")
    parser.add_argument("--again", type=Path, metavar="FOLDER", help="check the facts of an earlier run kept there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
