"""Play a storm: a demo, its channels and rules, kills and a receiver that hangs, until all is told."""

import os
import re
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from tests.support.demo_process import Demo, demo, wait_for
from tests.support.receivers import http_receiver, smtp_receiver
from tests.support.storm_check import StormVerdict, check, settled
from tests.support.storm_listeners import Listener, Receivers, SetUp, maintain, set_up
from tests.support.storm_plan import StormPlan

CONFIRMED_AFTER_S = 12.0  # the first look that is lost, and the second
KILLED = ("worker", "courier", "database")  # in turn


@dataclass
class Killer(threading.Thread):
    """Kills one process after another, each once it runs again."""

    running: Demo
    kills: int
    every_s: float
    random: Random = field(default_factory=lambda: Random(5))
    done: list[str] = field(default_factory=list)
    began_at: datetime | None = None

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._over = threading.Event()

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        while len(self.done) < self.kills and not self._over.wait(self.random.uniform(0.5, 1.5) * self.every_s):
            name = KILLED[len(self.done) % len(KILLED)]
            self.began_at = self.began_at or datetime.now(UTC)
            try:
                os.kill(self.running.child(name), signal.SIGKILL)
            except (AssertionError, ProcessLookupError):
                continue  # it is being started
            self.done.append(name)

    def end(self) -> None:
        self._over.set()
        self.join(30)


@dataclass
class Storm:
    """What runs, to look at while it does."""

    running: Demo
    plan: StormPlan
    listeners: Sequence[Listener]
    receivers: Receivers
    made: SetUp
    started_at: float  # on this machine's clock, when the simulator's began

    def wait_until(self, at_s: float) -> None:
        """Wait until so many seconds after the simulator's start."""
        time.sleep(max(0.0, self.started_at + at_s - time.time()))

    def wait_until_told(self, timeout_s: float) -> None:
        """Wait until the storm is over and nothing is left to be told."""
        self.wait_until(self.plan.end_s)
        wait_for(lambda: all(line["ended_at"] for line in self._last_lines()), 30, every_s=1)
        wait_for(lambda: settled(self.running), timeout_s, every_s=1)

    def check(self, *, killed_at: datetime | None = None) -> StormVerdict:
        return check(self.running, self.plan, self.listeners, self.made, self.receivers, killed_at=killed_at)

    def missed(self) -> dict[str, float]:
        """Return the worker's counters of its own faults."""
        text = self.running.client.get(f"{self.running.url}/metrics").text
        wanted = r"^sinyal_worker_(missed_slots|overruns|misfires|dropped_readings)\w* (\S+)$"
        return {name: float(value) for name, value in re.findall(wanted, text, re.MULTILINE)}

    def _last_lines(self) -> list[dict[str, object]]:
        """The newest line of each event."""
        return list({tuple(line["sites"]): line for line in self.running.truth()}.values())


@contextmanager
def storm(folder: Path, plan: StormPlan, listeners: Sequence[Listener], **environment: str) -> Iterator[Storm]:
    with http_receiver() as http, smtp_receiver() as smtp, demo(folder, plan.script, **environment) as running:
        receivers = Receivers(http, smtp)
        wait_for(lambda: start_time(running), 30)
        started_at = start_time(running)
        made = set_up(running, listeners, receivers, started_at=started_at)
        maintain(
            running,
            [member for outage in plan.outages if outage.maintained for member in outage.members],
            started_at=started_at,
            lasts=timedelta(seconds=plan.end_s + 600),
        )
        assert time.time() < started_at + plan.start_s + CONFIRMED_AFTER_S, "set up too late for the first outage"
        yield Storm(running, plan, listeners, receivers, made, started_at)


def start_time(running: Demo) -> float:
    """Return when the simulator's clock started, on this machine's; 0 before it is known."""
    log = running.folder.with_suffix(".log")
    found = re.search(r"simulator_started_at=(\S+)", log.read_text())
    return datetime.fromisoformat(found[1]).timestamp() if found else 0.0
