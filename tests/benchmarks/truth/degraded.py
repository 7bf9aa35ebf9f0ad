"""Check degraded segments and packet loss against the truth."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tests.benchmarks.truth.facts import BAD, LATE_S, LOOK_S, Facts, Site, whole
from tests.benchmarks.truth.intervals import Interval, meeting, minus, moment
from tests.benchmarks.truth.verdict import Verdict, describe, judged

SLOW_READINGS = 5  # a slow spell of this many intervals is found
WINDOW_READINGS = 10  # loss is computed over this many readings


def spells(facts: Facts) -> Verdict:
    """Check that slow spells are degraded, dated to an interval, and nothing is degraded without a disturbance."""
    verdict = Verdict("degraded")
    for site in facts.sites.values():
        runs = [(whole(run), run) for run in site.spells("degraded")]
        for slow in site.slow:
            if not any(p.length_s >= SLOW_READINGS * facts.interval_s for p in minus(slow, facts.hidden)):
                verdict.exempt += 1
                continue
            met = [stretch for stretch, _ in runs if stretch.meets(slow)]
            verdict.expect(bool(met), describe(facts, site, slow, "slow, not degraded"))
            if met:
                _near(facts, verdict, site, slow, slow.start, met[0].start)
                _near(facts, verdict, site, slow, slow.end, met[-1].end)
        near = [
            interval.wider(facts.interval_s + LOOK_S, (WINDOW_READINGS + 1) * facts.interval_s)
            for interval in site.disturbed
        ]
        for stretch, _ in runs:
            if not meeting(stretch, near):
                verdict.invent(describe(facts, site, stretch, "degraded, undisturbed"))
    return verdict


def _near(facts: Facts, verdict: Verdict, site: Site, slow: Interval, true: float, recorded: float) -> None:
    if not judged(facts, slow, true):
        verdict.exempt += 1
        return
    error = recorded - true
    verdict.add_error(error)
    if not -LOOK_S - LATE_S <= error <= facts.interval_s + LATE_S:
        verdict.failures.append(describe(facts, site, slow, f"degraded off by {error:.1f} s"))


def losses(facts: Facts) -> Verdict:
    """Check hosts under scripted loss: the scripted share is lost, and two all-lost readings in a row are an outage."""
    verdict = Verdict("scripted loss")
    downs = degraded = 0
    chance = 0.0
    for site in facts.sites.values():
        readings = [r for r in site.readings if _within(r, site.lossy) and r["outcome"] != "fault"]
        if not readings:
            continue
        share = facts.loss_pct[site.code] / 100
        sent, lost = sum(r["sent"] for r in readings), sum(r["sent"] - r["received"] for r in readings)
        stray = 5 * math.sqrt(sent * share * (1 - share)) + 1
        verdict.expect(abs(lost - sent * share) <= stray, f"{site.code}: lost {lost} of {sent}, scripted {share:.0%}")
        near = [interval.wider(0, 2 * facts.interval_s) for interval in site.lossy]
        is_down = any(s.state in BAD and meeting(s.stretch, near) for s in site.segments)
        if is_down != _confirmed(site.readings, near):
            verdict.invent(
                describe(facts, site, site.lossy[0], f"down: {is_down}, two all-lost readings: {not is_down}")
            )
        downs += is_down
        degraded += any(s.state == "degraded" and meeting(s.stretch, near) for s in site.segments)
        chance += down_by_chance(share, [r["sent"] for r in readings])
    verdict.notes.append(
        f"of {verdict.expected} hosts {degraded} degraded, {downs} down (by chance {chance:.1f}:"
        " a reading of n packets is all lost with p^n, and two in a row are an outage)"
    )
    return verdict


def down_by_chance(share: float, sent: Sequence[int]) -> float:
    """Return the probability that two readings in a row, of so many packets each, lose all of them."""
    calm, pending, down = 1.0, 0.0, 0.0
    for packets in sent:
        lost = share**packets
        calm, pending, down = (calm + pending) * (1 - lost), calm * lost, down + pending * lost
    return down


def _within(reading: dict[str, Any], intervals: Sequence[Interval]) -> bool:
    slot = moment(reading["slot"])
    return any(interval.start + LATE_S <= slot and slot + LOOK_S + LATE_S <= interval.end for interval in intervals)


def _confirmed(readings: Sequence[dict[str, Any]], near: Sequence[Interval]) -> bool:
    outcomes = sorted((moment(r["slot"]), r["outcome"]) for r in readings if r["outcome"] != "fault")
    return any(
        first[1] == second[1] == "timeout" and any(interval.holds(first[0]) for interval in near)
        for first, second in pairwise(outcomes)
    )
