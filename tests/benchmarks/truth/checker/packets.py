"""Check single packets: round trips and losses are those of the script."""

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tests.benchmarks.truth.checker.facts import BAD, LATE_S, LOOK_S, WAIT_S, Facts
from tests.benchmarks.truth.checker.intervals import Interval, meeting, moment
from tests.benchmarks.truth.checker.verdict import Verdict, describe

MEDIAN_MS = 1.0  # at most, of |measured - scripted|


def healthy(facts: Facts) -> Verdict:
    """Check that links without a disturbance lose nothing, and that their round trips are the scripted ones."""
    verdict = Verdict("healthy packets")
    errors_ms: list[float] = []
    for site in facts.sites.values():
        scripted_ms = facts.rtt_ms.get(site.technology)
        near = [stretch.wider(LOOK_S + WAIT_S, LATE_S) for stretch in (*site.disturbed, *site.paused, *facts.hidden)]
        for reading in site.readings if not site.is_push else ():
            stretch = Interval(moment(reading["slot"]), moment(reading["slot"]) + LOOK_S)
            if reading["outcome"] == "fault" or meeting(stretch, near):
                continue
            verdict.expected, verdict.found = verdict.expected + reading["sent"], verdict.found + reading["received"]
            if reading["received"] < reading["sent"]:
                verdict.missed += reading["sent"] - reading["received"]
                verdict.failures.append(describe(facts, site, stretch, "lost packets of a healthy link"))
            if scripted_ms is not None:
                errors_ms += [abs(rtt_ms - scripted_ms) for rtt_ms in reading["rtt_ms"]]
    if errors_ms:
        errors_ms.sort()
        median, p99 = statistics.median(errors_ms), errors_ms[int(len(errors_ms) * 0.99)]
        verdict.notes.append(
            f"|measured - scripted| of {len(errors_ms)} round trips: median {median:.3f} ms, p99 {p99:.3f} ms"
        )
        if median > MEDIAN_MS:
            verdict.failures.append(f"half of the round trips are off by {median:.3f} ms or more")
    return verdict


def losses(facts: Facts) -> Verdict:
    """Check pinged hosts under scripted loss: the share is right, and two all-lost readings in a row are an outage."""
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
