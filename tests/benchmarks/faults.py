"""Break each part of a demo under polling: time until the status is complete again, and stale rows shown."""

import tempfile
from pathlib import Path

from tests.support.faults import FAULTS, with_dashboards

LIMIT_S, ROUNDS = 5.0, 3


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="sinyal-faults-") as folder,
        with_dashboards(Path(folder) / "data") as watching,
    ):
        running, dashboards = watching
        for fail in FAULTS:
            durations_s = [fail(running, 30) for _ in range(ROUNDS)]
            print(f"{fail.__name__.replace('_', ' '):<24} recovered within {max(durations_s):.1f} s (limit {LIMIT_S})")
    stale = [row for dashboard in dashboards for row in dashboard.stale]
    responses = sum(dashboard.responses for dashboard in dashboards)
    requests = sum(dashboard.requests for dashboard in dashboards)
    print(f"rows shown as up on evidence older than 2.5 intervals: {len(stale)} {stale[:5]}")
    print(f"polls: {requests}, with a response: {responses}")


if __name__ == "__main__":
    main()
