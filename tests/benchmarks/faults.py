"""Each part of a demo fails in its turn under polling: how soon the status is well again, and that none was stale."""

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
            took = [fail(running, 30) for _ in range(ROUNDS)]
            print(f"{fail.__name__.replace('_', ' '):<24} well again after {max(took):.1f} s at most (limit {LIMIT_S})")
    stale = [row for dashboard in dashboards for row in dashboard.stale]
    answered, asked = (sum(getattr(one, name) for one in dashboards) for name in ("answered", "asked"))
    print(f"rows shown as up on evidence of more than 2.5 intervals: {len(stale)} {stale[:5]}")
    print(f"polls: {asked}, answered {answered}")


if __name__ == "__main__":
    main()
