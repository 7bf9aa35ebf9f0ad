"""`make bench`: everything measured, one part after the other. `ARGS="echo ledger"` picks some."""

import sys

from tests.benchmarks import (
    availability,
    budget,
    demo,
    detection,
    echo,
    faults,
    history,
    importing,
    ingest,
    intake,
    polling,
    pushrun,
    repeated,
    rollups,
    scraped,
    segments,
    snapshot,
    streams,
    throughput,
    truthrun,
)

PARTS = {
    "echo": echo.main,
    "cost": demo.cost,
    "field": demo.field,
    "truth": demo.truth,
    "detection": detection.main,
    "ledger": truthrun.main,
    "push": pushrun.main,
    "segments": segments.main,
    "intake": intake.main,
    "rollups": rollups.main,
    "availability": availability.main,
    "history": history.main,
    "polling": polling.main,
    "repeated": repeated.main,
    "snapshot": snapshot.main,
    "prometheus": scraped.main,
    "streams": streams.main,
    "import": importing.main,
    "ingest": ingest.main,
    "throughput": throughput.main,
    "budget": budget.main,
    "faults": faults.main,
}


def main() -> None:
    for name in sys.argv[1:] or PARTS:
        print(f"\n== {name}", flush=True)
        sys.argv[1:] = []
        PARTS[name]()


main()
