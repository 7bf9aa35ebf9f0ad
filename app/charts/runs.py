"""Runs: stretches of one state that follow each other without a gap over a whole period."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

NO_EVIDENCE = "unknown"
WORST_FIRST = ("down", "unreachable", "degraded", "unknown", "maintenance", "up", "inactive")


class StateRun(NamedTuple):
    start: datetime
    end: datetime
    state: str

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()


def read_runs(items: Iterable[dict[str, Any]]) -> list[StateRun]:
    """Return the runs of `GET /sites/{id}/segments`."""
    return [
        StateRun(datetime.fromisoformat(item["started_at"]), datetime.fromisoformat(item["ended_at"]), item["state"])
        for item in items
    ]


def cover(runs: Iterable[StateRun], start: datetime, end: datetime, *, gap: str = NO_EVIDENCE) -> list[StateRun]:
    """Return runs that cover start to end exactly: cut to it, neighbours of one state merged, gaps filled with `gap`.

    Where two overlap, the earlier one holds until its end.
    """
    covered: list[StateRun] = []
    for run in _without_gaps(sorted(runs), start, end, gap):
        if covered and covered[-1].state == run.state:
            covered[-1] = covered[-1]._replace(end=run.end)
        else:
            covered.append(run)
    return covered


def _without_gaps(runs: Iterable[StateRun], start: datetime, end: datetime, gap: str) -> Iterator[StateRun]:
    reached = start
    for run in runs:
        begin, until = max(run.start, reached), min(run.end, end)
        if begin >= until:
            continue
        if begin > reached:
            yield StateRun(reached, begin, gap)
        yield StateRun(begin, until, run.state)
        reached = until
    if reached < end:
        yield StateRun(reached, end, gap)


def seconds_by_state(runs: Iterable[StateRun]) -> dict[str, float]:
    """Return the seconds of each state that occurs, the worst first."""
    sums: dict[str, float] = {}
    for run in runs:
        sums[run.state] = sums.get(run.state, 0) + run.seconds
    return {state: sums[state] for state in sorted(sums, key=severity)}


def severity(state: str) -> int:
    """Return 0 for the worst state."""
    return WORST_FIRST.index(state) if state in WORST_FIRST else len(WORST_FIRST)


class Bucket(NamedTuple):
    """An equal part of a period, and how long each state lasted in it."""

    start: datetime
    end: datetime
    seconds: dict[str, float]  # the worst first

    @property
    def worst(self) -> str:
        return next(iter(self.seconds))


def bucketed(runs: Sequence[StateRun], count: int) -> list[Bucket]:
    """Cut runs that follow each other into `count` equal parts of their whole."""
    start, step = runs[0].start, (runs[-1].end - runs[0].start) / count
    edges = [*(start + step * part for part in range(count)), runs[-1].end]
    buckets, first = [], 0
    for begin, until in pairwise(edges):
        while runs[first].end <= begin:
            first += 1
        parts, index = [], first
        while index < len(runs) and runs[index].start < until:
            run = runs[index]
            parts.append(StateRun(max(run.start, begin), min(run.end, until), run.state))
            index += 1
        buckets.append(Bucket(begin, until, seconds_by_state(parts)))
    return buckets
