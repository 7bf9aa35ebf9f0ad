"""Check that every second is counted once, and that regions are the sum of their access points by the date's facts."""

import math
from collections import Counter
from itertools import pairwise
from typing import Any

from tests.benchmarks.truth.checker.explained import OUT, states
from tests.benchmarks.truth.checker.facts import Action, Facts, Segment, Site
from tests.benchmarks.truth.checker.intervals import Interval, meeting, moment
from tests.benchmarks.truth.checker.outages import bounds
from tests.benchmarks.truth.checker.verdict import Verdict

CLAIMED = "claimed"


def seconds(facts: Facts) -> Verdict:
    """Check that each site's seconds equal the period, in total and in every row, and its segments by state."""
    verdict = Verdict("seconds add up")
    for site in facts.sites.values():
        total, series = site.uptime["total"], site.uptime["series"]
        for row in (total, *series):
            verdict.expect(states_of(row).total() == length_s(row), f"{site.code}: {row['seconds']} in {row}")
        summed_rows = sum((states_of(row) for row in series), Counter())
        verdict.expect(summed_rows == states_of(total), f"{site.code}: rows {summed_rows}, total {total['seconds']}")
        verdict.expect(length_s(total) == facts.period.length_s, f"{site.code}: {total['start']} to {total['end']}")
        verdict.expect(*_adds_up(facts, site, total))
    return verdict


def states_of(row: dict[str, Any]) -> Counter[str]:
    """Return a row's seconds by state; what rests on claims is a part of them."""
    return +Counter({name: n for name, n in row["seconds"].items() if name != CLAIMED})


def _adds_up(facts: Facts, site: Site, total: dict[str, Any]) -> tuple[bool, str]:
    """Return whether segments have no gap or overlap in service, and sum up to the counts by state."""
    summed = Counter(states(facts, site))
    gaps = [
        (first, second)
        for first, second in pairwise(site.segments)
        if first.end != second.start and not meeting(_between(first, second), site.paused)
    ]
    overlaps = [pair for pair in pairwise(site.segments) if pair[1].start < pair[0].end]
    claimed_s = sum(round(segment.stretch.length_s) for segment in site.segments if segment.is_claimed)
    sound = not gaps and not overlaps and summed == states_of(total) and claimed_s == total["seconds"][CLAIMED]
    counted = f"segments {dict(summed)}, {claimed_s} claimed, uptime {total['seconds']}"
    return sound, f"{site.code}: {counted}, gaps {gaps[:2]}, overlaps {overlaps[:2]}"


def _between(first: Segment, second: Segment) -> Interval:
    return Interval(min(first.end, second.start), max(first.end, second.start))


def one_definition(facts: Facts) -> Verdict:
    """Check that figures and incidents mean the same by an outage: how many, and the most seconds down of one."""
    verdict = Verdict("outages as figures say")
    for site in facts.sites.values():
        recorded, total = states(facts, site), site.uptime["total"]
        down_s = []
        for member in facts.members(site.code):
            stretch = bounds(facts, member)
            first, last = (max(0, round(edge - facts.period.start)) for edge in (stretch.start, stretch.end))
            down_s.append(recorded[first:last].count("down"))
        counted = [seconds for seconds in down_s if seconds]
        wanted, said = (len(counted), max(counted, default=0)), (total["outages"], total["longest_outage_s"])
        verdict.expect(wanted == said, f"{site.code}: incidents {wanted}, figures {said} (outages, longest)")
        by_cause = sum(total["down_by_cause"].values())
        verdict.expect(by_cause == total["seconds"]["down"], f"{site.code}: {by_cause} s by cause, {total['seconds']}")
    return verdict


def regions(facts: Facts) -> Verdict:
    """Check each row of each region: the seconds of what was an access point there, second by second.

    The seconds in which a change of kind or village was under way may count on either side.
    """
    verdict = Verdict("regions are sums")
    for code, uptime in facts.regions.items():
        for row in (uptime["total"], *uptime["series"]):
            low: Counter[str] = Counter()
            high: Counter[str] = Counter()
            first, last = (math.floor(moment(row[edge]) - facts.period.start) for edge in ("start", "end"))
            for site in facts.sites.values():
                _add(facts, site, code, (first, last), low, high)
            wrong = {name: n for name, n in row["seconds"].items() if not low[name] <= n <= high[name]}
            wanted = {name: (low[name], high[name]) for name in wrong}
            verdict.expect(not wrong, f"{code} from {row['start']}: counted {wrong}, true {wanted}")
    return verdict


def _add(facts: Facts, site: Site, region: str, within: tuple[int, int], low: Counter[str], high: Counter[str]) -> None:
    recorded, proven = states(facts, site), states(facts, site, proven=True)
    for first, last, places in _placed(facts, site):
        span = slice(max(first, within[0]), max(min(last, within[1]), within[0], first))
        there = [kind == "access_point" and f"{village}.".startswith(f"{region}.") for kind, village in places]
        if any(there):
            counted = Counter(recorded[span])
            counted[CLAIMED] = sum(shown != state for shown, state in zip(recorded[span], proven[span], strict=True))
            high.update(counted)
            if all(there):
                low.update(counted)


def _placed(facts: Facts, site: Site) -> list[tuple[int, int, set[tuple[str, str]]]]:
    """Return (from, to, {(kind, village)}) in seconds of the period; more than one while a change was under way."""
    placed, since, current = [], 0, (site.kind, site.village)
    for action in site.actions:
        if action.what not in ("kind", "move"):
            continue
        began = math.floor(action.began - facts.period.start)
        done = math.ceil(action.done - facts.period.start) + 1
        following = _after(current, action)
        placed += [(since, began, {current}), (began, done, {current, following})]
        since, current = done, following
    return [*placed, (since, round(facts.period.length_s), {current})]


def _after(current: tuple[str, str], action: Action) -> tuple[str, str]:
    assert action.value is not None
    return (action.value, current[1]) if action.what == "kind" else (current[0], action.value)


def unchanged(facts: Facts) -> Verdict:
    """Check that a change of today left the same questions about the past with the same answers."""
    verdict = Verdict("the past unchanged")
    for snapshot in facts.snapshots:
        before, after = snapshot["before"], snapshot["after"]
        verdict.expect(before == after, f"{snapshot['question']} around {snapshot['change']}:\n  {before}\n  {after}")
    return verdict


def out_of_service(facts: Facts) -> Verdict:
    """Check that a suspended or retired site has as many inactive seconds."""
    verdict = Verdict("suspended, retired")
    for site in facts.sites.values():
        if site.paused:
            wanted = sum(min(pause.end, facts.period.end) - pause.start for pause in site.paused)
            found = site.uptime["total"]["seconds"][OUT]
            verdict.add_error(found - wanted)
            sound = abs(found - wanted) <= 2 * len(site.paused)
            verdict.expect(sound, f"{site.code}: {found} s inactive, out of service for {wanted:.1f}")
    return verdict


def length_s(row: dict[str, Any]) -> float:
    return moment(row["end"]) - moment(row["start"])
