"""Correct records of an invented truth, into which tests plant errors."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tests.benchmarks.truth.facts import Facts, Segment, Site, Stop
from tests.benchmarks.truth.intervals import Interval

END = 1000
BLIND = Interval(500.4, 530.7)


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def segments_of(*pieces: tuple[float, str], reason: str | None = None) -> list[Segment]:
    """Return segments from (start, state) pairs up to the end, with the bounds that a reading each 10 s gives."""
    ends = [start for start, _ in pieces[1:]] + [END]
    return [
        Segment(
            start,
            end,
            state,
            _reason(start) if state == "unknown" else None,
            start - 10 if start else None,
            end if state in {"down", "unreachable"} else None,
        )
        for (start, state), end in zip(pieces, ends, strict=True)
    ]


def _reason(start: float) -> str:
    return "never_seen" if start == 0 else "blind" if 490 < start < 540 else "stopped"


def usual_segments(*pieces: tuple[float, str], phase: int = 3) -> list[Segment]:
    """Return segments of the pieces and of what all sites have: a start, and a blind range."""
    whole = [(0, "unknown"), (phase, "up"), *pieces, (500 + phase + 5, "unknown"), (530 + phase, "up")]
    return segments_of(*sorted(whole, key=lambda piece: piece[0]))


def correct_facts() -> Facts:
    sites = [
        Site("calm", segments=usual_segments()),
        Site("out", silent=[Interval(100.5, 160.2)], segments=usual_segments((103, "down"), (163, "up"))),
        Site("brief", silent=[Interval(104.5, 111.0)], segments=usual_segments()),
        Site("unlucky", silent=[Interval(102.9, 115.2)], segments=usual_segments((103, "down"), (123, "up"))),
        Site("node", "node", silent=[Interval(300, 400)], segments=usual_segments((304, "down"), (404, "up"), phase=4)),
        Site(
            "child",
            parent="node",
            silent=[Interval(260, 440)],
            segments=usual_segments((266, "down"), (306, "unreachable"), (406, "down"), (446, "up"), phase=6),
        ),
        Site("slow", slow=[Interval(700, 800)], segments=usual_segments((703, "degraded"), (803, "up"))),
        Site(
            "through",
            silent=[Interval(450, 600)],
            segments=segments_of(
                (0, "unknown"), (3, "up"), (453, "down"), (503, "unknown"), (543, "down"), (603, "up")
            ),
        ),
        Site("paused", paused=[Interval(600.2, 660.4)], segments=usual_segments((660, "unknown"), (663, "up"))),
        Site("hidden", silent=[Interval(505, 525)], segments=usual_segments()),
        Site(
            "lossy",
            lossy=[Interval(700, 800)],
            segments=usual_segments((733, "down"), (753, "up")),
            readings=[reading(703 + 10 * n, {3: 3, 4: 3}.get(n, n % 2)) for n in range(-1, 10)],
        ),
    ]
    facts = Facts(10, Interval(0, END), {site.code: site for site in sites}, blind=[BLIND])
    facts.stops, facts.loss_pct = [Stop("database", 880.0, 882.5, 880.0)], {"lossy": 45.0}
    facts.incidents = [
        incident("out", 103, 163),
        incident("node", 304, 404),
        incident("child", 266, 446),
        incident("through", 453, None),
        incident("lossy", 733, 753),
    ]
    paused = facts.sites["paused"]
    before = paused.segments[-3]
    paused.segments[-3] = replace(before, end=600)
    for site in sites:
        count(site)
    return facts


def reading(slot: float, lost: int) -> dict[str, Any]:
    return {"slot": iso(slot), "sent": 3, "received": 3 - lost, "outcome": "timeout" if lost == 3 else "ok"}


def incident(code: str, start: float, end: float | None) -> dict[str, Any]:
    return {"code": code, "started_at": iso(start), "ended_at": end and iso(end)}


def count(site: Site) -> None:
    """Compute the site's uptime, in one row."""
    seconds = dict.fromkeys(("up", "degraded", "down", "unreachable", "unknown", "maintenance", "inactive"), 0)
    for segment in site.segments:
        seconds[segment.state] += round(segment.end - segment.start)
    seconds["inactive"] = END - sum(seconds.values())
    row = {"start": iso(0), "end": iso(END), "seconds": seconds}
    site.uptime = {"total": row, "series": [row]}
