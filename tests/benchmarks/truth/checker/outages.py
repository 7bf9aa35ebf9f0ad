"""Check outages against the truth: each that we could see is found once, and the truth lies within its bounds."""

from collections.abc import Iterator, Sequence
from typing import Any

from tests.benchmarks.truth.checker.facts import (
    BAD,
    BOOT_S,
    GRACE,
    LATE_S,
    TRIES_S,
    WRITTEN_S,
    Facts,
    Segment,
    Site,
    whole,
)
from tests.benchmarks.truth.checker.intervals import Interval, meeting, minus, moment
from tests.benchmarks.truth.checker.verdict import Verdict, at, describe


def outages(facts: Facts) -> Verdict:
    """Check that every outage we could see is down or unreachable, and has an incident if it is the site's own."""
    verdict, short = Verdict("outages found"), 0
    for site in facts.sites.values():
        bad = [whole(run) for run in site.spells(*BAD)]
        members = [bounds(facts, member) for member in facts.members(site.code)]
        for silence in site.silent:
            parts = list(visible(facts, site, silence))
            short += not parts
            for part in parts:
                verdict.expect(bool(meeting(part, bad)), describe(facts, site, part, "an outage that is missing"))
            own = [own for part in parts for own in minus(part, _above(facts, site))]
            if any(part.length_s >= facts.certain_s for part in own):
                is_found = bool(meeting(silence, members))
                verdict.expect(is_found, describe(facts, site, silence, "an outage without an incident"))
    verdict.notes.append(f"{short} silences too short or too hidden to contain two readings for certain")
    return verdict


def visible(facts: Facts, site: Site, silence: Interval) -> Iterator[Interval]:
    """Yield the parts of a silence that certainly contain two lost readings, or two missed pushes."""
    if not site.is_push:
        parts = minus(silence, [*facts.hidden, *site.paused])
        yield from (part for part in parts if part.length_s >= facts.certain_s)
        return
    for cut in meeting(silence, site.cut):
        near = cut.wider(facts.interval_s, facts.interval_s)
        if cut.length_s >= facts.certain_s and not any(near.holds(lost) for lost in site.lost):
            yield from (part for part in minus(cut, site.paused) if part.length_s >= facts.certain_s)
    for dark in meeting(silence, site.dark):
        near = dark.wider(site.send_every_s, site.send_every_s)
        if dark.length_s >= certain_power_s(site) and not meeting(near, [*facts.deaf, *site.paused]):
            yield dark


def certain_power_s(site: Site) -> float:
    """Return the length of a power cut that certainly holds two missed pushes of the site."""
    return (2 + GRACE) * site.send_every_s + WRITTEN_S


def incidents(facts: Facts) -> Verdict:
    """Check that no incident stands without an outage, nor one of a child's own behind its silent node."""
    verdict = Verdict("incidents with an outage")
    for site in facts.sites.values():
        slack_s = LATE_S + (BOOT_S + TRIES_S if site.is_push else 0)
        true = [silence.wider(LATE_S, slack_s) for silence in (*site.silent, *site.lossy)]
        for member in facts.members(site.code):
            stretch = bounds(facts, member)
            verdict.expected, verdict.found = verdict.expected + 1, verdict.found + 1
            if not meeting(stretch, true):
                verdict.invent(describe(facts, site, stretch, "an incident without an outage"))
            elif _is_hidden(facts, site, stretch):
                verdict.invent(describe(facts, site, stretch, "an incident of its own behind its silent node"))
    return verdict


def _is_hidden(facts: Facts, site: Site, stretch: Interval) -> bool:
    """Return whether all of the site's silence there lies behind its node's, which we could see."""
    above = [node.wider(facts.certain_s, facts.certain_s) for node in _above(facts, site)]
    silences = meeting(stretch, site.silent)
    return bool(silences) and not any(minus(silence, above) for silence in silences)


def _above(facts: Facts, site: Site) -> Sequence[Interval]:
    """Return the outages of the site's node that we could see."""
    node = facts.sites.get(site.parent or "")
    return [silence for silence in node.silent if any(visible(facts, node, silence))] if node else ()


def edges(facts: Facts) -> Verdict:
    """Check that both true edges of an outage lie within its bounds, in segments and in incidents."""
    verdict = Verdict("edges within bounds")
    for site in facts.sites.values():
        if site.lossy:
            continue
        runs = site.spells(*BAD)
        members = facts.members(site.code)
        for silence in site.silent:
            if met := [run for run in runs if whole(run).meets(silence)]:
                _segment_edges(facts, verdict, site, silence, met[0][0], met[-1][-1])
            own = minus(silence, _above(facts, site))
            if own == [silence] and (found := _meeting(facts, silence, members)):
                _incident_edges(facts, verdict, site, silence, found)
    return verdict


def _segment_edges(
    facts: Facts, verdict: Verdict, site: Site, silence: Interval, first: Segment, last: Segment
) -> None:
    early_s = TRIES_S if site.is_push else 0.0  # a push gets through with a row that its anchors did not answer
    sound = first.last_ok is not None and first.last_ok <= silence.start + LATE_S
    verdict.expect(sound, describe(facts, site, silence, f"begins before last_ok {at(facts, first.last_ok)}"))
    if last.end >= facts.period.end or meeting(Interval(last.end - LATE_S, last.end + LATE_S), site.paused):
        return
    if last.first_ok is None and _follows(site, last) == "unknown":  # we could not see its end
        return
    sound = last.first_ok is not None and last.first_ok >= silence.end - LATE_S - early_s
    verdict.expect(sound, describe(facts, site, silence, f"ends after first_ok {at(facts, last.first_ok)}"))


def _follows(site: Site, last: Segment) -> str | None:
    return next((segment.proven_state for segment in site.segments if segment.start == last.end), None)


def _meeting(facts: Facts, silence: Interval, members: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [member for member in members if bounds(facts, member).meets(silence)]


def _incident_edges(
    facts: Facts, verdict: Verdict, site: Site, silence: Interval, members: Sequence[dict[str, Any]]
) -> None:
    """Check the length of the outage against the truth: all silences that its incidents span."""
    if len(members) > 1:
        if not site.paused:
            verdict.invent(describe(facts, site, silence, f"one outage, {len(members)} incidents"))
        return
    (member,) = members
    if member["ended_at"] is None or site.paused:
        return
    spanned = meeting(bounds(facts, member), site.silent)
    true_s = spanned[-1].end - spanned[0].start
    low_s, high_s = member["duration_min_s"], member["duration_max_s"]
    sound = low_s is not None and high_s is not None and low_s - LATE_S <= true_s <= high_s + LATE_S
    verdict.add_error(member["duration_s"] - true_s)
    verdict.expect(sound, describe(facts, site, silence, f"lasted {true_s:.1f} s, said {low_s} to {high_s}"))


def bounds(facts: Facts, member: dict[str, Any]) -> Interval:
    """Return from an incident's start to its end, or the end of the period."""
    ended = member["ended_at"]
    return Interval(moment(member["started_at"]), moment(ended) if ended else facts.period.end)
