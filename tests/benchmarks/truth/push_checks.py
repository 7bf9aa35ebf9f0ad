"""Check the segments of push sites against the truth.

A link outage is reported afterwards by the agent, reading by reading: it is dated to a beat. A power cut is not
reported: two missed pushes are an outage, from the first of them on.
"""

from tests.benchmarks.truth.facts import BAD, LATE_S, Facts, whole
from tests.benchmarks.truth.intervals import Interval, meeting, minus, moment
from tests.benchmarks.truth.verdict import Verdict, describe

LOOK_S = 2.0  # three packets, a second apart: a reading that begins before an outage may still be answered
TRIES_S = 11.0  # a reading and its SYN retries: interval that arrives by the last of them counts as up at its date
BOOT_S = 12.0  # after the power is back
GRACE = 0.4  # of the sending interval, before a silence is one
WRITTEN_S = 5.0


def outages(facts: Facts) -> Verdict:
    """Check that every outage that certainly contains two readings is found, both ends dated to a beat.

    Exempt are outages whose readings were lost with a later power cut. The last reading before the link is back may be
    the interval that gets through: it counts as up.
    """
    verdict, beat_s, short = Verdict("outages of the link"), facts.interval_s, 0
    for site in facts.sites.values():
        bad = [whole(run) for run in site.spells(*BAD)]
        for outage in site.cut:
            if any(outage.wider(beat_s, beat_s).holds(at) for at in site.lost):
                verdict.exempt += 1
                continue
            if outage.length_s < 2 * beat_s + LOOK_S + TRIES_S + LATE_S:
                short += 1
                continue
            met = meeting(outage, bad)
            verdict.expect(bool(met), describe(facts, site, outage, "not found"))
            if met:
                begins, ends = met[0].start - outage.start, met[-1].end - outage.end
                sound = -LATE_S <= begins <= beat_s + LOOK_S + LATE_S
                sound = sound and -TRIES_S - LATE_S <= ends <= beat_s + LATE_S
                verdict.add_error(begins)
                verdict.add_error(ends)
                verdict.expect(sound, describe(facts, site, outage, f"off by {begins:.1f} s and {ends:.1f} s"))
    verdict.notes.append(f"{short} too short to contain two readings for certain")
    return verdict


def power(facts: Facts) -> Verdict:
    """Check that a long silence is an outage from the first missed push to the next one received."""
    verdict = Verdict("power cuts")
    for site in facts.sites.values():
        send_s = facts.send_every_s[site.code]
        certain_s = (2 + GRACE) * send_s + WRITTEN_S
        bad = [whole(run) for run in site.spells(*BAD)]
        for cut in site.dark:
            if cut.length_s < certain_s or meeting(cut.wider(send_s, send_s), facts.deaf):
                verdict.exempt += 1
                continue
            met = meeting(cut, bad)
            verdict.expect(bool(met), describe(facts, site, cut, "not found"))
            if met:
                begins, ends = met[0].start - cut.start, met[-1].end - cut.end
                sound = -LATE_S <= begins <= send_s + LATE_S and -LATE_S <= ends <= BOOT_S + TRIES_S + LATE_S
                verdict.add_error(begins)
                verdict.add_error(ends)
                verdict.expect(sound, describe(facts, site, cut, f"off by {begins:.1f} s and {ends:.1f} s"))
    return verdict


def inventions(facts: Facts) -> Verdict:
    """Check that sites are down only during true outages: not through our blindness, a restart or a kill."""
    verdict = Verdict("outages invented")
    for site in facts.sites.values():
        true = [interval.wider(LATE_S, facts.interval_s + LATE_S) for interval in site.cut]
        true += [interval.wider(LATE_S, BOOT_S + TRIES_S + LATE_S) for interval in site.dark]
        for segment in site.segments:
            if segment.state not in BAD:
                continue
            verdict.expected, verdict.found = verdict.expected + 1, verdict.found + 1
            for left in minus(segment.stretch, true):
                if left.length_s >= 1:
                    verdict.invent(describe(facts, site, left, "down without a true outage"))
    return verdict


def knowledge(facts: Facts) -> Verdict:
    """Check that sites are unknown only before their first push, and around power cuts that lost readings."""
    verdict = Verdict("known all along")
    for site in facts.sites.values():
        send_s, known = facts.send_every_s[site.code], site.first_known
        lost = [interval.wider(send_s + LATE_S, send_s + BOOT_S + TRIES_S) for interval in site.dark]
        lost += [Interval(at, at).wider(send_s, send_s + TRIES_S) for at in site.lost]
        for segment in site.segments:
            stretch = Interval(max(segment.start, known), segment.end)
            if segment.state == "unknown" and stretch.length_s > 0:
                for left in minus(stretch, lost):
                    verdict.expect(left.length_s < 1, describe(facts, site, left, f"unknown ({segment.reason})"))
            else:
                verdict.expect(True, "")
    return verdict


def hints(facts: Facts) -> Verdict:
    """Check cause hints: power where the device rebooted during the outage, link where it did not."""
    verdict = Verdict("hints of the cause")
    for member in facts.incidents or ():
        site = facts.sites[member["code"]]
        if member["ended_at"] is None or member["kind"] == "shared":
            continue
        span = Interval(moment(member["started_at"]), moment(member["ended_at"]))
        is_dark, is_cut = meeting(span, site.dark), meeting(span, site.cut)
        if bool(is_dark) != bool(is_cut):
            wanted = "power" if is_dark else "link"
            said = member["cause_hint"]
            verdict.expect(said == wanted, describe(facts, site, span, f"hint {said}, and it was {wanted}"))
    return verdict


CHECKS = (outages, power, inventions, knowledge, hints)
