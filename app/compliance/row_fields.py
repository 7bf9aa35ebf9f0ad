"""A row of the compliance table as the API shows it. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.compliance.attested import attest
from app.compliance.row import ComplianceUnit, Speed
from app.compliance.shares import Judged, Share
from app.compliance.verdict_words import verdict_in_words

SECONDS = ("service_s", "counted_down_s", "unknown_s", "claimed_s", "availability_pct", "worst_pct", "best_pct")
COUNTS, BOUNDS = ("counted", "passed", "contested", "pct"), ("worst_pct", "best_pct")


def row_fields(unit: ComplianceUnit, provider: Any, days: int) -> dict[str, Any]:
    """Return the fields of ComplianceRow; the period is so many days long."""
    verdict = unit.verdict()
    return {
        "provider": provider.slug,
        "provider_name": provider.name,
        "technology": unit.technology,
        "contract_down_mbps": unit.tier.down_mbps,
        "contract_up_mbps": unit.tier.up_mbps,
        "sites": len(unit.lines),
        "drawn_sites": len(unit.lines.keys() & set(unit.drawn)),
        "verdict": verdict,
        "availability": _availability(unit),
        "download": _speed(unit.speed("down")),
        "upload": _speed(unit.speed("up")),
        "latency": _latency(unit),
        "not_made": dict(sorted(unit.not_made.items())),
        "attested_sites": len({each.site_id for each in attest(unit, days)}),
        "reason": verdict_in_words(unit, verdict),
    }


def attested_fields(
    unit: ComplianceUnit, provider: str, sites: Mapping[int, Any], days: int
) -> Iterator[dict[str, Any]]:
    """Yield the fields of the row's AttestedRows; `sites`: what each site is called by."""
    for each in attest(unit, days):
        yield {
            **sites[each.site_id],
            "provider": provider,
            "technology": unit.technology,
            "drawn": each.site_id in unit.drawn,
            "part": each.part,
            "why": each.reason,
            "count": each.amount,
        }


def _availability(unit: ComplianceUnit) -> dict[str, Any]:
    tally, stretches, judged = unit.availability
    targets = {stretch.target_pct for stretch in stretches}
    return {
        **_judged(judged),
        **{name: getattr(tally, name) for name in SECONDS},
        "excluded": dict(sorted(tally.excluded.items())),
        "target_pct": float(targets.pop()) if len(targets) == 1 else None,
    }


def _speed(speed: Speed) -> dict[str, Any]:
    share, evening = speed.counts.share, speed.counts.evening
    return {
        **_judged(speed.judged),
        "basis": speed.basis,
        "of_sites": speed.of_sites,
        "tested_sites": speed.tested_sites,
        **_share(share, (*COUNTS, *BOUNDS)),
        "unpromised": speed.counts.unpromised,
        "evening": _share(evening, COUNTS),
    }


def _latency(unit: ComplianceUnit) -> dict[str, Any]:
    looks, measured, judged = unit.latency
    names = ("counted", "passed", "pct")
    return {
        **_judged(judged),
        "limit_ms": unit.method.limit_ms[unit.technology],
        "measured_sites": measured,
        **_share(looks.share, names),
        "lost": looks.lost,
        "left_out": looks.left_out,
        "evening": {**_share(looks.evening, names), "lost": looks.evening_lost},
    }


def _judged(judged: Judged) -> dict[str, Any]:
    return {"result": judged.result, "doubt": judged.doubt}


def _share(share: Share, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(share, name) for name in names}
