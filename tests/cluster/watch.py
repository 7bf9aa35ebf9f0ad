"""What is true of the cluster from one second to the next, looked at beside everything that it serves."""

import asyncio
import threading
import time
from dataclasses import dataclass, field

from app.postgres.engine import CONNECTION_ERRORS
from tests.cluster.cluster import Cluster
from tests.cluster.villages import fetch

EVERY_S = 0.5
# What the worker read, with its beat; what probers delivered, with the status of the sites that only they look at.
JUDGED = """
    SELECT extract(epoch FROM least(
        (SELECT max(beat_at) FROM worker_beat WHERE source = 'central'),
        (SELECT max(i.seen_at) FROM site_status i JOIN site s ON s.id = i.site_id WHERE s.vantages[1] > 0)
    ))::float8
"""


@dataclass(frozen=True, slots=True)
class Look:
    at: float
    judged_at: float  # of the newest judgement known by then


@dataclass
class Watch(threading.Thread):
    """Notes when judging went on."""

    cluster: Cluster
    looks: list[Look] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True, name="watch")
        self._ends = threading.Event()

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        newest = time.time()
        while not self._ends.wait(EVERY_S):
            judged_at = self._judged_at()
            newest = max(newest, judged_at or 0.0)
            self.looks.append(Look(time.time(), newest))

    def longest_gap_s(self, start: float, end: float) -> float:
        """Return for how long judging stood still, at most, in this time."""
        return max(look.at - look.judged_at for look in self.looks if start <= look.at < end)

    def end(self) -> None:
        self._ends.set()
        self.join(10)

    def _judged_at(self) -> float | None:
        try:
            rows = asyncio.run(fetch(self.cluster.database_url(), JUDGED))
        except (AssertionError, *CONNECTION_ERRORS):
            return None
        return rows[0][0] if rows else None
