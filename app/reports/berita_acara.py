"""What a berita acara says, as texts in Bahasa Indonesia: of a data set, for the PDF and for the page. Pure."""

from typing import Any

from app.core.i18n import write_moment
from app.reports.berita_acara_lines import restitution_annex, site_lines, sum_line
from app.reports.berita_acara_outages import outage_annex
from app.reports.berita_acara_parties import (
    describe_terms,
    list_facts,
    list_parties,
    list_signatures,
    opening,
)
from app.reports.berita_acara_sums import money_notes, money_rows, seconds_rows, verdicts
from app.reports.paper_frame import DOTS, PaperHeading, checked_at, frame, signing_day
from app.reports.paper_schemas import ReportObjection
from app.reports.recap_schemas import RecapData
from app.reports.schemas import ReportData

TITLE = "Berita Acara Hasil Pengukuran Layanan"
CLOSING = "Demikian {what} ini dibuat dengan sebenarnya untuk dipergunakan sebagaimana mestinya."
INSEPARABLE = "Lampiran I sampai IV merupakan bagian yang tidak terpisahkan."
DECISIONS = {"accepted": "Diterima", "rejected": "Ditolak", "partly": "Diterima sebagian", None: "Belum diputuskan"}
CHECKING = (
    "Berkas sites.csv, outages.csv dan method.json ada di dalam PDF ini sebagai lampiran digital. Hash data adalah "
    "SHA-256 atas daftar hash ketiganya, urut nama, seperti yang dicetak sha256sum; tercetak di kaki setiap halaman.",
    "Siapa pun dapat menghitung ulang hash dan setiap rupiah dari ketiga berkas itu. Program pendek untuk itu, "
    "verify_report.py, diterbitkan bersama metode; ia hanya memerlukan Python.",
)


def berita_acara(data: ReportData, heading: PaperHeading) -> dict[str, Any]:
    """Return the texts by their place in the paper."""
    return {
        **frame(data, heading, TITLE),
        "opening": opening(data, heading),
        "parties": list_parties(data),
        "declaration": "Kedua pihak menyatakan hasil pengukuran layanan internet desa sebagai berikut.",
        "facts": list_facts(data, heading),
        "terms": [describe_terms(terms) for terms in data.contract.terms],
        "seconds": list(seconds_rows(data.totals, sum(outage.contested_s for outage in data.outages))),
        "verdicts": verdicts(data),
        "money": money_rows(data),
        "money_notes": list(money_notes(data)),
        "corrects": list_corrections(data),
        "warnings": [warning.id for warning in data.warnings],
        "objections": [_objection(objection) for objection in data.objections],
        "no_objections": "Penyedia tidak mengajukan keberatan."
        if heading.is_issued
        else "Sampai rancangan ini dibuat, penyedia belum mengajukan keberatan.",
        "closing": f"{CLOSING.format(what='berita acara')} {INSEPARABLE}",
        "signed_at": f"{data.parties.place or DOTS}, {signing_day(heading)}",
        "signatures": [] if heading.extract_of else list_signatures(data),
        **_annexes(data, heading),
    }


def list_corrections(data: ReportData | RecapData) -> dict[str, Any] | None:
    if data.corrects is None:
        return None
    corrected = data.corrects
    return {
        "rows": [
            ("Mengoreksi", corrected.number),
            ("Hash data semula", corrected.sha256),
            ("Alasan", corrected.reason),
        ],
        "changes": [change.id for change in corrected.changes],
    }


def _objection(objection: ReportObjection) -> dict[str, Any]:
    about = [f"titik akses {objection.site}"] if objection.site else []
    if objection.outage_started_at is not None:
        about.append(f"gangguan sejak {write_moment(objection.outage_started_at)}")
    decided = None
    if objection.decided_at is not None:
        decider = objection.decided_by_name or objection.decided_by
        decided = f"oleh {decider}, {write_moment(objection.decided_at, seconds=False)}"
    filer = objection.filed_by_name or objection.filed_by
    return {
        "no": str(objection.no),
        "filed": f"diajukan {filer}, {write_moment(objection.filed_at, seconds=False)}",
        "about": f"Tentang {', '.join(about)}:" if about else None,
        "text": objection.text,
        "evidence": objection.evidence,
        "decision": DECISIONS[objection.decision],
        "decision_text": objection.decision_text,
        "decided": decided,
    }


def _annexes(data: ReportData, heading: PaperHeading) -> dict[str, Any]:
    return {
        "sites_note": "Untuk setiap baris: baik + putus dihitung + dikecualikan + tidak diketahui = masa layanan. "
        "Ketersediaan = (masa layanan − putus dihitung − tidak diketahui) ÷ (masa layanan − tidak diketahui); batas "
        "bawah: seandainya yang tidak diketahui putus; batas atas: seandainya normal. Terlalu pendek: lebih pendek "
        "dari batas kontrak.",
        "sites": list(site_lines(data)),
        "sum": sum_line(data.totals),
        **outage_annex(data),
        **restitution_annex(data),
        "checking": [*CHECKING, *checked_at(heading)],
        "statements": [statement.id for statement in data.method.statements],
    }
