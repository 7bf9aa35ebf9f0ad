"""Check what rows do that were invented for a stretch in which a device was silent: they are claims, not proof."""

from typing import Any

from tests.benchmarks.truth.checker.facts import GOOD, LATE_S, Facts, Site
from tests.benchmarks.truth.checker.intervals import Interval, common, meeting
from tests.benchmarks.truth.checker.outages import bounds, visible
from tests.benchmarks.truth.checker.verdict import Verdict, describe

MARGIN_S = 2.0  # a look's slot and a silence's edges are whole seconds


def forged(facts: Facts) -> Verdict:
    """Check that an outage stands in spite of rows forged for it: its incident, its mark, its worst case."""
    verdict = Verdict("forged rows")
    for site in facts.sites.values():
        for forgery in site.forged:
            for silence in meeting(forgery.claimed, site.silent):
                if not any(visible(facts, site, silence)):
                    verdict.exempt += 1
                    continue
                standing = meeting(silence, [bounds(facts, member) for member in facts.members(site.code)])
                verdict.expect(bool(standing), describe(facts, site, silence, "forged away: no incident stands"))
                refuted = [_mark(member) for member in facts.members(site.code)]
                is_marked = any(all(mark.values()) for mark in refuted)
                verdict.expect(is_marked, describe(facts, site, silence, f"marked as refuted by its device: {refuted}"))
                for segment in site.segments:
                    for part in common(segment.stretch, _core(site.send_every_s, silence)):
                        if segment.state in GOOD:
                            verdict.invent(describe(facts, site, part, "good on forged rows alone"))
        if site.forged:
            _worst(facts, verdict, site.code)
        else:
            _honest(facts, verdict, site)
    return verdict


def _honest(facts: Facts, verdict: Verdict, site: Site) -> None:
    """Check that a device that told the truth contests no more of an outage than it was not silent in."""
    for member in facts.members(site.code):
        outage = bounds(facts, member)
        silent_s = sum(part.length_s for silence in site.silent for part in common(outage, silence))
        if member["refuted_at"] is not None and member["refuted_s"] > outage.length_s - silent_s + MARGIN_S:
            said = f"refuted by an honest device: {_mark(member)}"
            verdict.invent(describe(facts, site, outage, said))


def _mark(member: dict[str, Any]) -> dict[str, Any]:
    """Return what an incident says of the device that contests it: when, how much, which signs, from where."""
    return {name: member[f"refuted_{name}"] for name in ("at", "s", "signs", "from")}


def _core(send_every_s: float, silence: Interval) -> Interval:
    """Return the part of a silence whose first push was certainly missed."""
    return Interval(silence.start + send_every_s + LATE_S, silence.end)


def _worst(facts: Facts, verdict: Verdict, code: str) -> None:
    """Check that the worst case takes the silence as bad: `worst_pct` is at most the truly good share."""
    site = facts.sites[code]
    total = site.uptime["total"]
    silent_s = sum(_core(site.send_every_s, silence).length_s for silence in site.silent)
    in_service_s = facts.period.length_s - total["seconds"]["inactive"] - total["seconds"]["maintenance"]
    most_pct = 100 * (1 - silent_s / in_service_s)
    verdict.expect(total["worst_pct"] <= most_pct, f"{code}: worst_pct {total['worst_pct']}, true {most_pct:.3f}")
