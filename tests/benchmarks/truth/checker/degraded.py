"""Check degraded segments against the truth."""

from tests.benchmarks.truth.checker.facts import LATE_S, LOOK_S, Facts, Site, whole
from tests.benchmarks.truth.checker.intervals import Interval, meeting, minus
from tests.benchmarks.truth.checker.verdict import Verdict, describe

SLOW_READINGS = 5  # a slow spell of this many intervals is found


def spells(facts: Facts) -> Verdict:
    """Check that slow spells are degraded, both ends dated to an interval."""
    verdict = Verdict("degraded")
    for site in facts.sites.values():
        runs = [whole(run) for run in site.spells("degraded")]
        for slow in site.slow:
            if not any(p.length_s >= SLOW_READINGS * facts.interval_s for p in minus(slow, facts.hidden)):
                verdict.exempt += 1
                continue
            met = meeting(slow, runs)
            verdict.expect(bool(met), describe(facts, site, slow, "slow, not degraded"))
            if met:
                _near(facts, verdict, site, slow, slow.start, met[0].start)
                _near(facts, verdict, site, slow, slow.end, met[-1].end)
    return verdict


def _near(facts: Facts, verdict: Verdict, site: Site, slow: Interval, true: float, recorded: float) -> None:
    if not judged(facts, slow, true):
        verdict.exempt += 1
        return
    error = recorded - true
    verdict.add_error(error)
    if not -LOOK_S - LATE_S <= error <= facts.interval_s + LATE_S:
        verdict.failures.append(describe(facts, site, slow, f"degraded off by {error:.1f} s"))


def judged(facts: Facts, stretch: Interval, edge: float) -> bool:
    """Return whether the readings that date a boundary could all be made."""
    before_s = LATE_S if edge == stretch.start else LOOK_S + LATE_S  # an end may show in a reading that began before it
    near = Interval(edge - before_s, edge + facts.interval_s + LOOK_S + LATE_S)
    if meeting(near, facts.hidden) or not (facts.period.start < near.start and near.end < facts.period.end):
        return False
    left = minus(stretch, facts.hidden)
    return left == [stretch] or any(p.length_s >= facts.certain_s and edge in (p.start, p.end) for p in left)
