"""The return of all agents after an outage of ours: each brings 500 rows, and the service goes on telling the truth.

SITES=2000 ROWS=500 MINUTES=6 WITHIN_S=120 VIA=ingest python -m tests.benchmarks.returning. VIA=api: devices that know
only its address; WITHIN_S: the pause after which the last one comes. A few devices stay away for good: their silence
must count in the end, and that of nobody else at any moment. Exits with 1 if a limit is missed.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from app.agents import scripts
from app.settings import ROOT
from tests.benchmarks.returning_past import AWAY, prepare
from tests.benchmarks.scale import print_log
from tests.benchmarks.scale_service import Service, service
from tests.support.demo_process import resident_mb, wait_for

STATUS_LIMIT_S, POLLS_PER_S = 0.5, 4
WAITING = "SELECT count(*), coalesce(sum(octet_length(rows)), 0) FROM push_inbox"
STATES = "SELECT state, count(*) FROM site_status WHERE site_id > $1 GROUP BY 1"
FOUND = "SELECT count(*) FROM site_status WHERE site_id <= $1 AND state IN ('down', 'unreachable')"
UNTRUE = """
    SELECT site_id, state, started_at, ended_at FROM state_segment
    WHERE state IN ('down', 'unreachable') AND site_id > $1
"""
CLAIMED = "SELECT count(*), sum(extract(epoch FROM ended_at - started_at))::float FROM claim WHERE site_id > $1"


@dataclass
class Dashboards(threading.Thread):
    """Polls of the status, as dashboards send them: how long each takes, and what each says."""

    url: str
    token: str
    durations_s: list[float] = field(default_factory=list)
    states: list[tuple[float, Counter[str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._over = threading.Event()

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}", "Accept-Encoding": "gzip"}
        with httpx.Client(headers=headers, trust_env=False, timeout=60) as client:
            etag, read_at, due = "", 0.0, time.monotonic()
            while not self._over.wait(max(0.0, due - time.monotonic())):
                began = time.monotonic()
                with client.stream("GET", self.url, headers={"If-None-Match": etag}) as answer:
                    body = b"".join(answer.iter_bytes())
                self.durations_s.append(time.monotonic() - began)
                etag = answer.headers.get("etag", etag)
                if answer.status_code == 200 and began - read_at >= 2:
                    read_at = began
                    self.states.append((time.time(), Counter(site["state"] for site in json.loads(body)["sites"])))
                due = max(due + 1 / POLLS_PER_S, time.monotonic())

    def end(self) -> None:
        self._over.set()
        self.join(90)


def main() -> None:
    sites, rows = int(os.environ.get("SITES", "2000")), int(os.environ.get("ROWS", "500"))
    minutes = float(os.environ.get("MINUTES", "6"))
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as parent:
        folder, began = Path(parent, "data"), time.time()
        stopped = began - 60 * rows
        token = prepare(folder, sites + AWAY, datetime.fromtimestamp(stopped, UTC))
        print(f"{sites:,} sites were up until {rows} minutes ago, prepared in {time.time() - began:.0f} s", flush=True)
        with service(folder, SINYAL_PUSH__BURST="60") as running:
            failed = _measure(running, token, sites, rows, stopped, minutes)
        print_log(folder.with_suffix(".log"))
    if failed:
        raise SystemExit(f"MISSED  {', '.join(failed)}")


def _measure(running: Service, token: str, sites: int, rows: int, stopped: float, minutes: float) -> list[str]:
    began = time.time()
    dashboards = Dashboards(f"{running.url}/api/v1/status", token)
    dashboards.start()
    url = running.url if os.environ.get("VIA") == "api" else running.ingest_url
    options: dict[str, Any] = {"port": int(url.rpartition(":")[2]), "stopped": stopped, "rows": rows}
    options["within_s"] = float(os.environ.get("WITHIN_S", "120"))
    options |= {"until": began + 60 * minutes, "version": str(scripts.VERSION)}
    options["sites"] = list(range(AWAY + 1, AWAY + sites + 1))
    command = [sys.executable, "-m", "tests.benchmarks.returning_agents"]
    with tempfile.TemporaryFile("w+") as output:
        agents = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=output, text=True)
        try:
            assert agents.stdin is not None
            agents.stdin.write(json.dumps(options))
            agents.stdin.close()
            watched = _watch(running, agents, began)
        finally:
            agents.kill()
            agents.wait()
        output.seek(0)
        result = json.load(output)
    dashboards.end()
    wait_for(lambda: running.query(WAITING)[0][0] == 0, 600, every_s=2)
    return _report(running, dashboards, result, watched, rows, sites, began)


def _watch(running: Service, agents: "subprocess.Popen[str]", began: float) -> dict[str, float]:
    most = dict.fromkeys(("worker", "ingest", "api"), 0.0) | {"waiting": 0.0, "drained": 0.0, "found": 0.0}
    while agents.poll() is None:
        time.sleep(5)
        waiting, size = running.query(WAITING)[0]
        states = dict(running.query(STATES, AWAY))
        for name in ("worker", "ingest", "api"):
            most[name] = max(most[name], resident_mb(running.child(name)))
        most["waiting"] = max(most["waiting"], size)
        if waiting:
            most["drained"] = time.time() - began
        if not most["found"] and running.query(FOUND, AWAY)[0][0] == AWAY:
            most["found"] = time.time() - began
        figures = running.figures()
        print(
            f"{time.time() - began:5.0f} s  inbox {waiting:>6,} pushes {size / 1e6:6.1f} MB, latency "
            f"{figures.get('inbox_age_seconds', 0):.0f} s, {dict(sorted(states.items()))}, beats "
            f"{figures.get('own_beats_heard', 0)} of {figures.get('own_beats_sent', 0)}, silences "
            f"{figures.get('silences', 0)}",
            flush=True,
        )
    return most


def _report(
    running: Service,
    dashboards: Dashboards,
    result: dict[str, Any],
    watched: dict[str, float],
    rows: int,
    sites: int,
    began: float,
) -> list[str]:
    durations_s, answers = sorted(dashboards.durations_s), Counter(result["statuses"])
    returned_s = sorted(at - began for at in result["returned_at"].values())
    p99_s = durations_s[len(durations_s) * 99 // 100]
    down = max((states["down"] + states["unreachable"] - AWAY for _, states in dashboards.states), default=0)
    untrue = running.query(UNTRUE, AWAY)
    claims = running.query(CLAIMED, AWAY)[0]
    accepted = Counter(result["accepted"]).total()
    used = {name: round(value, 1) for name, value in running.cpu_s().items()}
    print(f"answers {dict(answers)}, rejected {result['rejected']}, duplicates {result['duplicates']}")
    print(
        f"{len(returned_s)} of {sites} returned, the last after {returned_s[-1] if returned_s else 0:.0f} s; "
        f"{accepted:,} rows accepted; a push is answered within {result['push_p99_s']:.2f} s (p99)"
    )
    print(f"inbox at most {watched['waiting'] / 1e6:.1f} MB, empty after {watched['drained']:.0f} s")
    print(f"claims {claims[0]:,}: {(claims[1] or 0) / sites / 60:.1f} minutes a site")
    memory = ", ".join(f"{name} {watched[name]:.0f}" for name in ("worker", "ingest", "api"))
    print(f"most MB: {memory}; CPU s {used}")
    p50_ms = durations_s[len(durations_s) // 2] * 1e3
    print(
        f"/status: p50 {p50_ms:.0f} ms, p99 {p99_s:.2f} s, most {durations_s[-1]:.2f} (limit {STATUS_LIMIT_S}) "
        f"of {len(durations_s)}"
    )
    print(
        f"healthy sites down: {len(untrue)}, shown at most {max(0, down)}; "
        f"the {AWAY} that stay away were found after {watched['found']:.0f} s"
    )
    for row in untrue[:5]:
        print(f"    {dict(row)}")
    found = {
        "not all returned": len(returned_s) < sites,
        "rows were rejected": result["rejected"],
        "healthy sites were down": untrue,
        "what stays away is not down": not watched["found"],
        f"/status p99 {p99_s:.2f} s": p99_s > STATUS_LIMIT_S,
        "claims of another length": abs((claims[1] or 0) / sites - 60 * rows) > 120,
    }
    return [text for text, wrong in found.items() if wrong]


if __name__ == "__main__":
    main()
