"""The facts of a truth run, site by site: what really happened, what people did, and what the product answered.

`Facts.read` parses the folder of a run: the script (data.toml), the true events (data/truth.jsonl), what was done over
REST and to processes (actions.jsonl), and the product's answers (answers.json).
"""

import json
import math
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.truth.checker.intervals import Interval, moment, union

LOOK_S = 4.0  # the packets of a reading leave over 2 s, 4 s for a confirmation; its slot is the first packet's
LATE_S = 1.0  # a reading may start this late on a busy machine, and slots are whole seconds
BEAT_S = 3.0  # a canary each 2 s, rounded outwards to whole seconds
WAIT_S = 3.0  # timeout of the last packet of a reading
UNWRITTEN_S = 10.0  # a timeout is held until a canary has answered after it, and written a second later
TRIES_S = 11.0  # an agent's reading and its SYN retries: one that arrives by the last of them counts as up at its date
BOOT_S = 12.0  # until an agent runs after the power is back
GRACE = 0.4  # of the sending interval, before a missing push is a silence
WRITTEN_S = 5.0  # until a missed push is one
BAD = ("down", "unreachable")
GOOD = ("up", "degraded")


@dataclass(frozen=True, slots=True)
class Segment:
    start: float
    end: float
    state: str
    reason: str | None = None
    last_ok: float | None = None
    first_ok: float | None = None
    proven: str = ""  # the state without what its device claimed afterwards, where that differs

    @property
    def stretch(self) -> Interval:
        return Interval(self.start, self.end)

    @property
    def is_claimed(self) -> bool:
        return bool(self.proven)

    @property
    def proven_state(self) -> str:
        return self.proven or self.state


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


@dataclass(frozen=True, slots=True)
class Action:
    """A change over REST, in force since some moment between the request and its answer."""

    what: str
    site: str
    began: float
    done: float
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Forgery:
    """Rows pushed with the site's token from elsewhere, invented for a stretch in which its device was silent."""

    site: str
    claimed: Interval
    sent: float
    rows: list[float]  # times of those that were accepted


@dataclass
class Site:
    code: str
    kind: str = "access_point"
    village: str = ""
    parent: str | None = None
    technology: str = "fiber"
    is_push: bool = False
    send_every_s: float = 0.0
    silent: list[Interval] = field(default_factory=list)  # truth: nothing answers, for whatever reason
    cut: list[Interval] = field(default_factory=list)  # of these: its link fails
    dark: list[Interval] = field(default_factory=list)  # of these: no electricity
    slow: list[Interval] = field(default_factory=list)
    lossy: list[Interval] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    uptime: dict[str, Any] = field(default_factory=dict)
    readings: list[dict[str, Any]] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    forged: list[Forgery] = field(default_factory=list)
    lost: list[float] = field(default_factory=list)  # times of an agent's readings lost with the power

    def spells(self, *states: str) -> list[list[Segment]]:
        """Return runs of adjacent segments that are proven to be in these states."""
        runs: list[list[Segment]] = []
        for segment in self.segments:
            if segment.proven_state not in states:
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

    @property
    def paused(self) -> list[Interval]:
        """Return when it was out of service: from the request that ended it until the answer that resumed it."""
        paused: list[Interval] = []
        since: float | None = None
        for action in self.actions:
            if action.what in ("suspend", "retire"):
                since = action.began
            elif action.what == "resume" and since is not None:
                paused, since = [*paused, Interval(since, action.done)], None
        return paused if since is None else [*paused, Interval(since, math.inf)]

    def retired_at(self, at: float) -> bool:
        return any(pause.end == math.inf and pause.start <= at for pause in self.paused)


@dataclass
class Facts:
    interval_s: float
    period: Interval
    sites: dict[str, Site]
    blind: list[Interval] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    loss_pct: dict[str, float] = field(default_factory=dict)  # by site
    rtt_ms: dict[str, float] = field(default_factory=dict)  # by technology, where scripted
    incidents: list[dict[str, Any]] = field(default_factory=list)  # as served, with withdrawn ones
    regions: dict[str, dict[str, Any]] = field(default_factory=dict)  # uptime by region code
    snapshots: list[dict[str, Any]] = field(default_factory=list)  # the same question before and after a change
    blind_ranges: list[dict[str, Any]] = field(default_factory=list)  # as served
    statuses: list[tuple[float, dict[str, str]]] = field(default_factory=list)  # samples: when, state by site
    figures: dict[str, float] = field(default_factory=dict)  # the worker's counters of its own faults

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
        """Return when it was not proven that sites could reach us. A killed api serves pages alone."""
        return union([*self.blind, *(Interval(stop.killed, stop.back) for stop in self.stops if stop.child != "api")])

    def members(self, code: str, *, withdrawn: bool = False) -> list[dict[str, Any]]:
        """Return the site's outages in the incidents that stand, or in those that were withdrawn."""
        return [
            member
            for incident in self.incidents
            if (incident["status"] == "withdrawn") == withdrawn
            for member in incident["sites"]
            if member["code"] == code and moment(member["started_at"]) < self.period.end
        ]

    @classmethod
    def read(cls, folder: Path) -> "Facts":
        answers = json.loads((folder / "answers.json").read_text())
        script = tomllib.loads((folder / "data.toml").read_text())
        truth, actions = read_lines(folder / "data" / "truth.jsonl"), read_lines(folder / "actions.jsonl")
        return cls.of(answers, script, truth, actions)

    @classmethod
    def of(
        cls,
        answers: dict[str, Any],
        script: dict[str, Any],
        truth: Sequence[dict[str, Any]],
        actions: Sequence[dict[str, Any]],
    ) -> "Facts":
        interval_s, send_s = float(script["interval_s"]), float(script.get("send_every_s", script["interval_s"]))
        codes = {row["id"]: row["code"] for row in answers["sites"]}
        sites = {row["code"]: _site(row, codes, interval_s, send_s) for row in answers["sites"]}
        facts = cls(interval_s, Interval(answers["from"], answers["to"]), sites)
        facts.incidents, facts.regions = answers["incidents"], answers["regions"]
        facts.figures, facts.blind_ranges = answers["figures"], answers["blind_ranges"]
        facts.statuses = [(at, states) for at, states in answers["statuses"]]
        facts.loss_pct = {
            code: event["loss_pct"]
            for event in script.get("event", ())
            if event["kind"] == "loss"
            for code in event["select"]["sites"]
        }
        links = script.get("technology", {})
        facts.rtt_ms = {name: link["rtt_ms"] for name, link in links.items() if "rtt_ms" in link}
        _add_events(facts, truth)
        _add_actions(facts, actions)
        for code, site in sites.items():
            site.segments = [_segment(row) for row in answers["segments"][code]]
            site.uptime = answers["uptime"][code]
            site.readings = answers["readings"][code]
        return facts


def read_lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _site(row: dict[str, Any], codes: dict[int, str], interval_s: float, send_s: float) -> Site:
    """Return a site as it was registered before the run's first action."""
    every_s = interval_s if row["technology"] in ("fiber", "radio") else send_s
    return Site(
        row["code"],
        row["kind"],
        row["village_code"],
        codes.get(row["parent_id"]),
        row["technology"],
        row["probe"] == "push",
        every_s,
    )


def _add_events(facts: Facts, lines: Iterable[dict[str, Any]]) -> None:
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


def _add_actions(facts: Facts, actions: Iterable[dict[str, Any]]) -> None:
    for line in sorted(actions, key=lambda line: line.get("began", 0)):
        fields = {name: value for name, value in line.items() if name != "what"}
        if line["what"] == "kill":
            facts.stops.append(Stop(**fields))
        elif line["what"] == "snapshot":
            facts.snapshots.append(fields)
        elif line["what"] == "forge":
            claimed = Interval(line["claimed_from"], line["claimed_to"])
            forgery = Forgery(line["site"], claimed, line["sent"], line["rows"])
            facts.sites[line["site"]].forged.append(forgery)
        else:
            action = Action(line["what"], line["site"], line["began"], line["done"], line.get("value"))
            facts.sites[line["site"]].actions.append(action)


def _segment(row: dict[str, Any]) -> Segment:
    last_ok, first_ok = row["last_ok_at"], row["first_ok_after"]
    return Segment(
        moment(row["started_at"]),
        moment(row["ended_at"]),
        row["state"],
        row["unknown_reason"],
        last_ok and moment(last_ok),
        first_ok and moment(first_ok),
        row["claim"]["proven_state"] if row["claim"] else "",
    )
