"""Hold what the product answers against the truth of a scripted run, with people, a forger and kills in it.

python -m tests.benchmarks.truth_run [--sites 300] [--nodes 10] [--minutes 15] [--seed 1] [--keep FOLDER]

Pinged and pushing sites of all technologies. `--keep` leaves script, truth, actions, answers and logs, to be checked
again with `python -m tests.benchmarks.truth.checker FOLDER`. Ends with 1 if a check fails.
"""

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.truth.checker.intervals import moment
from tests.benchmarks.truth.checker.report import report
from tests.benchmarks.truth.people import People, around
from tests.benchmarks.truth.scenario import (
    BACKLOG_S,
    INTERVAL_S,
    LATE_S,
    RADIO_EVERY,
    SEND_EVERY_S,
    Scenario,
)
from tests.benchmarks.truth.scenario_generator import generate
from tests.support.demo_process import Demo, demo, wait_for

MARGIN_S = 10  # the period ends before the agents do
SETTLE_S = LATE_S + 2 * SEND_EVERY_S


def main() -> None:
    options = _options()
    with _folder(options.keep) as folder:
        run(generate(options.seed, options.sites, options.nodes, options.minutes), folder)
        if not report(folder):
            sys.exit(1)


def run(scenario: Scenario, folder: Path) -> None:
    """Run the scenario; leave in the folder what happened, what was done, and what the product answered."""
    with demo(folder / "data", scenario.script) as running:
        started_at = _start_time(running)
        outages = sum(event.kind in ("outage", "power") for event in scenario.events)
        print(
            f"{scenario.sites} sites, {scenario.nodes} nodes, {len(scenario.events)} events ({outages} outages) in"
            f" {scenario.ends_s:.0f} s, a reading every {INTERVAL_S} s; {len(scenario.actions)} changes over REST,"
            f" {len(scenario.forgeries)} forgeries; kills: {[(kill.at_s, kill.child) for kill in scenario.kills]}",
            flush=True,
        )
        _make_radio_sites(running)
        start, sites = int(time.time()) + 1, list(_pages(running, "/sites", lifecycle="active"))
        people = People(running, scenario, started_at, folder / "actions.jsonl")
        people.act()
        time.sleep(max(0.0, started_at + scenario.ends_s + SETTLE_S - time.time()))
        answers = gather(running, sites, start, int(started_at + scenario.ends_s) - MARGIN_S, people)
        (folder / "answers.json").write_text(json.dumps(answers))


def _start_time(running: Demo) -> float:
    """Return when the simulator's clock started."""
    matches: list[str] = []

    def started() -> bool:
        matches[:] = re.findall(r"simulator_started_at=(\S+)", running.folder.with_suffix(".log").read_text())
        return bool(matches)

    wait_for(started, 30)
    return moment(matches[0])


def _make_radio_sites(running: Demo) -> None:
    fibre = [site for site in _pages(running, "/sites", technology="fiber") if site["kind"] == "access_point"]
    for site in fibre[::RADIO_EVERY]:
        running.client.patch(f"/sites/{site['id']}", json={"technology": "radio"}).raise_for_status()


def gather(running: Demo, sites: list[dict[str, Any]], start: int, end: int, people: People) -> dict[str, Any]:
    """Return the answers about the period; `sites` are as they were registered before it."""
    period = {"from": str(start * 1000), "to": str(end * 1000)}
    all_readings = {"from": str((start - BACKLOG_S - 3600) * 1000)}
    codes = [site["code"] for site in sites]
    changed = {action.code[:13] for action in people.scenario.actions}
    changed |= {action.value for action in people.scenario.actions if action.what == "move" and action.value}
    kept = ("id", "code", "kind", "parent_id", "technology", "village_code", "probe")
    return {
        "from": start,
        "to": end,
        "sites": [{name: site[name] for name in kept} for site in sites],
        "segments": {code: list(_pages(running, f"/sites/{code}/segments", **period)) for code in codes},
        "uptime": {code: running.get(f"/sites/{code}/uptime", step="hour", **period) for code in codes},
        "readings": {code: list(_pages(running, f"/sites/{code}/measurements", **all_readings)) for code in codes},
        "regions": {c: running.get(f"/regions/{c}/uptime", step="hour", **period) for c in around(changed)},
        "incidents": list(_pages(running, "/incidents")),
        "blind_ranges": list(_pages(running, "/blind-ranges", **period)),
        "statuses": people.statuses,
        "figures": _figures(running),
    }


def _pages(running: Demo, path: str, **params: Any) -> Iterator[dict[str, Any]]:
    page = running.get(path, limit=1000, **params)
    yield from page["items"]
    while page["next_cursor"] is not None:
        page = running.get(path, limit=1000, cursor=page["next_cursor"], **params)
        yield from page["items"]


def _figures(running: Demo) -> dict[str, float]:
    """Return the worker's counters of its own faults: a reading that came too late is not a wrong judgement."""
    text = running.client.get(f"{running.url}/metrics").text
    wanted = r"^sinyal_worker_(missed_slots|overruns|misfires|dropped_readings|faults)\w* (\S+)$"
    return {name: float(value) for name, value in re.findall(wanted, text, re.MULTILINE)}


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True)  # a new one: data of an earlier run would be continued
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
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep all that the checker reads, and logs, here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
