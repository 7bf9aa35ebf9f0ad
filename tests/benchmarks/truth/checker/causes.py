"""Check hints of the cause: power where a device rebooted during the outage, link where it ran on."""

from tests.benchmarks.truth.checker.facts import Facts
from tests.benchmarks.truth.checker.intervals import meeting
from tests.benchmarks.truth.checker.outages import bounds
from tests.benchmarks.truth.checker.verdict import Verdict, describe


def hints(facts: Facts) -> Verdict:
    """Check the hint of each incident of one pushing site that was either without power or without its link."""
    verdict = Verdict("hints of the cause")
    for incident in facts.incidents:
        if incident["status"] == "withdrawn" or incident["kind"] == "shared" or len(incident["sites"]) != 1:
            continue
        (member,) = incident["sites"]
        site, stretch = facts.sites[member["code"]], bounds(facts, member)
        is_over = member["ended_at"] is not None and stretch.end < facts.period.end
        is_dark, is_cut = bool(meeting(stretch, site.dark)), bool(meeting(stretch, site.cut))
        if site.is_push and is_over and is_dark != is_cut:
            wanted, said = "power" if is_dark else "link", incident["cause_hint"]
            verdict.expect(said == wanted, describe(facts, site, stretch, f"hint {said}, and it was {wanted}"))
    return verdict
