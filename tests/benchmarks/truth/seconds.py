"""Check that every second is counted once."""

from collections import Counter
from itertools import pairwise
from typing import Any

from tests.benchmarks.truth.facts import BAD, LATE_S, Facts, Segment, Site
from tests.benchmarks.truth.intervals import Interval, meeting, moment
from tests.benchmarks.truth.verdict import Verdict, describe


def seconds(facts: Facts) -> Verdict:
    """Check that each site's seconds equal the period, in total and in every row, and its segments by state."""
    verdict = Verdict("seconds")
    for site in facts.sites.values():
        total, series = site.uptime["total"], site.uptime["series"]
        for row in (total, *series):
            verdict.expect(sum(row["seconds"].values()) == length_s(row), f"{site.code}: {row['seconds']} in {row}")
        summed_rows = sum((Counter(row["seconds"]) for row in series), Counter())
        verdict.expect(
            summed_rows == Counter(total["seconds"]), f"{site.code}: rows {summed_rows}, total {total['seconds']}"
        )
        verdict.expect(length_s(total) == facts.period.length_s, f"{site.code}: {total['start']} to {total['end']}")
        verdict.expect(*_adds_up(facts, site, total["seconds"]))
    return verdict


def _adds_up(facts: Facts, site: Site, counted: dict[str, int]) -> tuple[bool, str]:
    """Return whether segments have no gap or overlap up to the period's end, and sum up to the counts by state."""
    summed: Counter[str] = Counter()
    for segment in site.segments:
        summed[segment.state] += round(segment.stretch.length_s)
    pairs = list(pairwise(site.segments))
    gaps = [
        (first, second)
        for first, second in pairs
        if first.end != second.start and not meeting(_between(first, second), site.paused)
    ]
    ends = site.segments[-1].end if site.segments else None
    expected = Counter({state: n for state, n in counted.items() if state not in {"inactive", "maintenance"}})
    sound = not gaps and ends == facts.period.end and (counted["maintenance"] > 0 or summed == expected)
    return sound, f"{site.code}: segments {dict(summed)}, uptime {counted}, gaps {gaps[:2]}, end {ends}"


def _between(first: Segment, second: Segment) -> Interval:
    return Interval(min(first.end, second.start), max(first.end, second.start))


def pauses(facts: Facts) -> Verdict:
    """Check that a suspended site has as many inactive seconds, and no outage in or just after them."""
    verdict = Verdict("suspended and back")
    for site in facts.sites.values():
        if not site.paused:
            continue
        wanted, found = sum(p.length_s for p in site.paused), site.uptime["total"]["seconds"]["inactive"]
        verdict.add_error(found - wanted)
        verdict.expect(
            abs(found - wanted) <= 2 * LATE_S, f"{site.code}: {found} s inactive, suspended for {wanted:.1f}"
        )
        for pause in site.paused:
            for segment in site.segments:
                if segment.state in BAD and segment.stretch.meets(pause.wider(0, facts.interval_s)):
                    verdict.invent(describe(facts, site, pause, "down while it was suspended"))
    return verdict


def length_s(row: dict[str, Any]) -> float:
    return moment(row["end"]) - moment(row["start"])
