"""Correct facts pass every check; each planted error is found by the check that is about it."""

import ast
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.truth.checker import causes, degraded, explained, forged, gaps, live, outages, packets, sums
from tests.benchmarks.truth.checker.facts import Facts, Forgery, Segment, Stop
from tests.benchmarks.truth.checker.intervals import Interval, minus, union
from tests.benchmarks.truth.checker.report import CHECKS
from tests.benchmarks.truth.checker.verdict import Verdict
from tests.benchmarks.truth.synthetic_ledger import (
    END,
    MARK,
    UNREFUTED,
    blind_range,
    correct_facts,
    count,
    incident,
    iso,
    reading,
    suspicion,
    usual_segments,
)


@pytest.mark.parametrize("check", CHECKS)
def test_correct_facts_pass(check: Callable[[Facts], Verdict]) -> None:
    verdict = check(correct_facts())
    assert verdict.failures == []
    assert verdict.expected > 0
    assert verdict.missed == verdict.invented == 0


def relay(code: str, *pieces: tuple[float, str], phase: int = 3) -> Callable[[Facts], None]:
    """Return a change that gives a site other segments."""

    def plant(facts: Facts) -> None:
        facts.sites[code].segments = usual_segments(*pieces, phase=phase)
        count(facts.sites[code])

    return plant


def retouch(code: str, state: str, /, **change: Any) -> Callable[[Facts], None]:
    def plant(facts: Facts) -> None:
        site = facts.sites[code]
        site.segments = [replace(s, **change) if s.state == state else s for s in site.segments]

    return plant


def unequal(facts: Facts) -> None:
    facts.sites["calm"].uptime["total"]["seconds"]["up"] += 1


def unequal_rows(facts: Facts) -> None:
    row = facts.sites["calm"].uptime["series"][0]
    facts.sites["calm"].uptime["series"] = [row, row]


def gap(facts: Facts) -> None:
    del facts.sites["out"].segments[2]
    count(facts.sites["out"])


def short_of_the_end(facts: Facts) -> None:
    last = facts.sites["calm"].segments.pop()
    facts.sites["calm"].segments.append(replace(last, end=END - 1))


def paused_too_short(facts: Facts) -> None:
    site = facts.sites["paused"]
    site.uptime["total"]["seconds"] |= {"inactive": 40, "up": site.uptime["total"]["seconds"]["up"] + 20}


def down_while_paused(facts: Facts) -> None:
    site = facts.sites["paused"]
    site.segments = [replace(s, state="down") if s.start == 660 else s for s in site.segments]


def late_after_blindness(facts: Facts) -> None:
    facts.sites["calm"].silent = [Interval(537.5, 620)]
    relay("calm", (543, "unknown"), (553, "down"), (623, "up"))(facts)


def without_incident(code: str) -> Callable[[Facts], None]:
    def plant(facts: Facts) -> None:
        facts.incidents = [served for served in facts.incidents if served["sites"][0]["code"] != code]

    return plant


def withdrawn(code: str) -> Callable[[Facts], None]:
    def plant(facts: Facts) -> None:
        for served in facts.incidents:
            if served["sites"][0]["code"] == code:
                served["status"] = "withdrawn"

    return plant


def with_member(code: str, **fields: Any) -> Callable[[Facts], None]:
    def plant(facts: Facts) -> None:
        (member,) = facts.members(code)
        member.update(fields)

    return plant


def another_incident(code: str, start: float, end: float) -> Callable[[Facts], None]:
    def plant(facts: Facts) -> None:
        facts.incidents.append(incident(code, start, end, 10, 400))

    return plant


def hint(code: str, cause: str | None) -> Callable[[Facts], None]:
    def plant(facts: Facts) -> None:
        for served in facts.incidents:
            if served["sites"][0]["code"] == code:
                served["cause_hint"] = cause

    return plant


def region_with(state: str, more_s: int) -> Callable[[Facts], None]:
    def plant(facts: Facts) -> None:
        facts.regions["64.01"]["total"]["seconds"][state] += more_s

    return plant


def region_by_todays_kind(facts: Facts) -> None:
    facts.sites["turned"].kind = "node"
    facts.sites["turned"].actions = []


def past_changed(facts: Facts) -> None:
    facts.snapshots[0] = facts.snapshots[0] | {"after": {"total": {"seconds": {"up": 4}}}}


def blind_range_of(*ranges: dict[str, Any]) -> Callable[[Facts], None]:
    def plant(facts: Facts) -> None:
        facts.blind_ranges = list(ranges)

    return plant


def shown(code: str, state: str, at: float) -> Callable[[Facts], None]:
    def plant(facts: Facts) -> None:
        facts.statuses.append((at, {**facts.statuses[0][1], code: state}))

    return plant


def not_shown(facts: Facts) -> None:
    del facts.statuses[5][1]["calm"]


def another_count(facts: Facts) -> None:
    facts.sites["out"].uptime["total"]["outages"] = 2


def another_longest(facts: Facts) -> None:
    facts.sites["out"].uptime["total"]["longest_outage_s"] = 50


def another_cause(facts: Facts) -> None:
    facts.sites["out"].uptime["total"]["down_by_cause"] = {"link": 50}


def claimed_more(facts: Facts) -> None:
    facts.sites["forged"].uptime["total"]["seconds"]["claimed"] += 10


def worst_too_good(facts: Facts) -> None:
    facts.sites["forged"].uptime["total"]["worst_pct"] = 99.9


def lost_of_a_healthy_link(facts: Facts) -> None:
    facts.sites["calm"].readings.append(reading(900, 1))


def round_trips_off(facts: Facts) -> None:
    facts.rtt_ms["fiber"] = 30.0


def late_recovery(facts: Facts) -> None:
    facts.stops.append(Stop("worker", 950.0, 975.0, 955.0))


def lost_too_much(facts: Facts) -> None:
    facts.sites["lossy"].readings = [reading(703 + 10 * n, 3) for n in range(10)]


def of_whom_nobody_was_lost(facts: Facts) -> None:
    facts.sites["lossy"].readings = [reading(703 + 10 * n, 1) for n in range(10)]


PLANTED: list[tuple[str, Callable[[Facts], Verdict], Callable[[Facts], None]]] = [
    ("an outage that is missing", explained.explained, relay("out")),
    ("an outage that is called degraded", explained.explained, relay("out", (103, "degraded"), (163, "up"))),
    ("an outage told only before a blind spell", explained.explained, relay("through", (453, "down"), (503, "up"))),
    ("a flap told too long", explained.explained, relay("unlucky", (103, "down"), (143, "up"))),
    ("an outage of a site that answered", explained.explained, relay("calm", (203, "down"), (223, "up"))),
    (
        "an outage beside the true one",
        explained.explained,
        relay("out", (33, "down"), (53, "up"), (103, "down"), (163, "up")),
    ),
    ("an outage that runs on and on", explained.explained, relay("out", (103, "down"), (203, "up"))),
    ("an unreachable site with a sound node", explained.explained, relay("calm", (203, "unreachable"), (223, "up"))),
    ("a beginning too late", explained.explained, relay("out", (123, "down"), (163, "up"))),
    ("a beginning too early", explained.explained, relay("out", (93, "down"), (163, "up"))),
    ("a beginning too late soon after a blind spell", explained.explained, late_after_blindness),
    ("an end too late", explained.explained, relay("out", (103, "down"), (183, "up"))),
    ("an end too early", explained.explained, relay("out", (103, "down"), (143, "up"))),
    ("a child that is down by itself", explained.explained, relay("child", (266, "down"), (446, "up"), phase=6)),
    (
        "a child that is let go of early",
        explained.explained,
        relay("child", (266, "down"), (306, "unreachable"), (366, "down"), (446, "up"), phase=6),
    ),
    ("unreachable without a node", explained.explained, relay("out", (103, "unreachable"), (163, "up"))),
    (
        "unreachable before its node was lost",
        explained.explained,
        relay("child", (266, "unreachable"), (286, "down"), (306, "unreachable"), (406, "down"), (446, "up"), phase=6),
    ),
    ("an outage that begins in a blind spell", explained.explained, relay("calm", (505, "down"))),
    ("an outage seen while we were blind", explained.explained, relay("hidden", (509, "down"), (528, "unknown"))),
    ("unknown while all was well", explained.explained, relay("calm", (203, "unknown"), (233, "up"))),
    ("a killed database that left a hole", explained.explained, relay("calm", (873, "unknown"), (893, "up"))),
    ("degraded without a cause", explained.explained, relay("calm", (203, "degraded"), (233, "up"))),
    ("up all through a long blind spell", explained.explained, retouch("calm", "unknown", state="up", reason=None)),
    ("an outage in a pause", explained.explained, down_while_paused),
    ("a link's outage not told by its device", explained.explained, relay("cut")),
    ("a power cut dated late", explained.explained, relay("dark", (260, "down"), (412, "up"))),
    (
        "a push site down by our blindness",
        explained.explained,
        relay("cut", (308, "down"), (405, "up"), (505, "down")),
    ),
    ("up on forged rows alone", explained.explained, relay("forged")),
    ("an outage without a segment", outages.outages, relay("out")),
    ("an outage without an incident", outages.outages, without_incident("out")),
    ("an outage whose incident was withdrawn", outages.outages, withdrawn("out")),
    ("a link's outage without an incident", outages.outages, without_incident("cut")),
    ("a power cut without an incident", outages.outages, without_incident("dark")),
    ("an incident without an outage", outages.incidents, another_incident("calm", 200, 230)),
    ("an incident of a child behind its node", outages.incidents, another_incident("with its node", 306, 406)),
    ("an answer within the outage", outages.edges, retouch("out", "down", last_ok=103.0)),
    ("no answer before the outage", outages.edges, retouch("out", "down", last_ok=None)),
    ("an end before the truth's", outages.edges, retouch("out", "down", first_ok=153.0)),
    ("an end without an answer", outages.edges, retouch("out", "down", first_ok=None)),
    ("a least duration beyond the truth", outages.edges, with_member("out", duration_min_s=62)),
    ("a most duration below the truth", outages.edges, with_member("out", duration_max_s=58)),
    ("no most duration", outages.edges, with_member("out", duration_max_s=None)),
    ("two incidents of one outage", outages.edges, another_incident("through", 543, 603)),
    ("a blind spell called silence", gaps.reasons, retouch("calm", "unknown", reason="silent")),
    ("a blind range that is missing", gaps.ranges, blind_range_of()),
    ("a blind range too short", gaps.ranges, blind_range_of(blind_range(500, 520))),
    ("a blind range too long", gaps.ranges, blind_range_of(blind_range(490, 533))),
    ("a blind range without cause", gaps.ranges, blind_range_of(blind_range(500, 533), blind_range(100, 130))),
    ("a mass loss that is excused", gaps.ranges, blind_range_of(blind_range(500, 533), suspicion("excused"))),
    ("an outage shown that is none", live.live, shown("calm", "down", 300)),
    ("an outage shown late", live.live, shown("out", "up", 155)),
    ("an outage shown long after it", live.live, shown("out", "down", 300)),
    ("stale shown as fresh", live.live, shown("calm", "up", 530)),
    ("unknown shown without cause", live.live, shown("calm", "unknown", 300)),
    ("a site that is not shown", live.live, not_shown),
    ("more outages in figures than incidents", sums.one_definition, another_count),
    ("a longest outage that no incident had", sums.one_definition, another_longest),
    ("seconds down without a cause", sums.one_definition, another_cause),
    ("a power cut called a link's outage", causes.hints, hint("dark", "link")),
    ("a link's outage called a power cut", causes.hints, hint("cut", "power")),
    ("no hint", causes.hints, hint("cut", None)),
    ("a worker that came back late", gaps.recoveries, late_recovery),
    ("a slow spell that is missing", degraded.spells, relay("slow")),
    ("a slow spell that begins late", degraded.spells, relay("slow", (733, "degraded"), (803, "up"))),
    ("a slow spell that ends late", degraded.spells, relay("slow", (703, "degraded"), (833, "up"))),
    ("loss of a healthy link", packets.healthy, lost_of_a_healthy_link),
    ("round trips that are off", packets.healthy, round_trips_off),
    ("more loss than scripted", packets.losses, lost_too_much),
    ("down without two looks all lost", packets.losses, of_whom_nobody_was_lost),
    ("two looks all lost and not down", packets.losses, relay("lossy")),
    ("a second too many", sums.seconds, unequal),
    ("a row too many", sums.seconds, unequal_rows),
    ("a gap between segments", sums.seconds, gap),
    ("segments that end early", sums.seconds, short_of_the_end),
    ("a region that counts more", sums.regions, region_with("up", 5)),
    ("a region that lost the past of a node of today", sums.regions, region_with("up", -600)),
    ("a region by the kind of today", sums.regions, region_by_todays_kind),
    ("claimed seconds that a region left out", sums.regions, region_with("claimed", -50)),
    ("negative seconds", sums.regions, region_with("inactive", -1)),
    ("a change that rewrites the past", sums.unchanged, past_changed),
    ("seconds of a pause that are missing", sums.out_of_service, paused_too_short),
    ("an incident that forged rows took away", forged.forged, withdrawn("forged")),
    ("an honest device that refutes its outage", forged.forged, with_member("dark", **MARK)),
    ("claimed seconds that no segment has", sums.seconds, claimed_more),
    ("no mark on an incident with forged rows", forged.forged, with_member("forged", **UNREFUTED)),
    ("good seconds on forged rows", forged.forged, relay("forged")),
    ("a worst case that believes forged rows", forged.forged, worst_too_good),
]


@pytest.mark.parametrize(("check", "plant"), [planted[1:] for planted in PLANTED], ids=[name for name, *_ in PLANTED])
def test_a_planted_error_is_caught(check: Callable[[Facts], Verdict], plant: Callable[[Facts], None]) -> None:
    facts = correct_facts()
    plant(facts)
    assert not check(facts).holds


def test_every_question_has_an_error_planted_for_it() -> None:
    assert {check for _, check, _ in PLANTED} == set(CHECKS)


def test_a_failure_tells_site_truth_and_segments() -> None:
    facts = correct_facts()
    relay("out", (123, "down"), (163, "up"))(facts)
    (failure,) = explained.explained(facts).failures
    assert "out (access_point): up and not down" in failure
    assert "at        112.0..123.0; silent ['100.5..160.2']" in failure
    assert "123.0..163.0 down last_ok 113.0 first_ok 163.0" in failure


def test_the_checker_shares_no_code_with_the_product_its_probes_and_its_simulator() -> None:
    folder = Path(__file__).parent / "checker"
    roots = set()
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not (isinstance(node, ast.ImportFrom) and node.level), file
            roots |= {name if name.startswith("tests.") else name.partition(".")[0] for name in names}
    own = {f"tests.benchmarks.truth.checker.{file.stem}" for file in folder.glob("*.py")}
    assert roots - own - {"tests.benchmarks.truth.checker"} <= sys.stdlib_module_names


def test_the_chance_of_an_outage_by_loss_alone() -> None:
    assert packets.down_by_chance(0.0, [3] * 10) == 0
    assert packets.down_by_chance(1.0, [3, 3]) == 1
    assert packets.down_by_chance(0.5, [3, 3]) == pytest.approx(0.5**6)
    assert packets.down_by_chance(0.5, [3, 5, 3]) == pytest.approx(0.5**8 + (1 - 0.5**3) * 0.5**8)


def test_the_truth_is_read_line_by_line_and_overlapping_silences_are_one() -> None:
    def line(kind: str, codes: list[str], start: float, end: float | None) -> dict[str, Any]:
        return {"kind": kind, "sites": codes, "started_at": iso(start), "ended_at": end and iso(end)}

    def site(id: int, code: str, kind: str, parent: int | None, technology: str) -> dict[str, Any]:
        fields = {"id": id, "code": code, "kind": kind, "parent_id": parent, "technology": technology}
        return fields | {"village_code": "64.01.01.2001", "probe": "push" if technology == "leo" else "icmp"}

    segment = {"state": "up", "claim": None, "unknown_reason": None, "last_ok_at": None, "first_ok_after": iso(9)}
    answers: dict[str, Any] = {
        "from": 0,
        "to": 1000,
        "incidents": [],
        "regions": {},
        "figures": {},
        "blind_ranges": [],
        "statuses": [[100.5, {"node": "up"}]],
        "sites": [site(1, "node", "node", None, "fiber"), site(2, "child", "access_point", 1, "leo")],
        "segments": {"node": [], "child": [segment | {"started_at": iso(0), "ended_at": iso(9)}]},
        "uptime": {"node": {}, "child": {}},
        "readings": {"node": [], "child": []},
    }
    script = {
        "interval_s": 10,
        "send_every_s": 30,
        "technology": {"leo": {"rtt_ms": 40}},
        "event": [{"kind": "loss", "loss_pct": 40, "select": {"sites": ["node"]}}],
    }
    truth = [
        line("outage", ["node", "child"], 10, None),
        line("outage", ["child"], 5, 20),
        line("outage", ["node", "child"], 10, 30),
        line("power", ["child"], 400, 450),
        line("blind", ["node", "child"], 50, 60),
    ]
    actions: list[dict[str, Any]] = [
        {"what": "kill", "child": "worker", "killed": 5.0, "back": 7.0, "last": 5.0},
        {"what": "resume", "site": "child", "began": 44.0, "done": 45.0, "value": None},
        {"what": "suspend", "site": "child", "began": 40.0, "done": 41.0, "value": None},
        {"what": "retire", "site": "node", "began": 900.0, "done": 901.0, "value": None},
        {"what": "forge", "site": "child", "claimed_from": 400, "claimed_to": 450, "sent": 500, "rows": [400]},
        {"what": "snapshot", "question": "q", "change": "c", "before": {}, "after": {}},
    ]
    facts = Facts.of(answers, script, truth, actions)
    node, child = facts.sites["node"], facts.sites["child"]
    assert child.silent == [Interval(5, 30), Interval(400, 450)]
    assert (child.cut, child.dark) == ([Interval(5, 30)], [Interval(400, 450)])
    assert node.silent == [Interval(10, 30)]
    assert (child.parent, child.is_push, child.send_every_s) == ("node", True, 30)
    assert facts.blind == [Interval(50, 60)]
    assert child.paused == [Interval(40, 45)]
    assert node.paused == [Interval(900, math.inf)]
    assert child.forged == [Forgery("child", Interval(400, 450), 500, [400])]
    assert child.segments == [Segment(0, 9, "up", None, None, 9)]
    assert facts.loss_pct == {"node": 40}
    assert facts.rtt_ms == {"leo": 40}
    assert facts.stops == [Stop("worker", 5.0, 7.0, 5.0)]
    assert len(facts.snapshots) == 1
    assert facts.statuses == [(100.5, {"node": "up"})]


def test_stretches_are_joined_and_cut() -> None:
    assert union([Interval(5, 8), Interval(1, 3), Interval(3, 4)]) == [Interval(1, 4), Interval(5, 8)]
    assert minus(Interval(0, 10), [Interval(2, 3), Interval(8, 12)]) == [Interval(0, 2), Interval(3, 8)]
    assert minus(Interval(0, 10), [Interval(-5, 20)]) == []
    assert minus(Interval(0, 10), []) == [Interval(0, 10)]
    assert minus(Interval(0, 10), [Interval(10, 12), Interval(-2, 0)]) == [Interval(0, 10)]
