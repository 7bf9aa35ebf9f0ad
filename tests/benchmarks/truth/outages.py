"""Check outages against the truth: found, invented, behind a node, and dated.

Cases that depend on chance (a silence too short to contain two readings for certain, a boundary in a blind range) are
counted as exempt.
"""

from tests.benchmarks.truth.facts import BAD, LATE_S, LOOK_S, Facts, Segment, Site, whole
from tests.benchmarks.truth.intervals import Interval, meeting, minus
from tests.benchmarks.truth.verdict import Verdict, at, describe, judged


def outages(facts: Facts) -> Verdict:
    """Check that every visible silence is down or unreachable, and none that is too short to confirm."""
    verdict, by_chance, short = Verdict("outages found"), 0, 0
    for site in facts.sites.values():
        bad = [whole(run) for run in site.spells(*BAD)]
        for silence in site.silent:
            visible = [part for part in minus(silence, facts.hidden) if part.length_s >= facts.certain_s]
            for part in visible:
                verdict.expect(bool(meeting(part, bad)), describe(facts, site, silence, "not found"))
            if silence.length_s < facts.interval_s and meeting(silence, bad) and not site.lossy:
                verdict.invent(describe(facts, site, silence, "found, though too short for two readings"))
            elif not visible:
                verdict.exempt, short = verdict.exempt + 1, short + 1
                by_chance += bool(meeting(silence, bad))
    verdict.notes.append(f"{short} silences shorter than {facts.certain_s:g} s or hidden: {by_chance} found by chance")
    return verdict


def inventions(facts: Facts) -> Verdict:
    """Check that nothing is down or unreachable without a silence, or through a visible time with answers."""
    verdict = Verdict("outages invented")
    for site in facts.sites.values():
        near_loss = [interval.wider(LATE_S, 2 * facts.interval_s) for interval in site.lossy]
        for segment in site.segments:
            if segment.state not in BAD or meeting(segment.stretch, near_loss):
                continue
            true = meeting(segment.stretch, [interval.wider(LATE_S, 0) for interval in site.silent])
            verdict.expected, verdict.found = verdict.expected + 1, verdict.found + bool(true)
            if not true:
                verdict.invent(describe(facts, site, segment.stretch, "no silence"))
            for answers in minus(segment.stretch, site.silent):
                if answers.length_s > facts.interval_s + LATE_S + LOOK_S and not meeting(answers, facts.hidden):
                    verdict.invent(describe(facts, site, answers, "answered all the time"))
    return verdict


def unreachables(facts: Facts) -> Verdict:
    """Check that a silent site behind a node that is down is unreachable, and no other."""
    verdict = Verdict("unreachable behind a node")
    for site in facts.sites.values():
        parent = facts.sites.get(site.parent or "")
        for run in parent.spells(*BAD) if parent else ():
            out = whole(run)
            for silence in meeting(out, site.silent):
                both = Interval(max(out.start, silence.start), min(out.end, silence.end))
                if any(part.length_s >= facts.certain_s for part in minus(both, facts.hidden)):
                    verdict.expect(*_is_unreachable(facts, site, both))
        for segment in site.segments:
            if segment.state == "unreachable" and not (parent and meeting(segment.stretch, parent.silent)):
                verdict.invent(describe(facts, site, segment.stretch, "its node answered"))
    return verdict


def _is_unreachable(facts: Facts, site: Site, both: Interval) -> tuple[bool, str]:
    """Return whether the site is unreachable; up to an interval after the node was lost it may still be down."""
    within = [segment for segment in site.segments if segment.stretch.meets(both)]
    settled = Interval(both.start + facts.interval_s + LATE_S, both.end)
    sound = any(segment.state == "unreachable" for segment in within) and not any(
        segment.state == "down" and segment.stretch.meets(settled) for segment in within
    )
    return sound, describe(facts, site, both, "not unreachable while its node was down")


def boundaries(facts: Facts) -> Verdict:
    """Check that each boundary is within an interval of the truth, and the truth within the recorded bounds."""
    verdict = Verdict("boundaries and bounds")
    for site in facts.sites.values():
        runs = site.spells(*BAD)
        for silence in site.silent:
            met = [run for run in runs if whole(run).meets(silence)]
            if met and not meeting(silence, site.lossy):
                _begins(facts, verdict, site, silence, met[0][0])
                _ends(facts, verdict, site, silence, met[-1][-1])
    return verdict


def _begins(facts: Facts, verdict: Verdict, site: Site, silence: Interval, first: Segment) -> None:
    if not judged(facts, silence, silence.start):
        verdict.exempt += 1
        return
    error = first.start - silence.start
    sound = -LATE_S <= error <= facts.interval_s + LATE_S
    sound = sound and first.last_ok is not None and first.last_ok <= silence.start + LATE_S
    verdict.add_error(error)
    verdict.expect(
        sound, describe(facts, site, silence, f"begin off by {error:.1f} s, last_ok {at(facts, first.last_ok)}")
    )


def _ends(facts: Facts, verdict: Verdict, site: Site, silence: Interval, last: Segment) -> None:
    if not judged(facts, silence, silence.end):
        verdict.exempt += 1
        return
    error = last.end - silence.end
    sound = -LOOK_S - LATE_S <= error <= facts.interval_s + LATE_S
    sound = sound and last.first_ok is not None and last.first_ok >= silence.end - LOOK_S - LATE_S
    verdict.add_error(error)
    verdict.expect(
        sound, describe(facts, site, silence, f"end off by {error:.1f} s, first_ok {at(facts, last.first_ok)}")
    )
