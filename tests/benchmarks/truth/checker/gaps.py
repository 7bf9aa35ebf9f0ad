"""Check our own failures: their reason is told, and killed processes come back."""

from collections.abc import Iterator

from tests.benchmarks.truth.checker.facts import BEAT_S, LATE_S, LOOK_S, Facts
from tests.benchmarks.truth.checker.intervals import Interval, meeting, moment
from tests.benchmarks.truth.checker.verdict import Verdict, describe, span

RECOVERY_S = 15.0


def reasons(facts: Facts) -> Verdict:
    """Check that a pinged site that was well is unknown while we could not measure, for the right reason."""
    verdict = Verdict("blind and stopped")
    for stretch, reason in _unseen(facts):
        if stretch.length_s <= facts.interval_s + LOOK_S + LATE_S:
            continue
        near = stretch.wider(6 * facts.interval_s, 6 * facts.interval_s)
        for site in facts.sites.values():
            if not site.is_push and not meeting(near, [*site.disturbed, *site.paused]):
                there = [s for s in site.segments if s.state == "unknown" and s.stretch.meets(stretch)]
                is_told = any(segment.reason == reason for segment in there)
                verdict.expect(is_told, describe(facts, site, stretch, f"not {reason}"))
    return verdict


def ranges(facts: Facts) -> Verdict:
    """Check that the blind ranges that are served are the true ones, and that no mass loss was excused."""
    verdict = Verdict("blind ranges")
    served = [(Interval(moment(row["started_at"]), moment(row["ended_at"])), row) for row in facts.blind_ranges]
    uplink = [stretch for stretch, row in served if row["reason"] == "uplink" and row["source"] == "central"]
    for blind in facts.blind:
        near = blind.wider(BEAT_S, BEAT_S)
        sound = any(near.start <= found.start <= blind.start + LATE_S for found in meeting(blind, uplink))
        sound = sound and any(blind.end - LATE_S <= found.end <= near.end for found in meeting(blind, uplink))
        said = [span(facts, found) for found in meeting(blind, uplink)]
        verdict.expect(sound, f"blind {span(facts, blind)}, served {said}")
    for stretch in uplink:
        if not meeting(stretch, facts.blind):
            verdict.invent(f"blind {span(facts, stretch)}: the uplink was well")
    hidden = facts.hidden
    for _, row in served:
        for suspect in (row["suspicion"] or {"own": ()})["own"]:
            lost = Interval(moment(suspect["started_at"]), moment(suspect["lost_at"]) + LOOK_S)
            if suspect["verdict"] != "counted" and not meeting(lost, hidden):
                verdict.invent(f"{suspect['code']} lost {span(facts, lost)}: {suspect['verdict']}")
    return verdict


def _unseen(facts: Facts) -> Iterator[tuple[Interval, str]]:
    yield from ((interval, "blind") for interval in facts.blind)
    yield from ((Interval(stop.killed, stop.back), "stopped") for stop in facts.stops if stop.child == "worker")


def recoveries(facts: Facts) -> Verdict:
    verdict = Verdict("kills survived")
    for stop in facts.stops:
        took = stop.back - stop.last
        verdict.worst_s = max(verdict.worst_s, took)
        verdict.expect(took <= RECOVERY_S, f"{stop.child} took {took:.1f} s to recover (limit {RECOVERY_S:g})")
    return verdict
