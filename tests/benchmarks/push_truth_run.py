"""Compare push sites with the truth: every reading stored once, every outage found, none invented.

python -m tests.benchmarks.push_truth_run [--agents 500] [--minutes 15] [--seed 1] [--keep FOLDER]
python -m tests.benchmarks.push_truth_run --again FOLDER      checks the facts that an earlier run kept there

A fifth of the pushes are duplicated, a tenth of the batches late, some agents start with readings of hours ago or a
wrong clock, power cuts reset boot id and sequence number, and the API and the worker are killed. Ends with 1 if a check
fails.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import asyncpg

from app.postgres.embedded import Cluster
from app.registry.regions import REGIONS_CSV
from simulator.script import TECHNOLOGIES
from simulator.villages import villages
from tests.benchmarks.truth import push_checks, readings, seconds
from tests.benchmarks.truth.facts import Facts, Stop
from tests.benchmarks.truth.readings import Account
from tests.benchmarks.truth.verdict import Verdict
from tests.benchmarks.truth_run import _child, _folder, _start_time, gather, print_verdicts
from tests.support.demo_process import Demo, cpu_s, demo, wait_for
from tests.support.simulator_logs import read_agents

BEAT_S, SEND_EVERY_S = 10, 30
LATE_S, BACKLOG_S = 90, 7_200
QUIET_S, TAIL_S = 40.0, 60.0
MARGIN_S = 10  # the period ends before the agents do
APART_S = 100.0
SETTLE_S = LATE_S + 4 * SEND_EVERY_S
KILLS = ((0.3, "api"), (0.62, "worker"))
BLIND = ((0.45, 30), (0.8, 20))

RECEIPTS = "SELECT s.code, r.boot, r.seen FROM push_receipt r JOIN site s ON s.id = r.site_id"
ROWS = """
    SELECT s.code, extract(epoch FROM m.slot)::float8 AS slot FROM measurement m JOIN site s ON s.id = m.site_id
    WHERE m.source = 'agent' AND m.reason IS DISTINCT FROM 'arrival'
"""
LEFT = "SELECT count(*) FROM push_inbox"


def main() -> None:
    options = _options()
    if options.again is not None:
        record = json.loads((options.again / "facts.json").read_text())
    else:
        with _folder(options.keep) as folder:
            record = run(options.agents, options.minutes, options.seed, folder)
            (folder / "facts.json").write_text(json.dumps(record))
    if not report(record):
        sys.exit(1)


def script(agents: int, minutes: float, seed: int) -> str:
    """Return the script. Links lose nothing by themselves; every event has sites of its own, to be recognised by."""
    head = f"""
seed = {seed}
sites = {agents}
interval_s = {BEAT_S}
send_every_s = {SEND_EVERY_S}
registered_s = {BACKLOG_S + 3600}
[agents]
all = true
duplicate_pct = 20
late_pct = 10
late_s = {LATE_S}
backlog_pct = 20
backlog_s = {BACKLOG_S}
clock_wrong_pct = 20
stop_s = {minutes * 60:.0f}
log = true
"""
    links = "".join(f"[technology.{name}]\nloss_pct = 0\n" for name in TECHNOLOGIES)
    return head + links + "".join(_events(agents, minutes * 60, Random(seed)))


def _events(agents: int, ends_s: float, random: Random) -> list[str]:
    events = [_event("blind", share * ends_s, lasts_s, None) for share, lasts_s in BLIND]
    codes = [f"{site['village_code']}-01" for site in villages(REGIONS_CSV, agents)]
    for code in random.sample(codes, len(codes) * 3 // 4):
        at_s = random.uniform(QUIET_S, QUIET_S + 60)
        while True:
            lasts_s = random.choice((random.uniform(5, 40), random.uniform(40, 120), random.uniform(120, 240)))
            if at_s + lasts_s > ends_s - TAIL_S:
                break
            events.append(_event(random.choice(("outage", "power")), at_s, lasts_s, code))
            at_s += lasts_s + APART_S + random.uniform(0, ends_s / 2)
    return events


def _event(kind: str, start_s: float, duration_s: float, code: str | None) -> str:
    select = "" if code is None else f'select = {{ sites = ["{code}"] }}\n'
    return f'[[event]]\nkind = "{kind}"\nstart_s = {start_s:.3f}\nduration_s = {duration_s:.3f}\n{select}'


def run(agents: int, minutes: float, seed: int, folder: Path) -> dict[str, Any]:
    """Run the script, and gather what happened, what the agents logged and what the product stored."""
    ends_s = minutes * 60
    with demo(folder / "data", script(agents, minutes, seed)) as running:
        started_at = _start_time(running)
        print(f"{agents} agents, {minutes:g} minutes, a reading each {BEAT_S} s; kills: {KILLS}", flush=True)
        stops = []
        for share, child in KILLS:
            time.sleep(max(0.0, started_at + share * ends_s - time.time()))
            stops.append(_kill(running, child))
        time.sleep(max(0.0, started_at + ends_s - time.time()))
        end = int(time.time()) - MARGIN_S
        costs = {name: cpu_s(running.child(name)) for name in ("simulator", "worker", "api", "database")}
        print("CPU seconds: " + ", ".join(f"{name} {spent:.1f}" for name, spent in costs.items()), flush=True)
        time.sleep(SETTLE_S)
        record = gather(running, int(started_at), end, {})
        stored = asyncio.run(_read_stored(running))
        send_s = {site["code"]: BEAT_S if site["technology"] == "fiber" else SEND_EVERY_S for site in record["sites"]}
        return (
            record
            | stored
            | {
                "stops": [asdict(stop) for stop in stops],
                "loss_pct": {},
                "paused": {},
                "send_every_s": send_s,
                "journal": read_agents(running.folder),
            }
        )


def _kill(running: Demo, child: str) -> Stop:
    killed, victim = time.time(), running.child(child)
    os.kill(victim, signal.SIGKILL)

    def is_back() -> bool:
        answer = running.client.get(f"{running.url}/readyz")
        age_s = answer.json()["worker_beat_age_s"]
        is_fresh = age_s is not None and time.time() - age_s > killed
        return answer.status_code == 200 and is_fresh and _child(running, child) not in (None, victim)

    wait_for(is_back, 60, every_s=0.1)
    return Stop(child, killed, time.time(), killed)


async def _read_stored(running: Demo) -> dict[str, Any]:
    """Read from the database what REST does not serve: receipts and measurements."""
    connection = await asyncpg.connect(Cluster(running.folder).url.replace("+asyncpg", ""))
    try:
        receipts: dict[str, dict[str, list[list[int]]]] = defaultdict(dict)
        for row in await connection.fetch(RECEIPTS):
            receipts[row["code"]][row["boot"]] = [[interval.lower, interval.upper] for interval in row["seen"]]
        rows: dict[str, list[float]] = defaultdict(list)
        for row in await connection.fetch(ROWS):
            rows[row["code"]].append(row["slot"])
        return {"receipts": receipts, "rows": rows, "left": await connection.fetchval(LEFT)}
    finally:
        await connection.close()


def report(record: dict[str, Any]) -> bool:
    facts, account = Facts.read(record), Account.read(record["journal"])
    receipts = {(site, boot): ranges for site, boots in record["receipts"].items() for boot, ranges in boots.items()}
    for name in account.lost - account.acknowledged:
        facts.sites[name[0]].lost.append(account.measured[name])
    inbox = Verdict("inbox empty")
    inbox.expect(record["left"] == 0, f"{record['left']} pushes were never processed")
    return print_verdicts(
        [
            readings.arrived(account),
            readings.received(account, receipts),
            readings.stored(account, receipts, record["rows"]),
            inbox,
            *(check(facts) for check in push_checks.CHECKS),
            seconds.seconds(facts),
        ]
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.push_truth_run")
    parser.add_argument("--agents", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the run's data, logs and facts here")
    parser.add_argument("--again", type=Path, metavar="FOLDER", help="check the facts of an earlier run kept there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
