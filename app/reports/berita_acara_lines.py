"""The tables of a berita acara, a row a line: sites, outages, the arithmetic of restitution. Pure."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

from app.availability.contract_columns import EXCLUDED, LINK_ROLES
from app.availability.contract_tally import SHORT
from app.contracts.restitution_amounts import RestitutionStatus
from app.contracts.rupiah import round_half_up
from app.core.clock import to_wita
from app.documents.figures import NO_BREAK, NOTHING, bounds, grouped, rupiah, share, target
from app.registry.indonesian import TECHNOLOGIES, VERDICTS
from app.reports.figure_schemas import (
    ReportSite,
    ReportStretch,
    ReportTotals,
    RestitutionLine,
    SecondsCounted,
)
from app.reports.paper_schemas import ReportTerms
from app.reports.proportional_rows import NOTE as PROPORTIONAL
from app.reports.proportional_rows import proportional_row
from app.reports.schemas import ReportData

STATUS_WORDS = {
    RestitutionStatus.NONE: "tidak ada restitusi",
    RestitutionStatus.DUE: "restitusi",
    RestitutionStatus.NOT_PROVABLE: "tidak dapat dibuktikan",
    RestitutionStatus.NO_RULE: "tanpa aturan",
    RestitutionStatus.NO_FEE: "tanpa biaya",
}
STEPPED = {RestitutionStatus.DUE, RestitutionStatus.NOT_PROVABLE}
IN_A_LINE = EXCLUDED | {SHORT: "terlalu pendek"}
DECIDING = {
    *("sla_target_pct", "min_outage_s", "excluded_causes", "excuses_parent", "degraded_counts"),
    *("service_from", "service_to", "restitution", "min_coverage_pct"),
}
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
    terms = {each.terms_on: each for each in data.contract.terms}
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
                f"{IN_A_LINE.get(reason, reason)}{NO_BREAK}{grouped(seconds)}"
                for reason, seconds in by_length(site.excluded)
            ],
            "coverage": share(site.coverage_pct),
            "availability": share(site.availability_pct),
            "bounds": bounds(site.worst_pct, site.best_pct),
            "verdict": VERDICTS[site.verdict] if site.verdict else "tanpa masa layanan",
            "missed": site.verdict == "missed",
            "target": _target(site),
            "restitution": NOTHING if site.restitution.status in NOT_COMPUTED else grouped(site.restitution.idr),
            "restitution_note": _restitution_note(site.restitution),
            "stretches": [*_stretches(site, terms)],
        }


def _place(site: ReportSite) -> str:
    names = [site.village, site.subdistrict, site.district]
    return ", ".join(names if site.village != site.name else names[1:]).replace("Kabupaten ", f"Kab.{NO_BREAK}")


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


def _stretches(site: ReportSite, terms: Mapping[date, ReportTerms]) -> Iterator[dict[str, Any]]:
    """Yield the parts of a line where the terms differ in what they count or pay back, or in the rate of the fee."""
    ways = {
        (
            str(terms[each.terms_on].model_dump(include=DECIDING)) if each.terms_on in terms else each.terms_on,
            each.fee and each.covered_s and Fraction(each.fee) / each.covered_s,
        )
        for each in site.stretches
    }
    if len(ways) > 1:
        yield from map(_stretch, site.stretches)


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


def restitution_annex(data: ReportData) -> dict[str, Any]:
    """Return the arithmetic of each line that is due or that cannot be proven: a row where one proportion makes it."""
    terms = {each.terms_on: each for each in data.contract.terms}
    rows, steps = [], []
    for site in data.sites:
        if site.restitution.status not in STEPPED:
            continue
        if (row := proportional_row(site, terms)) is not None:
            rows.append(row)
        else:
            steps.append(_steps(site))
    note = f"Untuk setiap baris yang dikenai restitusi atau yang tidak dapat dibuktikan. {data.method.rounding.id}"
    return {"steps_note": note, "proportional_note": PROPORTIONAL, "proportional": rows, "steps": steps}


def _steps(site: ReportSite) -> dict[str, Any]:
    return {
        "name": site.name,
        "code": site.code,
        "status": f"{STATUS_WORDS[site.restitution.status]} {rupiah(site.restitution.idr)}",
        "lines": [step.id for step in site.restitution.steps],
    }
