"""Check the unknown segments: present where we could not measure, with the right reason, and nowhere else."""

from collections.abc import Iterator

from tests.benchmarks.truth.facts import BAD, LATE_S, LOOK_S, Facts
from tests.benchmarks.truth.intervals import Interval, meeting, minus
from tests.benchmarks.truth.verdict import Verdict, describe

RECOVERY_S = 15.0


def blindness(facts: Facts) -> Verdict:
    """Check that while we could not measure nothing goes down, and healthy sites are unknown for the right reason."""
    verdict = Verdict("blind and stopped")
    for stretch, reason in _unseen(facts):
        for site in facts.sites.values():
            near = stretch.wider(6 * facts.interval_s, 6 * facts.interval_s)
            at_rest = not meeting(near, [*site.disturbed, *site.paused])
            if at_rest and stretch.length_s > facts.interval_s + LOOK_S + LATE_S:
                there = [s for s in site.segments if s.state == "unknown" and s.stretch.meets(stretch)]
                verdict.expect(any(s.reason == reason for s in there), describe(facts, site, stretch, f"not {reason}"))
            inside = [
                interval for interval in site.silent if stretch.start <= interval.start and interval.end <= stretch.end
            ]
            for segment in site.segments:
                begins = segment.state in BAD and stretch.holds(segment.start)
                if begins and (inside or not meeting(stretch, site.disturbed)):
                    verdict.invent(describe(facts, site, segment.stretch, "down while we could not measure"))
    return verdict


def _unseen(facts: Facts) -> Iterator[tuple[Interval, str]]:
    yield from ((interval, "blind") for interval in facts.blind)
    yield from ((Interval(stop.killed, stop.back), "stopped") for stop in facts.stops if stop.child == "worker")


def knowledge(facts: Facts) -> Verdict:
    """Check that while we could measure every site is known, except where a partly hidden silence is too short."""
    verdict = Verdict("unknown without cause")
    hidden = [interval.wider(facts.interval_s, facts.interval_s + LOOK_S) for interval in facts.hidden]
    for site in facts.sites.values():
        verdict.expected += 1
        seen = [s for s in site.segments if s.state == "unknown" and s.reason != "never_seen"]
        paused = [interval.wider(LATE_S, 2 * facts.interval_s) for interval in site.paused]
        rests = [part for silence in site.silent for part in minus(silence, facts.hidden) if part != silence]
        short = [part.wider(0, facts.interval_s + LATE_S) for part in rests if part.length_s < facts.certain_s]
        causeless = [s for s in seen if minus(s.stretch, hidden + paused + short)]
        verdict.found += not causeless
        for segment in causeless:
            verdict.invent(describe(facts, site, segment.stretch, f"unknown ({segment.reason}) while we measured"))
    return verdict


def recoveries(facts: Facts) -> Verdict:
    verdict = Verdict("kills survived")
    for stop in facts.stops:
        took = stop.back - stop.last
        verdict.worst_s = max(verdict.worst_s, took)
        verdict.expect(took <= RECOVERY_S, f"{stop.child} took {took:.1f} s to recover (limit {RECOVERY_S:g})")
    return verdict
