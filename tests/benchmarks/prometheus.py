"""Prometheus over the whole demo for three minutes: do its counts equal the summary's, at each scrape?

The summary is read twice a second. A scrape is compared where the summary was the same before and after it.
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
from tests.support.prometheus_server import Counts, Prometheus, scraping, summary_counts

MINUTES, SCRAPE_S, READ_EVERY_S = 3, 5, 0.5
JOB = '{job="sinyal-sites"}'


class SummaryReading(NamedTuple):
    requested_at: float
    answered_at: float
    counts: Counts


def main() -> None:
    if shutil.which("prometheus") is None:
        raise SystemExit("prometheus is needed: apt-get install prometheus")
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as parent, demo(Path(parent, "data")) as running:
        time.sleep(60)  # until every site has been seen
        with scraping(running, Path(parent, "config"), every_s=SCRAPE_S) as prometheus:
            spent = cpu_s(running.child("api"))
            readings = _read_summaries(running, MINUTES * 60)
            spent = cpu_s(running.child("api")) - spent
            _report(prometheus, readings)
        size = len(running.client.get(f"{running.url}/metrics/sites").content)
        print(
            f"{len(running.sites())} sites and nodes, {size:,} bytes; api CPU {spent / MINUTES:.2f} s a minute, "
            f"with {1 / READ_EVERY_S:g} summaries a second"
        )


def _read_summaries(running: Demo, seconds: float) -> list[SummaryReading]:
    readings, until = [], time.time() + seconds
    while (requested_at := time.time()) < until:
        counts = summary_counts(running.get("/status/summary"))
        readings.append(SummaryReading(requested_at, time.time(), counts))
        time.sleep(READ_EVERY_S)
    return readings


def _report(prometheus: Prometheus, readings: Sequence[SummaryReading]) -> None:
    within = f"{MINUTES * 60}s"
    ups = prometheus.query(f"up[{within}]")
    for series in ups:
        values = [float(value) for _, value in series["values"]]
        print(f"{series['metric']['job']:<14} up in {sum(values):.0f} of {len(values)} scrapes")
    took = [float(value) for _, value in prometheus.query(f"scrape_duration_seconds{JOB}[{within}]")[0]["values"]]
    print(f"a scrape of every site took {1000 * statistics.median(took):.0f} ms, at most {1000 * max(took):.0f} ms")
    (sites,) = [series for series in ups if series["metric"]["job"] == "sinyal-sites"]
    moments = [float(moment) for moment, _ in sites["values"]]
    compared = {at: counts for at in moments if (counts := _unchanged_counts(readings, at, max(took)))}
    wrong = [at for at, counts in compared.items() if prometheus.counts(at=at) != counts]
    changes = sum(before.counts != after.counts for before, after in pairwise(readings))
    print(
        f"{len(moments)} scrapes, {len(compared)} of them where the summary did not change ({changes} changes), "
        f"{len(wrong)} of these differ (limit 0)"
    )
    share = prometheus.values("all:sinyal_sites_up:ratio"), prometheus.values("all:sinyal_sites_known:ratio")
    print(f"share of sites up now: {share[0][()]:.4f}, known: {share[1][()]:.4f}")
    if wrong or len(compared) < len(moments) / 3 or any(value != "1" for s in ups for _, value in s["values"]):
        raise SystemExit("Prometheus counts differ from the summary, or too few scrapes could be compared")


def _unchanged_counts(readings: Sequence[SummaryReading], at: float, took: float) -> Counts | None:
    """Return the summary's counts if they were the same before and after the scrape."""
    before = [reading for reading in readings if reading.answered_at < at]
    after = [reading for reading in readings if reading.requested_at > at + took]
    if not before or not after or before[-1].counts != after[0].counts:
        return None
    return after[0].counts


if __name__ == "__main__":
    main()
