"""Correct facts pass every check; each planted error is found by the check that is about it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.benchmarks.truth import degraded, gaps, incidents, outages, seconds
from tests.benchmarks.truth.facts import Facts, Segment, Stop
from tests.benchmarks.truth.intervals import Interval, minus, union
from tests.benchmarks.truth.synthetic_ledger import (
    END,
    correct_facts,
    count,
    incident,
    iso,
    reading,
    segments_of,
    usual_segments,
)
from tests.benchmarks.truth.verdict import Verdict
from tests.benchmarks.truth_run import CHECKS


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


def lost_incident(facts: Facts) -> None:
    assert facts.incidents is not None
    del facts.incidents[0]


def invented_incident(facts: Facts) -> None:
    assert facts.incidents is not None
    facts.incidents.append(incident("calm", 200, 230))


def childs_incident(facts: Facts) -> None:
    assert facts.incidents is not None
    facts.incidents.append(incident("child", 310, 390))


def late_recovery(facts: Facts) -> None:
    facts.stops.append(Stop("worker", 950.0, 975.0, 955.0))


def lost_too_much(facts: Facts) -> None:
    facts.sites["lossy"].readings = [reading(703 + 10 * n, 3) for n in range(10)]


def of_whom_nobody_was_lost(facts: Facts) -> None:
    facts.sites["lossy"].readings = [reading(703 + 10 * n, 1) for n in range(10)]


PLANTED: list[tuple[str, Callable[[Facts], Verdict], Callable[[Facts], None]]] = [
    ("an outage that is missing", outages.outages, relay("out")),
    ("an outage that is called degraded", outages.outages, relay("out", (103, "degraded"), (163, "up"))),
    ("an outage told only before a blind spell", outages.outages, relay("through", (453, "down"), (503, "up"))),
    ("an outage too short to be seen", outages.outages, relay("brief", (103, "down"), (113, "up"))),
    ("an outage of a site that answered", outages.inventions, relay("calm", (203, "down"), (223, "up"))),
    (
        "an outage beside the true one",
        outages.inventions,
        relay("out", (33, "down"), (53, "up"), (103, "down"), (163, "up")),
    ),
    ("an outage that runs on and on", outages.inventions, relay("out", (103, "down"), (203, "up"))),
    ("an unreachable site with a sound node", outages.inventions, relay("calm", (203, "unreachable"), (223, "up"))),
    ("a beginning too late", outages.boundaries, relay("out", (113, "down"), (163, "up"))),
    ("a beginning too early", outages.boundaries, relay("out", (93, "down"), (163, "up"))),
    ("a beginning too late soon after a blind spell", outages.boundaries, late_after_blindness),
    ("an end too late", outages.boundaries, relay("out", (103, "down"), (173, "up"))),
    ("an end too early", outages.boundaries, relay("out", (103, "down"), (153, "up"))),
    ("an answer within the outage", outages.boundaries, retouch("out", "down", last_ok=103.0)),
    ("no answer before the outage", outages.boundaries, retouch("out", "down", last_ok=None)),
    ("an end before the truth's", outages.boundaries, retouch("out", "down", first_ok=153.0)),
    ("an end without an answer", outages.boundaries, retouch("out", "down", first_ok=None)),
    ("a child that is down by itself", outages.unreachables, relay("child", (266, "down"), (446, "up"), phase=6)),
    (
        "a child that is let go of early",
        outages.unreachables,
        relay("child", (266, "down"), (306, "unreachable"), (366, "down"), (446, "up"), phase=6),
    ),
    ("unreachable without a node", outages.unreachables, relay("out", (103, "unreachable"), (163, "up"))),
    (
        "unreachable before its node was lost",
        outages.unreachables,
        relay("child", (266, "unreachable"), (286, "down"), (306, "unreachable"), (406, "down"), (446, "up"), phase=6),
    ),
    ("a blind spell passed over", gaps.blindness, retouch("calm", "unknown", state="up", reason=None)),
    ("a blind spell called silence", gaps.blindness, retouch("calm", "unknown", reason="silent")),
    ("an outage that begins in a blind spell", gaps.blindness, relay("calm", (505, "down"))),
    ("an outage seen while we were blind", gaps.blindness, relay("hidden", (509, "down"), (528, "unknown"))),
    ("unknown while all was well", gaps.knowledge, relay("calm", (203, "unknown"), (233, "up"))),
    ("a killed database that left a hole", gaps.knowledge, relay("calm", (873, "unknown"), (893, "up"))),
    ("a worker that came back late", gaps.recoveries, late_recovery),
    ("a slow spell that is missing", degraded.spells, relay("slow")),
    ("a slow spell that begins late", degraded.spells, relay("slow", (733, "degraded"), (803, "up"))),
    ("a slow spell that ends late", degraded.spells, relay("slow", (703, "degraded"), (833, "up"))),
    ("degraded without a cause", degraded.spells, relay("calm", (203, "degraded"), (233, "up"))),
    ("more loss than scripted", degraded.losses, lost_too_much),
    ("down without two looks all lost", degraded.losses, of_whom_nobody_was_lost),
    ("two looks all lost and not down", degraded.losses, relay("lossy")),
    ("a second too many", seconds.seconds, unequal),
    ("a row too many", seconds.seconds, unequal_rows),
    ("a gap between segments", seconds.seconds, gap),
    ("segments that end early", seconds.seconds, short_of_the_end),
    ("seconds of a pause that are missing", seconds.pauses, paused_too_short),
    ("an outage in a pause", seconds.pauses, down_while_paused),
    ("an outage without an incident", incidents.incidents, lost_incident),
    ("an incident without an outage", incidents.incidents, invented_incident),
    ("an incident of a child behind its node", incidents.incidents, childs_incident),
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
    relay("out", (113, "down"), (163, "up"))(facts)
    (failure,) = outages.boundaries(facts).failures
    assert "out (access_point): begin off by 12.5 s" in failure
    assert "silent ['100.5..160.2']" in failure
    assert "113.0..163.0 down last_ok 103.0 first_ok 163.0" in failure


def test_a_boundary_that_fell_into_a_blind_spell_is_exempt_and_counted() -> None:
    facts = correct_facts()
    site = facts.sites["calm"]
    site.silent = [Interval(510, 600)]
    site.segments = segments_of((0, "unknown"), (3, "up"), (508, "unknown"), (533, "down"), (603, "up"))
    before = outages.boundaries(correct_facts())
    verdict = outages.boundaries(facts)
    assert verdict.holds
    assert (verdict.exempt, verdict.expected) == (before.exempt + 1, before.expected + 1)


def test_what_a_blind_spell_leaves_of_a_silence_may_be_too_short_to_be_known() -> None:
    facts = correct_facts()
    facts.sites["calm"].silent = [Interval(450, 552)]
    relay("calm", (453, "down"), (503, "unknown"), (553, "up"))(facts)
    facts.sites["calm"].segments = [s for s in facts.sites["calm"].segments if s.start not in {508, 533}]
    facts.sites["calm"].segments = [replace(s, end=553) if s.start == 503 else s for s in facts.sites["calm"].segments]
    assert gaps.knowledge(facts).holds
    facts.sites["calm"].silent = [Interval(450, 480)]
    assert not gaps.knowledge(facts).holds


def test_without_incidents_served_nothing_is_asked_of_them() -> None:
    facts = correct_facts()
    facts.incidents = None
    assert incidents.incidents(facts).notes == ["not served yet"]


def test_the_chance_of_an_outage_by_loss_alone() -> None:
    assert degraded.down_by_chance(0.0, [3] * 10) == 0
    assert degraded.down_by_chance(1.0, [3, 3]) == 1
    assert degraded.down_by_chance(0.5, [3, 3]) == pytest.approx(0.5**6)
    assert degraded.down_by_chance(0.5, [3, 5, 3]) == pytest.approx(0.5**8 + (1 - 0.5**3) * 0.5**8)


def test_the_truth_is_read_line_by_line_and_overlapping_silences_are_one() -> None:
    def line(kind: str, codes: list[str], start: float, end: float | None) -> dict[str, Any]:
        return {"kind": kind, "sites": codes, "started_at": iso(start), "ended_at": end and iso(end)}

    record: dict[str, Any] = {
        "interval_s": 10,
        "from": 0,
        "to": 1000,
        "loss_pct": {},
        "incidents": None,
        "readings": {},
        "paused": {"child": [[40.0, 45.0]]},
        "stops": [{"child": "worker", "killed": 5.0, "back": 7.0, "last": 5.0}],
        "sites": [
            {"id": 1, "code": "node", "kind": "node", "parent_id": None},
            {"id": 2, "code": "child", "kind": "access_point", "parent_id": 1},
        ],
        "lines": [
            line("outage", ["node", "child"], 10, None),
            line("outage", ["child"], 5, 20),
            line("outage", ["node", "child"], 10, 30),
            line("blind", ["node", "child"], 50, 60),
        ],
        "segments": {
            "node": [],
            "child": [
                {
                    "started_at": iso(0),
                    "ended_at": iso(9),
                    "state": "up",
                    "unknown_reason": None,
                    "last_ok_at": None,
                    "first_ok_after": iso(9),
                }
            ],
        },
        "uptime": {"node": {}, "child": {}},
    }
    facts = Facts.read(record)
    assert facts.sites["child"].silent == [Interval(5, 30)]
    assert facts.sites["node"].silent == [Interval(10, 30)]
    assert facts.sites["child"].parent == "node"
    assert facts.blind == [Interval(50, 60)]
    assert facts.sites["child"].paused == [Interval(40, 45)]
    assert facts.sites["child"].segments == [Segment(0, 9, "up", None, None, 9)]


def test_stretches_are_joined_and_cut() -> None:
    assert union([Interval(5, 8), Interval(1, 3), Interval(3, 4)]) == [Interval(1, 4), Interval(5, 8)]
    assert minus(Interval(0, 10), [Interval(2, 3), Interval(8, 12)]) == [Interval(0, 2), Interval(3, 8)]
    assert minus(Interval(0, 10), [Interval(-5, 20)]) == []
    assert minus(Interval(0, 10), []) == [Interval(0, 10)]
    assert minus(Interval(0, 10), [Interval(10, 12), Interval(-2, 0)]) == [Interval(0, 10)]
