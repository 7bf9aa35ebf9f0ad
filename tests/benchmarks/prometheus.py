"""A Prometheus over the whole lively demo for three minutes: is what it counts what the service says, at each scrape?

The summary is read all the while. A scrape is compared where the summary was the same before and after it.
"""

import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tests.support.demo_process import Demo, cpu_s, demo
from tests.support.prometheus_server import Counts, Prometheus, counted, scraping

MINUTES, SCRAPE_S, LOOK_S = 3, 5, 0.5
JOB = '{job="sinyal-sites"}'


class Look(NamedTuple):
    asked: float
    answered: float
    counts: Counts


def main() -> None:
    if shutil.which("prometheus") is None:
        raise SystemExit("prometheus is needed: apt-get install prometheus")
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as parent, demo(Path(parent, "data")) as running:
        time.sleep(60)  # until every site has been seen
        with scraping(running, Path(parent, "config"), every_s=SCRAPE_S) as prometheus:
            spent = cpu_s(running.child("api"))
            looks = _look(running, MINUTES * 60)
            spent = cpu_s(running.child("api")) - spent
            _report(prometheus, looks)
        size = len(running.client.get(f"{running.url}/metrics/sites").content)
        print(
            f"{len(running.sites())} sites and nodes, {size:,} bytes; api CPU {spent / MINUTES:.2f} s a minute, "
            f"with {1 / LOOK_S:g} summaries a second"
        )


def _look(running: Demo, seconds: float) -> list[Look]:
    looks, until = [], time.time() + seconds
    while (asked := time.time()) < until:
        counts = counted(running.get("/status/summary"))
        looks.append(Look(asked, time.time(), counts))
        time.sleep(LOOK_S)
    return looks


def _report(prometheus: Prometheus, looks: Sequence[Look]) -> None:
    within = f"{MINUTES * 60}s"
    ups = prometheus.ask(f"up[{within}]")
    for series in ups:
        values = [float(value) for _, value in series["values"]]
        print(f"{series['metric']['job']:<14} up in {sum(values):.0f} of {len(values)} scrapes")
    took = [float(value) for _, value in prometheus.ask(f"scrape_duration_seconds{JOB}[{within}]")[0]["values"]]
    print(f"a scrape of every site took {1000 * statistics.median(took):.0f} ms, at most {1000 * max(took):.0f} ms")
    (sites,) = [series for series in ups if series["metric"]["job"] == "sinyal-sites"]
    moments = [float(moment) for moment, _ in sites["values"]]
    compared = {at: counts for at in moments if (counts := _stood(looks, at, max(took)))}
    wrong = [at for at, counts in compared.items() if prometheus.counts(at=at) != counts]
    changes = sum(before.counts != after.counts for before, after in pairwise(looks))
    print(
        f"{len(moments)} scrapes, {len(compared)} of them where the summary stood still ({changes} changes between), "
        f"{len(wrong)} of these count otherwise (limit 0)"
    )
    share = prometheus.values("all:sinyal_sites_up:ratio"), prometheus.values("all:sinyal_sites_known:ratio")
    print(f"share of sites up now: {share[0][()]:.4f}, known: {share[1][()]:.4f}")
    if wrong or len(compared) < len(moments) / 3 or any(value != "1" for s in ups for _, value in s["values"]):
        raise SystemExit("Prometheus does not count what the service says, or could not")


def _stood(looks: Sequence[Look], at: float, took: float) -> Counts | None:
    """What the summary said, if the same from before the scrape until after it."""
    before = [look for look in looks if look.answered < at]
    after = [look for look in looks if look.asked > at + took]
    if not before or not after or before[-1].counts != after[0].counts:
        return None
    return after[0].counts


if __name__ == "__main__":
    main()
