"""What a truth run gathered, site by site: what really happened, and what the product says of it.

`Facts.read` takes the run's own record (facts.json): truth.jsonl's lines, the kills, and the answers of the REST API.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.truth.stretches import Stretch, moment, union

LOOK_S = 4.0  # a look's packets leave over 2 s, 4 s where it confirms; its slot is the first packet's
LATE_S = 1.0  # a look may leave this late on a busy machine, and slots are whole seconds
BEAT_S = 3.0  # a canary each 2 s, rounded outwards to whole seconds
WAIT_S = 3.0  # the last packet of a look is waited for
UNWRITTEN_S = 10.0  # a timeout is held until a canary has answered after its look, and written a second later
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
    def stretch(self) -> Stretch:
        return Stretch(self.start, self.end)


def whole(run: Sequence[Segment]) -> Stretch:
    return Stretch(run[0].start, run[-1].end)


@dataclass(frozen=True, slots=True)
class Stop:
    """A child of the supervisor that was killed: from the kill to the first beat of who came after it.

    Killed again and again, `last` is the last kill.
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
    silent: list[Stretch] = field(default_factory=list)  # true: nothing answers, whoever's fault
    cut: list[Stretch] = field(default_factory=list)  # of these: its link is out
    dark: list[Stretch] = field(default_factory=list)  # of these: it has no electricity
    lost: list[float] = field(default_factory=list)  # when readings were taken that went with the power
    slow: list[Stretch] = field(default_factory=list)
    lossy: list[Stretch] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    uptime: dict[str, Any] = field(default_factory=dict)
    readings: list[dict[str, Any]] = field(default_factory=list)  # of hosts under scripted loss alone
    paused: list[Stretch] = field(default_factory=list)  # suspended over REST

    def spells(self, *states: str) -> list[list[Segment]]:
        """Runs of segments in these states that follow each other without a gap."""
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
        return min((one.start for one in self.segments if one.state != "unknown"), default=math.inf)

    @property
    def disturbed(self) -> list[Stretch]:
        return [*self.silent, *self.slow, *self.lossy]


@dataclass
class Facts:
    interval_s: float
    period: Stretch
    sites: dict[str, Site]
    blind: list[Stretch] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    loss_pct: dict[str, float] = field(default_factory=dict)
    send_every_s: dict[str, float] = field(default_factory=dict)  # of sites that report themselves
    incidents: list[dict[str, Any]] | None = None  # a row a member: code, started_at, ended_at; None: not served

    @property
    def certain_s(self) -> float:
        """A silence this long holds two whole looks at the site, wherever its phase lies."""
        return 2 * self.interval_s + LOOK_S + LATE_S

    @property
    def hidden(self) -> list[Stretch]:
        """When evidence could not be had or was lost with a killed worker. A killed database excuses nothing."""
        hidden = [one.wider(BEAT_S + LOOK_S + WAIT_S, BEAT_S + LATE_S) for one in self.blind]
        hidden += [Stretch(s.killed - UNWRITTEN_S, s.back + BEAT_S) for s in self.stops if s.child == "worker"]
        return union(hidden)

    @property
    def deaf(self) -> list[Stretch]:
        """When sites could not reach us."""
        return union([*self.blind, *(Stretch(one.killed, one.back) for one in self.stops)])

    @classmethod
    def read(cls, record: dict[str, Any]) -> "Facts":
        codes = {row["id"]: row["code"] for row in record["sites"]}
        sites = {row["code"]: Site(row["code"], row["kind"], codes.get(row["parent_id"])) for row in record["sites"]}
        facts = cls(record["interval_s"], Stretch(record["from"], record["to"]), sites)
        facts.stops = [Stop(**row) for row in record["stops"]]
        facts.loss_pct, facts.incidents = record["loss_pct"], record["incidents"]
        facts.send_every_s = record.get("send_every_s", {})
        _tell(facts, record["lines"])
        for code, site in sites.items():
            site.segments = [_segment(row) for row in record["segments"][code]]
            site.uptime = record["uptime"][code]
            site.readings = record["readings"].get(code, [])
            site.paused = [Stretch(start, end) for start, end in record["paused"].get(code, [])]
        return facts


def _tell(facts: Facts, lines: Sequence[dict[str, Any]]) -> None:
    """Silences that overlap are one: nobody can tell where the one ended and the other began."""
    found: dict[tuple[str, str], list[Stretch]] = defaultdict(list)
    for line in lines:
        if line["ended_at"] is None:
            continue  # its completed line follows
        stretch = Stretch(moment(line["started_at"]), moment(line["ended_at"]))
        if line["kind"] == "blind":
            facts.blind.append(stretch)
        else:
            for code in line["sites"]:
                found[line["kind"], code].append(stretch)
    for code, site in facts.sites.items():
        site.cut, site.dark = union(found["outage", code]), union(found["power", code])
        site.silent = union([*site.cut, *site.dark])
        site.slow, site.lossy = union(found["slow", code]), union(found["loss", code])


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
