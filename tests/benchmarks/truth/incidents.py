"""Check the incidents."""

from typing import Any

from tests.benchmarks.truth.facts import BAD, Facts, whole
from tests.benchmarks.truth.intervals import Interval, meeting, minus, moment
from tests.benchmarks.truth.verdict import Verdict, describe


def incidents(facts: Facts) -> Verdict:
    """Check that each visible outage has an incident with the site, and one hidden behind its node has none."""
    verdict = Verdict("incidents")
    if facts.incidents is None:
        verdict.notes.append("not served yet")
        return verdict
    for site in facts.sites.values():
        own_incidents = [_interval(facts, member) for member in facts.incidents if member["code"] == site.code]
        parent = facts.sites.get(site.parent or "")
        for silence in site.silent:
            own = minus(silence, parent.silent) if parent else [silence]
            clear = [
                part for interval in own for part in minus(interval, facts.hidden) if part.length_s >= facts.certain_s
            ]
            if clear and not meeting(silence, site.lossy):
                verdict.expect(bool(meeting(silence, own_incidents)), describe(facts, site, silence, "no incident"))
        bad = [whole(run) for run in site.spells(*BAD)]
        for interval in own_incidents:
            if not meeting(interval, bad):
                verdict.invent(describe(facts, site, interval, "an incident without an outage"))
            elif parent and all(
                s.state == "unreachable" for s in site.segments if s.state in BAD and s.stretch.meets(interval)
            ):
                verdict.invent(describe(facts, site, interval, "an incident of its own behind its silent node"))
    return verdict


def _interval(facts: Facts, member: dict[str, Any]) -> Interval:
    ended = member["ended_at"]
    return Interval(moment(member["started_at"]), moment(ended) if ended else facts.period.end)
