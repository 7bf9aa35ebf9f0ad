"""The facts of a truth run, site by site: what really happened, and what the product recorded.

`Facts.read` parses the run's record (facts.json): the lines of truth.jsonl, the kills, and responses of the REST API.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.truth.intervals import Interval, moment, union

LOOK_S = 4.0  # the packets of a reading leave over 2 s, 4 s for a confirmation; its slot is the first packet's
LATE_S = 1.0  # a reading may start this late on a busy machine, and slots are whole seconds
BEAT_S = 3.0  # a canary each 2 s, rounded outwards to whole seconds
WAIT_S = 3.0  # timeout of the last packet of a reading
UNWRITTEN_S = 10.0  # a timeout is held until a canary has answered after it, and written a second later
BAD = ("down", "unreachable")


@dataclass(frozen=True, slots=True)
class Segment:
    start: float
    end: float
    state: str
    reason: str | None = None
    last_ok: float | None = None
    first_ok: float | None = None

    @property
    def stretch(self) -> Interval:
        return Interval(self.start, self.end)


def whole(run: Sequence[Segment]) -> Interval:
    return Interval(run[0].start, run[-1].end)


@dataclass(frozen=True, slots=True)
class Stop:
    """A child of the supervisor that was killed, until the first heartbeat of its successor.

    `last` is the last kill, where successors were killed too.
    """

    child: str
    killed: float
    back: float
    last: float


@dataclass
class Site:
    code: str
    kind: str = "access_point"
    parent: str | None = None
    silent: list[Interval] = field(default_factory=list)  # truth: nothing answers, for whatever reason
    cut: list[Interval] = field(default_factory=list)  # of these: its link fails
    dark: list[Interval] = field(default_factory=list)  # of these: no electricity
    lost: list[float] = field(default_factory=list)  # times of readings lost with the power
    slow: list[Interval] = field(default_factory=list)
    lossy: list[Interval] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    uptime: dict[str, Any] = field(default_factory=dict)
    readings: list[dict[str, Any]] = field(default_factory=list)  # of hosts under scripted loss alone
    paused: list[Interval] = field(default_factory=list)  # suspended over REST

    def spells(self, *states: str) -> list[list[Segment]]:
        """Return runs of adjacent segments in these states."""
        runs: list[list[Segment]] = []
        for segment in self.segments:
            if segment.state not in states:
                continue
            if runs and runs[-1][-1].end == segment.start:
                runs[-1].append(segment)
            else:
                runs.append([segment])
        return runs

    @property
    def first_known(self) -> float:
        return min((segment.start for segment in self.segments if segment.state != "unknown"), default=math.inf)

    @property
    def disturbed(self) -> list[Interval]:
        return [*self.silent, *self.slow, *self.lossy]


@dataclass
class Facts:
    interval_s: float
    period: Interval
    sites: dict[str, Site]
    blind: list[Interval] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    loss_pct: dict[str, float] = field(default_factory=dict)
    send_every_s: dict[str, float] = field(default_factory=dict)  # of push sites
    incidents: list[dict[str, Any]] | None = (
        None  # interval row per member: code, started_at, ended_at; None: not served
    )

    @property
    def certain_s(self) -> float:
        """Return the length of a silence that certainly contains two readings of the site, whatever its phase."""
        return 2 * self.interval_s + LOOK_S + LATE_S

    @property
    def hidden(self) -> list[Interval]:
        """Return when evidence was impossible, or lost with a killed worker. A killed database is no excuse."""
        hidden = [interval.wider(BEAT_S + LOOK_S + WAIT_S, BEAT_S + LATE_S) for interval in self.blind]
        hidden += [Interval(s.killed - UNWRITTEN_S, s.back + BEAT_S) for s in self.stops if s.child == "worker"]
        return union(hidden)

    @property
    def deaf(self) -> list[Interval]:
        """Return when sites could not reach us."""
        return union([*self.blind, *(Interval(stop.killed, stop.back) for stop in self.stops)])

    @classmethod
    def read(cls, record: dict[str, Any]) -> "Facts":
        codes = {row["id"]: row["code"] for row in record["sites"]}
        sites = {row["code"]: Site(row["code"], row["kind"], codes.get(row["parent_id"])) for row in record["sites"]}
        facts = cls(record["interval_s"], Interval(record["from"], record["to"]), sites)
        facts.stops = [Stop(**row) for row in record["stops"]]
        facts.loss_pct, facts.incidents = record["loss_pct"], record["incidents"]
        facts.send_every_s = record.get("send_every_s", {})
        _add_events(facts, record["lines"])
        for code, site in sites.items():
            site.segments = [_segment(row) for row in record["segments"][code]]
            site.uptime = record["uptime"][code]
            site.readings = record["readings"].get(code, [])
            site.paused = [Interval(start, end) for start, end in record["paused"].get(code, [])]
        return facts


def _add_events(facts: Facts, lines: Sequence[dict[str, Any]]) -> None:
    """Add the true events; overlapping silences are merged, since no observer can tell them apart."""
    intervals: dict[tuple[str, str], list[Interval]] = defaultdict(list)
    for line in lines:
        if line["ended_at"] is None:
            continue  # the completed line follows
        stretch = Interval(moment(line["started_at"]), moment(line["ended_at"]))
        if line["kind"] == "blind":
            facts.blind.append(stretch)
        else:
            for code in line["sites"]:
                intervals[line["kind"], code].append(stretch)
    for code, site in facts.sites.items():
        site.cut, site.dark = union(intervals["outage", code]), union(intervals["power", code])
        site.silent = union([*site.cut, *site.dark])
        site.slow, site.lossy = union(intervals["slow", code]), union(intervals["loss", code])


def _segment(row: dict[str, Any]) -> Segment:
    last_ok, first_ok = row["last_ok_at"], row["first_ok_after"]
    return Segment(
        moment(row["started_at"]),
        moment(row["ended_at"]),
        row["state"],
        row["unknown_reason"],
        last_ok and moment(last_ok),
        first_ok and moment(first_ok),
    )
