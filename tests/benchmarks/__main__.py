"""`make bench`: everything measured, one part after the other. `ARGS="echo cost truth availability"` picks some."""

import sys

from tests.benchmarks import availability, demo, detection, echo

PARTS = {"echo": echo.main, "cost": demo.cost, "truth": demo.truth, "detection": detection.main,
         "availability": availability.main}  # fmt: skip


def main() -> None:
    for name in sys.argv[1:] or PARTS:
        print(f"\n== {name}", flush=True)
        sys.argv[1:] = []
        PARTS[name]()


main()
