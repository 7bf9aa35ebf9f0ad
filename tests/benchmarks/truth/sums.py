"""Every second accounted for."""

from collections import Counter
from itertools import pairwise
from typing import Any

from tests.benchmarks.truth.facts import BAD, LATE_S, Facts, Segment, Site
from tests.benchmarks.truth.stretches import Stretch, meeting, moment
from tests.benchmarks.truth.verdict import Verdict, told


def seconds(facts: Facts) -> Verdict:
    """Each site's seconds equal the period, whole and in every row; so do its segments, state by state."""
    verdict = Verdict("seconds")
    for site in facts.sites.values():
        total, series = site.uptime["total"], site.uptime["series"]
        for row in (total, *series):
            verdict.expect(sum(row["seconds"].values()) == length_s(row), f"{site.code}: {row['seconds']} in {row}")
        together = sum((Counter(row["seconds"]) for row in series), Counter())
        verdict.expect(together == Counter(total["seconds"]), f"{site.code}: rows {together}, total {total['seconds']}")
        verdict.expect(length_s(total) == facts.period.length_s, f"{site.code}: {total['start']} to {total['end']}")
        verdict.expect(*_adds_up(facts, site, total["seconds"]))
    return verdict


def _adds_up(facts: Facts, site: Site, counted: dict[str, int]) -> tuple[bool, str]:
    """Segments without gap or overlap to the period's end, as long together as what is counted of each state."""
    said: Counter[str] = Counter()
    for segment in site.segments:
        said[segment.state] += round(segment.stretch.length_s)
    pairs = list(pairwise(site.segments))
    gaps = [(one, two) for one, two in pairs if one.end != two.start and not meeting(_between(one, two), site.paused)]
    ends = site.segments[-1].end if site.segments else None
    expected = Counter({state: n for state, n in counted.items() if state not in {"inactive", "maintenance"}})
    sound = not gaps and ends == facts.period.end and (counted["maintenance"] > 0 or said == expected)
    return sound, f"{site.code}: segments {dict(said)}, uptime {counted}, gaps {gaps[:2]}, end {ends}"


def _between(one: Segment, two: Segment) -> Stretch:
    return Stretch(min(one.end, two.start), max(one.end, two.start))


def pauses(facts: Facts) -> Verdict:
    """A site that was suspended over REST has as many inactive seconds, and no outage in or just after them."""
    verdict = Verdict("suspended and back")
    for site in facts.sites.values():
        if not site.paused:
            continue
        wanted, found = sum(p.length_s for p in site.paused), site.uptime["total"]["seconds"]["inactive"]
        verdict.err(found - wanted)
        verdict.expect(
            abs(found - wanted) <= 2 * LATE_S, f"{site.code}: {found} s inactive, suspended for {wanted:.1f}"
        )
        for pause in site.paused:
            for segment in site.segments:
                if segment.state in BAD and segment.stretch.meets(pause.wider(0, facts.interval_s)):
                    verdict.invent(told(facts, site, pause, "down while it was suspended"))
    return verdict


def length_s(row: dict[str, Any]) -> float:
    return moment(row["end"]) - moment(row["start"])
