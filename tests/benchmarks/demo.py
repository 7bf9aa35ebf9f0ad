"""CPU and memory of the whole demo, and its accuracy: coverage and round trips against the script.

python -m tests.benchmarks.demo [cost|field|truth]
"""

import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.demo_process import Demo, cpu_s, demo, processes_below, resident_mb

ZABBIX_S = 0.82  # CPU seconds a minute that Zabbix 7.0 took for the same job (docs/adr/0001)
RTT_MS = {"fiber": 25.0, "cellular": 60.0, "leo": 40.0, "geo": 600.0}


def cost() -> None:
    """Measure the cost without agents, as every other system was measured."""
    _cost("lively = true\n")


def field() -> None:
    """Measure the cost with agents at the sites behind carrier NAT; the agents' own cost is shown apart."""
    _cost(None)


def _cost(script: str | None) -> None:
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as parent, demo(Path(parent, "data"), script) as running:
        ready = time.monotonic()
        while (share := _known(running)) < 0.99 and time.monotonic() - ready < 120:
            time.sleep(1)
        print(f"sites {len(running.sites())}, {share:.1%} known {time.monotonic() - ready:.0f} s after ready")
        time.sleep(max(0.0, 90 - (time.monotonic() - ready)))
        pids = {name: running.child(name) for name in ("worker", "api", "database")}
        if script is None:
            pids["agents"] = processes_below(running.child("simulator"))[-1]
        minutes = [_minute(pids) for _ in range(3)]
        print(f"{'CPU s a minute':<18}" + "".join(f"{name:>10}" for name in pids) + f"{'total':>10}")
        for minute in minutes:
            print(f"{'':<18}" + "".join(f"{minute[n]:>10.2f}" for n in pids) + f"{sum(minute.values()):>10.2f}")
        pids.pop("agents", None)
        median = statistics.median(sum(minute[name] for name in pids) for minute in minutes)
        print(f"median {median:.2f} s a minute: {median / ZABBIX_S:.2f} of Zabbix's {ZABBIX_S} s")
        print(f"worker memory {resident_mb(pids['worker']):.0f} MB, api {resident_mb(pids['api']):.0f} MB")
        print(f"orderly shutdown: {running.stop():.1f} s")


def _known(running: Demo) -> float:
    states = Counter(site["state"] for site in running.sites().values())
    return 1 - states["unknown"] / max(1, states.total())


def _minute(pids: dict[str, int]) -> dict[str, float]:
    before = {name: cpu_s(pid) for name, pid in pids.items()}
    time.sleep(60)
    return {name: cpu_s(pid) - before[name] for name, pid in pids.items()}


def truth(minutes: float = 5) -> None:
    exact = [f"[technology.{name}]\nrtt_ms = {rtt}\njitter_ms = 0\nloss_pct = 0\n" for name, rtt in RTT_MS.items()]
    script = "seed = 1\ninterval_s = 20\n" + "".join(exact)
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as parent, demo(Path(parent, "data"), script) as running:
        time.sleep(minutes * 60)
        errors: dict[str, list[float]] = {technology: [] for technology in RTT_MS}
        sent = received = 0
        for site in running.sites().values():
            for reading in _readings(running, site["id"]):
                if reading["outcome"] == "fault":
                    continue
                sent, received = sent + reading["sent"], received + reading["received"]
                errors[site["technology"]] += [abs(rtt - RTT_MS[site["technology"]]) for rtt in reading["rtt_ms"]]
        print(f"{'|measured - scripted| ms':<26}{'packets':>9}{'median':>9}{'p99':>9}{'max':>9}")
        for technology, differences in errors.items():
            differences.sort()
            p99 = differences[int(len(differences) * 0.99)]
            print(
                f"{technology:<26}{len(differences):>9}{statistics.median(differences):>9.3f}{p99:>9.3f}{differences[-1]:>9.3f}"
            )
        print(f"false loss: {sent - received} of {sent} packets")


def _readings(running: Demo, site: int) -> list[Any]:
    return list(running.get(f"/sites/{site}/measurements", limit=1000, period="1h")["items"])


PARTS = {"cost": cost, "field": field, "truth": truth}


def main() -> None:
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
