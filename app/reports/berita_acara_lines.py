"""The tables of a berita acara, a row a line: sites, outages, the arithmetic of restitution. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from app.availability.contract_columns import EXCLUDED, LINK_ROLES
from app.contracts.restitution_amounts import RestitutionStatus
from app.contracts.rupiah import round_half_up
from app.core.clock import to_wita
from app.documents.figures import NOTHING, bounds, grouped, hours, rupiah, share, target
from app.registry.indonesian import CAUSES, TECHNOLOGIES, VERDICTS
from app.reports.figure_schemas import (
    ReportOutage,
    ReportSite,
    ReportStretch,
    ReportTotals,
    RestitutionLine,
    SecondsCounted,
)
from app.reports.schemas import ReportData

STATUS_WORDS = {
    RestitutionStatus.NONE: "tidak ada restitusi",
    RestitutionStatus.DUE: "restitusi",
    RestitutionStatus.NOT_PROVABLE: "tidak dapat dibuktikan",
    RestitutionStatus.NO_RULE: "tanpa aturan",
    RestitutionStatus.NO_FEE: "tanpa biaya",
}
STEPPED = {RestitutionStatus.DUE, RestitutionStatus.NOT_PROVABLE}
NOT_COMPUTED = {RestitutionStatus.NO_RULE, RestitutionStatus.NO_FEE}


def by_length(excluded: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return reasons with their seconds, the longest first."""
    return sorted(excluded.items(), key=lambda reason: (-reason[1], reason[0]))


def seconds_cells(counted: SecondsCounted) -> dict[str, Any]:
    return {
        "service_s": grouped(counted.service_s),
        "good_s": grouped(counted.good_s),
        "counted_down_s": grouped(counted.counted_down_s),
        "excluded_s": grouped(sum(counted.excluded.values())),
        "unknown_s": grouped(counted.unknown_s),
    }


def site_lines(data: ReportData) -> Iterator[dict[str, Any]]:
    for no, site in enumerate(data.sites, 1):
        yield {
            "no": str(no),
            "name": site.name,
            "code": site.code,
            "place": _place(site),
            "notes": [note.id for note in site.notes],
            "service_no": site.service_no or NOTHING,
            "service": _service(site),
            "fee": grouped(site.fee_idr),
            **seconds_cells(site),
            "excluded": [
                f"{EXCLUDED.get(reason, reason)} {grouped(seconds)}" for reason, seconds in by_length(site.excluded)
            ],
            "coverage": share(site.coverage_pct),
            "availability": share(site.availability_pct),
            "bounds": bounds(site.worst_pct, site.best_pct),
            "verdict": VERDICTS[site.verdict] if site.verdict else "tanpa masa layanan",
            "missed": site.verdict == "missed",
            "target": _target(site),
            "restitution": NOTHING if site.restitution.status in NOT_COMPUTED else grouped(site.restitution.idr),
            "restitution_note": _restitution_note(site.restitution),
            "stretches": [_stretch(stretch) for stretch in site.stretches] if len(site.stretches) > 1 else [],
        }


def _place(site: ReportSite) -> str:
    names = [site.village, site.subdistrict, site.district]
    return ", ".join(names if site.village != site.name else names[1:])


def _service(site: ReportSite) -> str:
    return ", ".join(
        (TECHNOLOGIES[site.technology], *(LINK_ROLES[site.link_role] for _ in range(site.link_role != "primary")))
    )


def _target(site: ReportSite) -> str:
    if site.target_pct is not None:
        return f"target {target(site.target_pct)}"
    return f"disyaratkan {share(site.required_pct)}"


def _restitution_note(line: RestitutionLine) -> str | None:
    notes = [STATUS_WORDS[line.status]] if line.status not in {RestitutionStatus.NONE, RestitutionStatus.DUE} else []
    if line.least_idr != line.most_idr:
        notes.append(f"{grouped(line.least_idr)}–{grouped(line.most_idr)}")
    return "\n".join(notes) or None


def _stretch(stretch: ReportStretch) -> dict[str, Any]:
    last = to_wita(stretch.to) - timedelta(seconds=1)
    fee = None if stretch.fee is None else round_half_up(Fraction(stretch.fee))
    return {
        "label": f"{_short_day(stretch.from_)}–{_short_day(last)} menurut ketentuan sejak {stretch.terms_on:%d-%m-%Y}",
        "target": f"target {target(stretch.target_pct)}",
        "fee": grouped(fee),
        **seconds_cells(stretch),
    }


def _short_day(moment: datetime) -> str:
    return f"{to_wita(moment):%d-%m-%Y}"


def sum_line(totals: ReportTotals) -> dict[str, str]:
    return {
        **seconds_cells(totals),
        "fee": grouped(totals.fee_idr),
        "coverage": share(totals.coverage_pct),
        "restitution": grouped(totals.restitution_idr),
    }


def outage_lines(data: ReportData, outages: Iterable[ReportOutage]) -> Iterator[dict[str, Any]]:
    names = {site.code: site.name for site in data.sites}
    for no, outage in enumerate(outages, 1):
        yield {
            "no": str(no),
            "site": f"{names.get(outage.site, '')} {outage.site}".strip(),
            "kind": _kind(outage),
            "last_ok": _clock(outage.last_ok_at),
            "started": _clock(outage.started_at),
            "ended": _clock(outage.ended_at),
            "duration": hours(outage.duration_s),
            "bounds": _duration_bounds(outage),
            "counted_s": grouped(outage.counted_s),
            "excluded_s": grouped(sum(outage.excluded.values())),
            "excluded": [EXCLUDED.get(reason, reason) for reason, _ in by_length(outage.excluded)],
            "unknown_s": grouped(outage.unknown_s),
            "cause": "belum ditentukan" if outage.cause is None else CAUSES[outage.cause],
            "cause_set": outage.cause_set_by and f"oleh {outage.cause_set_by}, {_clock(outage.cause_set_at)}",
            "ticket": outage.ticket_no or NOTHING,
        }


def _duration_bounds(outage: ReportOutage) -> str:
    if outage.duration_max_s is None:
        return "" if outage.duration_min_s is None else f"terbukti {hours(outage.duration_min_s)}"
    return f"{hours(outage.duration_min_s)}–{hours(outage.duration_max_s)}"


def _kind(outage: ReportOutage) -> str | None:
    parts = ["menurun"] if outage.kind == "degraded" else []
    parts += [LINK_ROLES[outage.link_role]] if outage.link_role != "primary" else []
    return ", ".join(parts) or None


def _clock(moment: datetime | None) -> str:
    return NOTHING if moment is None else f"{to_wita(moment):%d-%m-%Y %H.%M.%S}"


def step_lines(data: ReportData) -> Iterator[dict[str, Any]]:
    """Yield the arithmetic of each line that is due or that cannot be proven."""
    for site in data.sites:
        if site.restitution.status in STEPPED:
            yield {
                "name": site.name,
                "code": site.code,
                "status": f"{STATUS_WORDS[site.restitution.status]} {rupiah(site.restitution.idr)}",
                "lines": [step.id for step in site.restitution.steps],
            }
