"""CPU and memory of the whole demo.

python -m tests.benchmarks.demo [cost|field]
"""

import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.support.demo_process import Demo, cpu_s, demo, processes_below, resident_mb

ZABBIX_S = 0.82  # CPU seconds a minute that Zabbix 7.0 took for the same job (docs/adr/0001)


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
        pids = {name: running.child(name) for name in ("worker", "api", "ingest", "courier", "database")}
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


PARTS = {"cost": cost, "field": field}


def main() -> None:
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
