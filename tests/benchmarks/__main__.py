"""`make bench`: run all benchmarks, one after the other. `ARGS="echo ledger"` selects some."""

import sys

from tests.benchmarks import (
    agents,
    alerts,
    availability,
    breaks,
    budget,
    cached_responses,
    compliance,
    cuts,
    deliveries,
    demo,
    detection,
    echo,
    faults,
    held_streams,
    history,
    importing,
    ingest,
    kills,
    packs,
    pages,
    polling,
    prober,
    prometheus,
    public_page,
    push_bytes,
    push_inbox,
    reports,
    returning,
    rollups,
    scale,
    segments,
    sla,
    snapshot,
    streams,
    throughput,
    truth_run,
    viewers,
    visit,
    visitors,
)

PARTS = {
    "agents": agents.main,
    "echo": echo.main,
    "cost": demo.cost,
    "field": demo.field,
    "scale": scale.main,
    "truth": truth_run.main,
    "detection": detection.main,
    "cuts": cuts.main,
    "segments": segments.main,
    "reports": reports.main,
    "intake": push_inbox.main,
    "prober": prober.main,
    "deliveries": deliveries.main,
    "return": returning.main,
    "rollups": rollups.main,
    "availability": availability.main,
    "history": history.main,
    "packs": packs.main,
    "polling": polling.main,
    "repeated": cached_responses.main,
    "public": public_page.main,
    "sla": sla.main,
    "compliance": compliance.main,
    "snapshot": snapshot.main,
    "prometheus": prometheus.main,
    "streams": streams.main,
    "import": importing.main,
    "ingest": ingest.main,
    "breaks": breaks.main,
    "bytes": push_bytes.main,
    "held": held_streams.main,
    "throughput": throughput.main,
    "budget": budget.main,
    "faults": faults.main,
    "kills": kills.main,
    "alerts": alerts.main,
    "pages": pages.main,
    "viewers": viewers.main,
    "visit": visit.main,
    "visitors": visitors.main,
}


def main() -> None:
    for name in sys.argv[1:] or PARTS:
        print(f"\n== {name}", flush=True)
        sys.argv[1:] = []
        PARTS[name]()


main()
