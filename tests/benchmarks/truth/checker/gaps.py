"""Check our own failures: their reason is told, and killed processes come back."""

from collections.abc import Iterator

from tests.benchmarks.truth.checker.facts import LATE_S, LOOK_S, Facts
from tests.benchmarks.truth.checker.intervals import Interval, meeting
from tests.benchmarks.truth.checker.verdict import Verdict, describe

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
