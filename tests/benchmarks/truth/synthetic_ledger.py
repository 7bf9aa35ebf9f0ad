"""Correct records of an invented truth, into which tests plant errors."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tests.benchmarks.truth.checker.explained import states
from tests.benchmarks.truth.checker.facts import Action, Facts, Forgery, Segment, Site, Stop
from tests.benchmarks.truth.checker.intervals import Interval


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


END = 1000
STATES = ("up", "degraded", "down", "unreachable", "unknown", "maintenance", "inactive")
TURNED = Action("kind", "turned", 700.2, 700.4, "node"), Action("kind", "turned", 900.2, 900.4, "access_point")
UNREFUTED: dict[str, Any] = {"refuted_at": None, "refuted_s": 0, "refuted_signs": [], "refuted_from": None}
MARK = {"refuted_at": iso(600), "refuted_s": 100, "refuted_signs": ["unheard_boot"], "refuted_from": "127.0.0.1"}
CUT, DARK = Interval(300, 400), Interval(200, 400)
BLIND = Interval(500.4, 530.7)


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
        Site("calm", segments=usual_segments(), readings=[reading(3 + 10 * n, 0) for n in range(48)]),
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
        Site(
            "with its node",
            parent="node",
            silent=[Interval(300, 400)],
            segments=usual_segments((306, "unreachable"), (406, "up"), phase=6),
        ),
        Site("slow", slow=[Interval(700, 800)], segments=usual_segments((703, "degraded"), (803, "up"))),
        Site(
            "through",
            silent=[Interval(450, 600)],
            segments=segments_of(
                (0, "unknown"), (3, "up"), (453, "down"), (503, "unknown"), (543, "down"), (603, "up")
            ),
        ),
        Site("hidden", silent=[Interval(505, 525)], segments=usual_segments()),
        Site(
            "lossy",
            lossy=[Interval(700, 800)],
            segments=usual_segments((733, "down"), (753, "up")),
            readings=[reading(703 + 10 * n, {3: 3, 4: 3}.get(n, n % 2)) for n in range(-1, 10)],
        ),
        _suspended(),
        _changed("moved", Action("move", "moved", 700.2, 700.4, "64.02")),
        _changed("turned", *TURNED),
        *_pushing(),
    ]
    facts = Facts(10, Interval(0, END), {site.code: site for site in sites}, blind=[BLIND])
    facts.stops, facts.loss_pct = [Stop("database", 880.0, 882.5, 880.0)], {"lossy": 45.0}
    facts.rtt_ms = {"fiber": 20.0}
    facts.incidents = [
        incident("out", 103, 163, 50, 70),
        incident("unlucky", 103, 123, 10, 30),
        incident("node", 304, 404, 90, 110),
        incident("child", 266, 446, 170, 190),
        incident("through", 453, 603, 90, 160),
        incident("lossy", 733, 753, 10, 30),
        incident("cut", 308, 405, 80, 110),
        incident("dark", 225, 412, 120, 220),
        incident("forged", 225, 412, 120, 220, **MARK),
    ]
    for site in sites:
        count(site)
    facts.regions = {"64.01": _region(facts, "64.01"), "64": _region(facts, "64")}
    facts.blind_ranges = [blind_range(500, 533), suspicion()]
    facts.statuses = [(at, {code: _shown(site, at) for code, site in facts.sites.items()}) for at in range(50, END, 60)]
    figures = {"total": {"seconds": {"up": 5}}}
    facts.snapshots = [{"question": "/sites/moved/uptime", "change": "move", "before": figures, "after": figures}]
    return facts


def blind_range(start: float, end: float) -> dict[str, Any]:
    fields = {"kind": "blind", "source": "central", "reason": "uplink", "suspicion": None}
    return fields | {"started_at": iso(start), "ended_at": iso(end)}


def suspicion(verdict: str = "counted") -> dict[str, Any]:
    suspect = {"code": "out", "started_at": iso(103), "lost_at": iso(113), "verdict": verdict}
    fields = {"kind": "suspicion", "source": "central", "reason": "mass_outage", "suspicion": {"own": [suspect]}}
    return fields | {"started_at": iso(103), "ended_at": iso(113)}


def _shown(site: Site, at: float) -> str:
    return next((s.state for s in site.segments if s.start <= at - 20 < s.end), "unknown")


def _suspended() -> Site:
    segments = usual_segments((660, "unknown"), (663, "up"))
    segments[-3] = replace(segments[-3], end=600)
    actions = [Action("suspend", "paused", 600.2, 600.4), Action("resume", "paused", 660.2, 660.4)]
    return Site("paused", segments=segments, actions=actions)


def _changed(code: str, *actions: Action) -> Site:
    return Site(code, village="64.01", segments=usual_segments(), actions=list(actions))


def _pushing() -> list[Site]:
    push: dict[str, Any] = {"is_push": True, "send_every_s": 30.0, "technology": "leo"}
    cut: dict[str, Any] = {"cut": [CUT], "silent": [CUT]}
    dark: dict[str, Any] = {"dark": [DARK], "silent": [DARK]}
    reported = segments_of((0, "unknown"), (5, "up"), (308, "down"), (405, "up"))
    missed = segments_of((0, "unknown"), (5, "up"), (225, "down"), (412, "up"))
    missed[2] = replace(missed[2], last_ok=195)  # the last push
    contested = [*missed[:2], *_contested(missed[2]), missed[3]]
    return [
        Site("cut", segments=reported, **cut, **push),
        Site("dark", segments=missed, **dark, **push),
        Site("forged", village="64.01", segments=contested, forged=[Forgery("forged", DARK, 600, [])], **dark, **push),
    ]


def _contested(outage: Segment) -> list[Segment]:
    """Return an outage whose first 100 s its device claims to have been well."""
    until = outage.start + 100
    claimed = replace(outage, end=until, state="unknown", reason="claimed", proven="down")
    return [claimed, replace(outage, start=until)]


def _region(facts: Facts, code: str) -> dict[str, Any]:
    """Return the true figures of a region, of which a change counts from the second after it."""
    seconds: Counter[str] = Counter(dict.fromkeys((*STATES, "claimed"), 0))
    for site in facts.sites.values():
        recorded, proven = states(facts, site), states(facts, site, proven=True)
        for second in range(END):
            kind, village = site.kind, site.village
            for action in site.actions:
                if second > action.done:
                    kind = action.value or "" if action.what == "kind" else kind
                    village = action.value or "" if action.what == "move" else village
            if kind == "access_point" and f"{village}.".startswith(f"{code}."):
                seconds[recorded[second]] += 1
                seconds["claimed"] += recorded[second] != proven[second]
    row = {"start": iso(0), "end": iso(END), "seconds": dict(seconds)}
    return {"total": row, "series": [row]}


def reading(slot: float, lost: int) -> dict[str, Any]:
    outcome, rtts_ms = "timeout" if lost == 3 else "ok", [20.1] * (3 - lost)
    return {"slot": iso(slot), "sent": 3, "received": 3 - lost, "outcome": outcome, "rtt_ms": rtts_ms}


def incident(code: str, start: float, end: float, least_s: int, most_s: int, **fields: Any) -> dict[str, Any]:
    member: dict[str, Any] = {
        "code": code,
        "started_at": iso(start),
        "ended_at": iso(end),
        "duration_s": round(end - start),
    }
    member |= UNREFUTED | {"duration_min_s": least_s, "duration_max_s": most_s}
    hint = {"cut": "link", "dark": "power", "forged": "power"}.get(code)
    return {"status": "resolved", "kind": "single", "cause_hint": hint, "sites": [member | fields]}


def count(site: Site) -> None:
    """Compute the site's uptime, in one row."""
    seconds = dict.fromkeys(STATES, 0)
    for segment in site.segments:
        seconds[segment.state] += round(segment.end - segment.start)
    seconds["inactive"] = END - sum(seconds.values())
    seconds["claimed"] = sum(round(segment.end - segment.start) for segment in site.segments if segment.is_claimed)
    good, bad = seconds["up"] + seconds["degraded"], seconds["down"] + seconds["unreachable"]
    worst_pct = 100 * good / (good + bad + seconds["unknown"])
    runs = [segment.end - segment.start for segment in site.segments if segment.state == "down"]
    row = {"start": iso(0), "end": iso(END), "seconds": seconds, "worst_pct": worst_pct}
    row |= {"outages": min(len(runs), 1), "longest_outage_s": sum(runs), "down_by_cause": {"link": sum(runs)}}
    site.uptime = {"total": row, "series": [row]}
