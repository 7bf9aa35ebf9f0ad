"""The CPU time of process trees whose members end at any moment."""

import subprocess
import sys
import time

from tests.support.demo_process import cpu_s, processes_below, resident_mb


def test_a_process_that_has_ended_costs_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as ended:
        pass
    assert (cpu_s(ended.pid), resident_mb(ended.pid), processes_below(ended.pid)) == (0.0, 0.0, [ended.pid])


def test_children_that_end_between_listing_and_reading_are_left_out() -> None:
    """As an autovacuum worker of PostgreSQL does."""
    with subprocess.Popen(["sh", "-c", "while :; do sleep 0.001 & sleep 0.001 & wait; done"]) as parent:
        try:
            until = time.monotonic() + 1.5
            while time.monotonic() < until:
                assert cpu_s(parent.pid) >= 0
        finally:
            parent.kill()
