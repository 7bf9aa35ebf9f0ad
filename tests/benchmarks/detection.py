"""How soon an outage and its end are detected at the 60 s interval, and how soon a new site is probed.

The hosts' slots are spread over the whole interval, so that chance plays no part.
"""

import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.demo_process import Demo, demo

OUTAGE_FROM_S, OUTAGE_S = 100, 150
SCRIPT = f"""
seed = 5
sites = 300
[technology.cellular]
loss_pct = 0
[technology.leo]
loss_pct = 0
[[event]]
kind = "outage"
start_s = {OUTAGE_FROM_S}
duration_s = {OUTAGE_S}
select = {{ fraction = 0.4 }}
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as parent, demo(Path(parent, "data"), SCRIPT) as running:
        print(f"a site registered over REST was probed after {_registered(running):.1f} s (at most 70)")
        outage = _wait_for_event(running, ended=False)
        began, stricken = _moment(outage["started_at"]), set(outage["sites"])
        downs = _watch(running, stricken, "down", OUTAGE_S)
        ended = _moment(_wait_for_event(running, ended=True)["ended_at"])
        ups = _watch(running, stricken, "up", 60)
        print(f"{len(stricken)} sites out: down detected after {_spread(downs, began)} s (at most 90)")
        print(f"up detected after {_spread(ups, ended)} s (at most 20)")
        starts = [_down_start(running, code) - began for code in stricken]
        print(
            f"recorded start - outage: {min(starts):.1f} to {max(starts):.1f} s; seen: {len(downs)} of {len(stricken)}"
        )
        others = [code for code in running.sites() if code not in stricken]
        seconds = sum(running.get(f"/sites/{code}/uptime")["total"]["seconds"]["down"] for code in others)
        print(f"down seconds of the other {len(others)} sites: {seconds}")


def _registered(running: Demo) -> float:
    body = {
        "village_code": "64.02.05.2003",
        "technology": "fiber",
        "provider": "iconplus",
        "probe": "icmp",
        "host": "127.99.1.1",
    }
    made, started = running.client.post("/sites", json=body).json(), time.monotonic()
    while not running.get(f"/sites/{made['id']}/measurements")["items"]:
        time.sleep(0.2)
    return time.monotonic() - started


def _wait_for_event(running: Demo, *, ended: bool) -> dict[str, Any]:
    while True:
        lines = [line for line in running.truth() if (line["ended_at"] is not None) == ended]
        if lines:
            return lines[-1]
        time.sleep(0.2)


def _watch(running: Demo, codes: set[str], state: str, for_s: float) -> dict[str, float]:
    """Return when each site was first shown in that state."""
    seen: dict[str, float] = {}
    deadline = time.monotonic() + for_s
    while len(seen) < len(codes) and time.monotonic() < deadline:
        now, sites = time.time(), running.sites()
        for code in codes - seen.keys():
            if sites[code]["state"] == state:
                seen[code] = now
        time.sleep(0.25)
    return seen


def _spread(seen: dict[str, float], since: float) -> str:
    delays = sorted(moment - since for moment in seen.values())
    return f"{delays[0]:.1f} (first), {delays[len(delays) // 2]:.1f} (median), {delays[-1]:.1f} (last)"


def _down_start(running: Demo, code: str) -> float:
    segments = running.get(f"/sites/{code}/segments", period="1h")["items"]
    return _moment(next(segment["started_at"] for segment in segments if segment["state"] == "down"))


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


if __name__ == "__main__":
    main()
