"""`make attack`: the requests that once stopped the service, thirty at once, while a demo runs. `ARGS=NAME …` selects.

Loopback only, a few seconds each. The service is watched meanwhile: how fast `/healthz` of API and ingest answers, what
each process holds, whether devices' pushes are accepted, and whether outages that only silence shows are recorded.
Ends with 1 if a limit is broken.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

from app.settings import ROOT
from tests.attack.attacks import ATTACKS
from tests.attack.observers import Devices, MemoryWatch
from tests.support.demo_process import Demo, demo, wait_for

HEALTH_P99_S, MEMORY_MB = 0.5, 600
SECONDS, SLOW = 10.0, {"silent_connections": 25.0, "slow_body": 75.0, "long_request_line": 15.0}
INTERVAL_S, OUTAGE_S, EVERY_S = 10, 60, 20
SETTLE_S = 45.0
PUSHING = ("leo", "geo", "cellular")
DISTRICT = "64.02"
SITE = {"village_code": "64.02.05.2003", "technology": "leo", "provider": "telkomsat-starlink", "probe": "push"}


@dataclass(frozen=True)
class Outcome:
    name: str
    answers: Counter[str]
    health_s: list[float]
    memory_mb: float

    @property
    def health_p99_s(self) -> float:
        ordered = sorted(self.health_s)
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]

    @property
    def problems(self) -> list[str]:
        errors = sum(n for status, n in self.answers.items() if re.fullmatch(r"5\d\d", status) and status != "503")
        found = {
            f"{errors} answers were 5xx": errors > 0,
            f"/healthz p99 {self.health_p99_s:.2f} s": self.health_p99_s >= HEALTH_P99_S,
            f"a process held {self.memory_mb:.0f} MB": self.memory_mb > MEMORY_MB,
        }
        return [problem for problem, holds in found.items() if holds]


def main() -> None:
    names = sys.argv[1:] or list(ATTACKS)
    with (
        tempfile.TemporaryDirectory(prefix="sinyal-attack-") as folder,
        demo(Path(folder, "data"), script(names)) as running,
    ):
        problems = attack_all(running, names)
    print("\n" + ("\n".join(f"FAILED: {problem}" for problem in problems) or "every limit held"))
    sys.exit(1 if problems else 0)


def script(names: Sequence[str]) -> str:
    """Return a script in which some of the sites that push are out, all the time that attacks last."""
    lasts_s = SETTLE_S + sum(SLOW.get(name, SECONDS) + 10 for name in names)
    head = f"seed = 1\nsites = 300\ninterval_s = {INTERVAL_S}\nagents = true\n"
    return head + "".join(
        f'[[event]]\nkind = "outage"\nstart_s = {start}\nduration_s = {OUTAGE_S}\n'
        f'select = {{ technology = "{technology}", fraction = 0.05 }}\n'
        for start, technology in zip(range(int(SETTLE_S), int(lasts_s), EVERY_S), cycle(PUSHING), strict=False)
    )


def attack_all(running: Demo, names: Sequence[str]) -> list[str]:
    admin = _make_token(running)
    tokens = [_register_device(running, number) for number in range(8)]
    time.sleep(SETTLE_S)
    problems: list[str] = []
    print(f"{'attack':<22}{'/healthz p50':>13}{'p99':>8}{'max':>8}{'MB':>6}  answers", flush=True)
    began = _now(running)
    with Devices(running.ingest_url, tokens[1:], INTERVAL_S / 2) as devices:
        for name in names:
            wait_for(lambda: running.client.get(f"{running.url}/healthz").status_code == 200, 120)
            outcome = attack(running, name, admin, tokens[0])
            report(outcome)
            problems += [f"{name}: {problem}" for problem in outcome.problems]
    ended = _now(running)
    time.sleep(OUTAGE_S)
    print(f"pushes of {len(tokens) - 1} devices: {devices.sent}, refused {len(devices.refused)} {devices.refused[:3]}")
    if devices.refused:
        problems.append(f"{len(devices.refused)} pushes were refused")
    return problems + missed_silences(running, began, ended)


def attack(running: Demo, name: str, admin: str, device_token: str) -> Outcome:
    seconds = SLOW.get(name, SECONDS)
    ports = [url.rpartition(":")[2] for url in (running.url, running.ingest_url)]
    options = {
        "port": int(ports[0]),
        "push_port": int(ports[1]),
        "token": admin,
        "device_token": device_token,
        "seconds": seconds,
    }
    attacker = _start("tests.attack.attacks", name)
    assert attacker.stdout is not None
    assert attacker.stdin is not None
    attacker.stdout.readline()
    with MemoryWatch(running.process.pid) as memory:
        polling = _start("tests.attack.observers", *ports, str(seconds))
        attacker.stdin.write(json.dumps(options) + "\n")
        attacker.stdin.flush()
        answers = Counter(json.loads(attacker.communicate(timeout=seconds + 120)[0]))
        durations = json.loads(polling.communicate(timeout=60)[0])
    return Outcome(name, answers, durations, max(memory.most.values()))


def report(outcome: Outcome) -> None:
    ordered = sorted(outcome.health_s)
    answers = ", ".join(f"{answer}: {count}" for answer, count in outcome.answers.most_common(6))
    print(
        f"{outcome.name:<22}{ordered[len(ordered) // 2]:>11.3f} s{outcome.health_p99_s:>6.2f} s{ordered[-1]:>6.2f} s"
        f"{outcome.memory_mb:>6.0f}  {answers}",
        flush=True,
    )


def missed_silences(running: Demo, began: datetime, ended: datetime) -> list[str]:
    """Return the scripted outages of push sites that no incident records. One selected attack is too short for any."""
    pushing = {site["code"] for site in _all(running, "/sites") if site["probe"] == "push"}
    incidents = _all(running, "/incidents", **{"from": (began - timedelta(minutes=10)).isoformat()})
    recorded = [(item["code"], incident) for incident in incidents for item in incident["sites"]]
    outages = [
        (code, datetime.fromisoformat(event["started_at"]), datetime.fromisoformat(event["ended_at"]))
        for event in running.truth()
        if event["kind"] == "outage" and event["ended_at"] is not None
        for code in event["sites"]
        if code in pushing
    ]
    shows_after = timedelta(seconds=4 * INTERVAL_S)
    during = [outage for outage in outages if outage[2] > began + shows_after and outage[1] < ended - shows_after]
    missed = [outage for outage in during if not any(_covers(outage, *record) for record in recorded)]
    print(f"outages that only missing pushes show: {len(during)}, not recorded: {len(missed)}")
    problems = [f"no incident for {code} from {start} to {end}" for code, start, end in missed[:5]]
    if not during and ended - began > 2 * shows_after + timedelta(seconds=OUTAGE_S):
        problems.append("no push site was out while the attacks lasted")
    return problems


def _covers(outage: tuple[str, datetime, datetime], code: str, incident: dict[str, Any]) -> bool:
    started = datetime.fromisoformat(incident["started_at"])
    ended = datetime.fromisoformat(incident["ended_at"]) if incident["ended_at"] else datetime.max.replace(tzinfo=UTC)
    return code == outage[0] and started < outage[2] and ended > outage[1] and incident["status"] != "withdrawn"


def _all(running: Demo, path: str, **params: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = running.get(path, limit=1000, **params, **({"cursor": cursor} if cursor else {}))
        items += page["items"]
        if (cursor := page["next_cursor"]) is None:
            return items


def _make_token(running: Demo) -> str:
    body = {"name": "clerk", "role": "district_admin", "region_code": DISTRICT}
    made = running.client.post("/tokens", json=body)
    made.raise_for_status()
    return str(made.json()["token"])


def _register_device(running: Demo, number: int) -> str:
    site = running.client.post("/sites", json={**SITE, "name": f"Attack {number}"})
    site.raise_for_status()
    agent = running.client.post(f"/sites/{site.json()['id']}/agent", params={"kind": "own"})
    agent.raise_for_status()
    return agent.text.strip()


def _now(running: Demo) -> datetime:
    return datetime.fromisoformat(running.get("/status")["generated_at"])


def _start(module: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


if __name__ == "__main__":
    main()
