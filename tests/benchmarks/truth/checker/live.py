"""Check the states that `/status` showed during the run: soon true, and never older than their evidence."""

import math

from tests.benchmarks.truth.checker.explained import QUIET_S
from tests.benchmarks.truth.checker.facts import BAD, BOOT_S, GOOD, GRACE, LATE_S, LOOK_S, TRIES_S, WAIT_S, Facts, Site
from tests.benchmarks.truth.checker.intervals import Interval, meeting, minus
from tests.benchmarks.truth.checker.verdict import Verdict, describe

SHOWN_S = 10.0  # judged, written and read into the next answer


def live(facts: Facts) -> Verdict:
    """Check each sample of `/status` against what was true shortly before it."""
    verdict = Verdict("status while it ran")
    for site in facts.sites.values():
        allowed = _allowed(facts, site)
        for at, shown in facts.statuses:
            state = shown.get(site.code)
            if state is None:
                verdict.expect(bool(meeting(Interval(at - SHOWN_S, at), site.paused)), f"{site.code} is missing")
                continue
            stretches = allowed["good" if state in GOOD else "bad" if state in BAD else "unknown"]
            sound = bool(meeting(Interval(at - LATE_S, at + LATE_S), stretches))
            verdict.expect(sound, describe(facts, site, Interval(at, at + 1), f"shown as {state}"))
    verdict.notes.append(f"{len(facts.statuses)} samples")
    return verdict


def _allowed(facts: Facts, site: Site) -> dict[str, list[Interval]]:
    """Return when a site may be shown as good, bad or unknown."""
    lasts_s = _certain_s(facts, site) + SHOWN_S
    silent, paused = site.silent, site.paused
    unseen = facts.deaf if site.is_push else [*facts.blind, *_stopped(facts)]
    answered = minus(Interval(0, math.inf), [*silent, *paused, *unseen])
    again_s = (site.send_every_s + BOOT_S if site.is_push else facts.interval_s) + TRIES_S + SHOWN_S
    hidden = [*facts.hidden, *unseen, *paused, *(site.dark if site.is_push else ())]
    return {
        "good": [stretch.wider(LOOK_S, lasts_s) for stretch in answered],
        "bad": [stretch.wider(0, again_s) for stretch in (*silent, *site.lossy)],
        "unknown": [
            Interval(0, facts.period.start + QUIET_S),
            *(stretch.wider(0, lasts_s + again_s) for stretch in hidden),
            *(Interval(stretch.start, stretch.start + lasts_s) for stretch in silent),  # lost, and not yet confirmed
            *(stretch.wider(0, lasts_s) for stretch in site.lossy),
        ],
    }


def _certain_s(facts: Facts, site: Site) -> float:
    """Return after how long a silence has certainly shown."""
    if site.is_push:
        return (2 + GRACE) * site.send_every_s + facts.interval_s + TRIES_S
    return facts.certain_s + WAIT_S


def _stopped(facts: Facts) -> list[Interval]:
    return [Interval(stop.killed, stop.back) for stop in facts.stops if stop.child == "worker"]
