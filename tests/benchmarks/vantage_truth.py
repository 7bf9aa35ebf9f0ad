"""What sites of several vantages must come to, from what truly answered in each network. Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

Cut = tuple[float, float]  # from, to: seconds since 1970


@dataclass
class WatchedSite:
    """A site, and when it was cut from each of its vantages."""

    id: int
    code: str
    provider: str
    vantages: tuple[int, ...]
    hosted: frozenset[int]  # vantages at its own provider
    cuts: dict[int, list[Cut]] = field(default_factory=dict)

    @property
    def voters(self) -> list[int]:
        return [number for number in self.vantages if number not in self.hosted]

    def losing(self, at: float) -> list[int]:
        """Return the vantages to which it does not answer, those at its own provider too."""
        return [n for n in self.vantages if any(start <= at < end for start, end in self.cuts[n])]

    def state(self, at: float) -> str:
        lost = [number for number in self.losing(at) if number in self.voters]
        return "up" if not lost else "down" if lost == self.voters else "degraded"

    def lost_from(self, at: float) -> list[int]:
        """Return what the status must name: from where it is lost while it is reached from elsewhere."""
        return [n for n in self.losing(at) if n in self.voters] if self.state(at) == "degraded" else []

    def changes(self) -> list[float]:
        return sorted({moment for number in self.voters for cut in self.cuts[number] for moment in cut})


class Stretch(NamedTuple):
    start: float
    end: float
    state: str


def read_cuts(truth: Path) -> dict[str, list[Cut]]:
    """Return by site when it was cut off in this network, from the simulator's record."""
    ended: dict[tuple[str, str], Cut] = {}
    for line in truth.read_text().splitlines() if truth.exists() else ():
        event = json.loads(line)
        start = datetime.fromisoformat(event["started_at"]).timestamp()
        end = datetime.fromisoformat(event["ended_at"]).timestamp() if event["ended_at"] else float("inf")
        ended |= {(code, event["started_at"]): (start, end) for code in event["sites"]}
    cuts: dict[str, list[Cut]] = {}
    for (code, _), cut in ended.items():
        cuts.setdefault(code, []).append(cut)
    return cuts


def expected(site: WatchedSite, start: float, end: float) -> list[Stretch]:
    """Return the stretches in which it is not up."""
    moments = [start, *(moment for moment in site.changes() if start < moment < end), end]
    pieces = [Stretch(a, b, site.state(a)) for a, b in pairwise(moments)]
    merged: list[Stretch] = []
    for piece in pieces:
        if merged and (merged[-1].state == piece.state or piece.end - piece.start < 1):  # the networks' clocks differ
            piece = merged.pop()._replace(end=piece.end)
        merged.append(piece)
    return [stretch for stretch in merged if stretch.state != "up"]


def wrong_segments(site: WatchedSite, segments: Iterable[Mapping[str, Any]], bounds: Cut, interval_s: int) -> list[str]:
    """Return what is wrong with the site's ledger.

    A state begins with a look, within an interval of what happened, and ends with one. While networks come and go one
    after the other, what is lost at some of them may show for that interval; `down` is never shown for it.
    """
    late = interval_s + LOOK_S
    found = [stretch for stretch in map(read_segment, segments) if stretch.state != "up" and stretch.start < bounds[1]]
    wrong = []
    for wanted in expected(site, *bounds):
        match = next((s for s in found if s.state == wanted.state and _is_near(s, wanted, late)), None)
        if match is None:
            wrong.append(f"no {wanted.state} from {clock(wanted.start)} to {clock(wanted.end)}")
        else:
            found.remove(match)
    for left in found:
        passing = left.state == "degraded" and left.end - left.start <= late
        if not passing or not any(-LOOK_S <= left.start - moment <= late for moment in site.changes()):
            wrong.append(f"{left.state} from {clock(left.start)} to {clock(left.end)}")
    return wrong


LOOK_S = 4  # how long a look takes: packets of it may be answered, and others not


def _is_near(found: Stretch, wanted: Stretch, late: float) -> bool:
    return -1 <= found.start - wanted.start <= late and -LOOK_S <= found.end - wanted.end <= late


def read_segment(segment: Mapping[str, Any]) -> Stretch:
    ended_at = segment["ended_at"]
    end = float("inf") if ended_at is None else datetime.fromisoformat(ended_at).timestamp()
    return Stretch(datetime.fromisoformat(segment["started_at"]).timestamp(), end, segment["state"])


def clock(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment).astimezone():%H:%M:%S}" if moment != float("inf") else "now"


def sentences(site: WatchedSite, at: float, labels: Sequence[str]) -> list[str]:
    """Return what the explanation must say of a second."""
    losing = [labels[n] for n in site.losing(at)]
    reaching = [labels[n] for n in site.vantages if n not in site.losing(at)]
    if not losing:
        return []
    if reaching:
        return [f"Reached from {', '.join(reaching)}, not from {', '.join(losing)}."]
    return [f"Not reached from {', '.join(losing)}: from nowhere that could see."]
