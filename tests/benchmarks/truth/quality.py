"""Slow and lossy links against the truth."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tests.benchmarks.truth.facts import BAD, LATE_S, LOOK_S, Facts, Site, whole
from tests.benchmarks.truth.stretches import Stretch, meeting, minus, moment
from tests.benchmarks.truth.verdict import Verdict, judged, told

SLOW_LOOKS = 5  # a slow spell of this many intervals is found
WINDOW_LOOKS = 10  # loss is pooled over this many looks


def spells(facts: Facts) -> Verdict:
    """Slow spells are found as degraded, their boundaries within an interval; no degraded without a disturbance."""
    verdict = Verdict("degraded")
    for site in facts.sites.values():
        runs = [(whole(run), run) for run in site.spells("degraded")]
        for slow in site.slow:
            if not any(p.length_s >= SLOW_LOOKS * facts.interval_s for p in minus(slow, facts.hidden)):
                verdict.exempt += 1
                continue
            met = [stretch for stretch, _ in runs if stretch.meets(slow)]
            verdict.expect(bool(met), told(facts, site, slow, "slow, not degraded"))
            if met:
                _near(facts, verdict, site, slow, slow.start, met[0].start)
                _near(facts, verdict, site, slow, slow.end, met[-1].end)
        near = [one.wider(facts.interval_s + LOOK_S, (WINDOW_LOOKS + 1) * facts.interval_s) for one in site.disturbed]
        for stretch, _ in runs:
            if not meeting(stretch, near):
                verdict.invent(told(facts, site, stretch, "degraded, undisturbed"))
    return verdict


def _near(facts: Facts, verdict: Verdict, site: Site, slow: Stretch, true: float, told_at: float) -> None:
    if not judged(facts, slow, true):
        verdict.exempt += 1
        return
    error = told_at - true
    verdict.err(error)
    if not -LOOK_S - LATE_S <= error <= facts.interval_s + LATE_S:
        verdict.failures.append(told(facts, site, slow, f"degraded off by {error:.1f} s"))


def losses(facts: Facts) -> Verdict:
    """Hosts under scripted loss: as many packets lost as scripted, down after two looks all lost and never else."""
    verdict = Verdict("scripted loss")
    downs = degraded = 0
    chance = 0.0
    for site in facts.sites.values():
        looks = [r for r in site.readings if _within(r, site.lossy) and r["outcome"] != "fault"]
        if not looks:
            continue
        share = facts.loss_pct[site.code] / 100
        sent, lost = sum(r["sent"] for r in looks), sum(r["sent"] - r["received"] for r in looks)
        stray = 5 * math.sqrt(sent * share * (1 - share)) + 1
        verdict.expect(abs(lost - sent * share) <= stray, f"{site.code}: lost {lost} of {sent}, scripted {share:.0%}")
        near = [one.wider(0, 2 * facts.interval_s) for one in site.lossy]
        is_down = any(s.state in BAD and meeting(s.stretch, near) for s in site.segments)
        if is_down != _confirmed(site.readings, near):
            verdict.invent(told(facts, site, site.lossy[0], f"down: {is_down}, two looks all lost: {not is_down}"))
        downs += is_down
        degraded += any(s.state == "degraded" and meeting(s.stretch, near) for s in site.segments)
        chance += down_by_chance(share, [r["sent"] for r in looks])
    verdict.notes.append(
        f"of {verdict.expected} hosts {degraded} degraded, {downs} down (by chance {chance:.1f}:"
        " a look of n packets is all lost with p^n, and two in a row are an outage)"
    )
    return verdict


def down_by_chance(share: float, sent: Sequence[int]) -> float:
    """That at least two looks in a row, of so many packets each, lose all of them."""
    calm, pending, down = 1.0, 0.0, 0.0
    for packets in sent:
        lost = share**packets
        calm, pending, down = (calm + pending) * (1 - lost), calm * lost, down + pending * lost
    return down


def _within(reading: dict[str, Any], stretches: Sequence[Stretch]) -> bool:
    slot = moment(reading["slot"])
    return any(one.start + LATE_S <= slot and slot + LOOK_S + LATE_S <= one.end for one in stretches)


def _confirmed(readings: Sequence[dict[str, Any]], near: Sequence[Stretch]) -> bool:
    looks = sorted((moment(r["slot"]), r["outcome"]) for r in readings if r["outcome"] != "fault")
    return any(
        first[1] == second[1] == "timeout" and any(one.holds(first[0]) for one in near)
        for first, second in pairwise(looks)
    )
