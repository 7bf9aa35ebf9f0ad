"""Explain every second of every site: the recorded state must be one that the truth around it allows.

Each true stretch may show so long before and after itself: an answer until the next reading is lost, a loss until the
next reading is answered. What no rule allows is unexplained.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

from tests.benchmarks.truth.checker.facts import (
    BAD,
    BOOT_S,
    GOOD,
    GRACE,
    LATE_S,
    LOOK_S,
    TRIES_S,
    WAIT_S,
    Facts,
    Site,
)
from tests.benchmarks.truth.checker.intervals import Interval, common, meeting, minus, moment
from tests.benchmarks.truth.checker.outages import certain_power_s, visible
from tests.benchmarks.truth.checker.verdict import Verdict, describe

QUIET_S = 35.0  # every site has been seen by then
SPEED_TEST_S = 4.0  # after a link's last byte losses may be those of a speed test of ours
WINDOW_READINGS = 10  # loss is pooled over this many readings
OUT = "inactive"  # no segment

Rule = tuple[Interval, tuple[str, ...]]


def explained(facts: Facts) -> Verdict:
    """Check every site-second; a run of unexplained ones is one failure."""
    verdict = Verdict("seconds explained")
    unexplained_s = 0
    for site in facts.sites.values():
        allowed = _painted(facts, rules(facts, site))
        _allow_degraded(facts, site, allowed)
        recorded = states(facts, site, proven=True)
        verdict.expected += len(recorded)
        wrong = [n for n, state in enumerate(recorded) if state not in allowed[n]]
        verdict.found += len(recorded) - len(wrong)
        unexplained_s += len(wrong)
        for first, last in _runs(wrong):
            stretch = Interval(facts.period.start + first, facts.period.start + last + 1)
            problem = f"{recorded[first]} and not {', '.join(sorted(allowed[first])) or 'anything'}"
            verdict.invent(describe(facts, site, stretch, problem))
    verdict.notes.append(f"{verdict.expected} site-seconds, {unexplained_s} of them unexplained")
    return verdict


def states(facts: Facts, site: Site, *, proven: bool = False) -> list[str]:
    """Return the recorded state of each second of the period, OUT without a segment; `proven`: without claims."""
    seconds = [OUT] * round(facts.period.length_s)
    for segment in site.segments:
        low, high = _seconds(facts, segment.stretch)
        seconds[low:high] = [segment.proven_state if proven else segment.state] * (high - low)
    return seconds


def rules(facts: Facts, site: Site) -> Iterator[Rule]:
    """Yield which states are allowed when; a second is explained by any of them."""
    yield Interval(facts.period.start, facts.period.start + QUIET_S), ("unknown",)
    for pause in site.paused:
        yield pause.wider(LATE_S, LATE_S), (OUT,)
        yield Interval(pause.start - LATE_S, pause.start + LATE_S), GOOD  # a whole second is counted once
        yield Interval(pause.end - LATE_S, pause.end + 2 * facts.interval_s + site.send_every_s), ("unknown",)
    yield from _push_rules(facts, site) if site.is_push else _central_rules(facts, site)


def _central_rules(facts: Facts, site: Site) -> Iterator[Rule]:
    unseen = [*facts.blind, *(Interval(stop.killed, stop.back) for stop in facts.stops if stop.child == "worker")]
    for part in minus(Interval(0, math.inf), [*unseen, *site.silent, *site.paused]):
        yield part.wider(LOOK_S + LATE_S, facts.interval_s + LATE_S), ("up",)
    for silence in site.silent:
        for part in minus(silence, site.paused):
            yield from _silence(facts, site, part, unseen)
    for hidden in facts.hidden:
        yield hidden.wider(facts.interval_s, facts.interval_s + LOOK_S), ("unknown",)
    for lossy in site.lossy:
        yield lossy.wider(LATE_S, 2 * facts.interval_s), ("up", *BAD)
    for row in site.readings:
        at = moment(row["slot"])
        if row["outcome"] == "fault" and row["reason"] == "speed test" and _begins_near(at, site.silent):
            yield Interval(at, at + facts.interval_s + LATE_S), ("unknown",)


def _begins_near(at: float, silences: Sequence[Interval]) -> bool:
    """Whether a silence began so shortly before that the bytes of a speed test may still have been on their way."""
    return any(silence.start - LOOK_S <= at <= silence.start + SPEED_TEST_S for silence in silences)


def _silence(facts: Facts, site: Site, silence: Interval, unseen: Sequence[Interval]) -> Iterator[Rule]:
    until_read_s = facts.interval_s + LATE_S
    for part in minus(silence, unseen):
        yield from _bad(facts, site, part, until_read_s)
    parts = minus(silence, facts.hidden)
    for part in parts:
        if part.length_s < facts.certain_s:
            yield part.wider(LATE_S, until_read_s), ("up",)
            if parts != [silence]:
                yield part.wider(LATE_S, until_read_s), ("unknown",)


def _bad(facts: Facts, site: Site, silence: Interval, after_s: float) -> Iterator[Rule]:
    """Yield `unreachable` from the node's last answer to its recovery, else `down`; both if that loss is short."""
    node = facts.sites.get(site.parent or "")
    certain = [lost for lost in node.silent if any(visible(facts, node, lost))] if node else []
    for own in minus(silence, certain):
        yield own.wider(LATE_S, after_s), ("down",)
    for lost in node.silent if node else ():
        near = lost.wider(facts.interval_s + LOOK_S + LATE_S, facts.interval_s + LATE_S)
        for both in common(silence, near):
            yield both.wider(LATE_S, after_s), ("unreachable",)


def _push_rules(facts: Facts, site: Site) -> Iterator[Rule]:
    beat_s, send_s = facts.interval_s, site.send_every_s
    until_missed_s = max(beat_s + LOOK_S, send_s) + LATE_S
    for part in minus(Interval(0, math.inf), [*site.silent, *site.paused]):
        yield part.wider(LOOK_S + LATE_S, until_missed_s), ("up",)
    for cut in [part for whole in site.cut for part in minus(whole, site.paused)]:
        yield from _bad(facts, site, cut, beat_s + LOOK_S + LATE_S)
        if cut.length_s < facts.certain_s:
            yield cut, ("up",)
    for dark in [part for whole in site.dark for part in minus(whole, site.paused)]:
        yield dark.wider(LATE_S, BOOT_S + TRIES_S + LATE_S), ("down",)
        if dark.length_s < certain_power_s(site) or meeting(dark.wider(send_s, send_s), facts.deaf):
            yield dark.wider(send_s + LATE_S, send_s + BOOT_S + TRIES_S), ("up", "unknown")
    for silence in site.silent:
        for deaf in facts.deaf:
            if Interval(silence.end, silence.end + beat_s + TRIES_S).meets(deaf):  # nobody could hear that it is back
                yield Interval(silence.end, deaf.end + beat_s + TRIES_S + LATE_S), BAD
    for at in site.lost:
        yield Interval(at, at).wider(send_s, send_s + TRIES_S), (*GOOD, "unknown", "down")
    for deaf in facts.deaf:
        yield deaf.wider(2 * send_s, (2 + GRACE) * send_s + TRIES_S + WAIT_S), ("unknown", "up")


def _allow_degraded(facts: Facts, site: Site, allowed: list[set[str]]) -> None:
    """Allow `degraded` wherever `up` is allowed near a disturbance: loss is pooled over several readings."""
    after_s = (WINDOW_READINGS + 1) * facts.interval_s + (site.send_every_s if site.is_push else 0)
    for disturbed in site.disturbed:
        low, high = _seconds(facts, disturbed.wider(facts.interval_s + LOOK_S, after_s))
        for states_allowed in allowed[low:high]:
            if "up" in states_allowed:
                states_allowed.add("degraded")


def _painted(facts: Facts, given: Iterable[Rule]) -> list[set[str]]:
    allowed: list[set[str]] = [set() for _ in range(round(facts.period.length_s))]
    for stretch, names in given:
        low, high = _seconds(facts, stretch)
        for second in allowed[low:high]:
            second.update(names)
    return allowed


def _seconds(facts: Facts, stretch: Interval) -> tuple[int, int]:
    """Return the seconds of the period that a stretch touches, as a range."""
    last = facts.period.length_s
    low = min(max(stretch.start - facts.period.start, 0), last)
    high = min(max(stretch.end - facts.period.start, 0), last)
    return math.floor(low), math.ceil(high)


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for number in numbers:
        if last is not None and number != last + 1:
            yield first or 0, last
            first = None
        first = number if first is None else first
        last = number
    if last is not None:
        yield first or 0, last
