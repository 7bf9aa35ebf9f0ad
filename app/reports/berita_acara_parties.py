"""Who signs, for which contract and month, and by which terms: texts of a berita acara in Bahasa Indonesia. Pure."""

from datetime import datetime
from typing import Any

from app.core.clock import midnight, to_wita
from app.core.i18n import write_moment
from app.documents.figures import day_in_words, grouped, long_day, target
from app.reports.objection_term import last_day
from app.reports.paper_frame import DOTS, PaperHeading
from app.reports.paper_schemas import ReportTerms
from app.reports.recap_schemas import RecapData
from app.reports.schemas import ReportData
from app.reports.terms_record import record_in_words

Rows = list[tuple[str, str]]


def opening(data: ReportData | RecapData, heading: PaperHeading) -> str:
    day = DOTS if heading.issued_at is None else day_in_words(to_wita(heading.issued_at).date())
    return f"Pada hari ini, {day}, bertempat di {data.parties.place or DOTS}, yang bertanda tangan di bawah ini:"


def list_parties(data: ReportData | RecapData) -> list[dict[str, Any]]:
    ppk, signatory = data.parties.ppk, data.parties.provider_signatory
    return [
        {
            "rows": [
                ("Nama", ppk.name or DOTS),
                ("NIP", ppk.nip or DOTS),
                ("Jabatan", "Pejabat Pembuat Komitmen (PPK)"),
                *_given([("Surat keputusan", ppk.decree)]),
            ],
            "called": "selanjutnya disebut Pihak Kesatu;",
        },
        {
            "rows": [
                ("Nama", signatory.name or DOTS),
                ("Jabatan", signatory.office or DOTS),
                ("Penyedia", data.contract.provider_name),
            ],
            "called": "selanjutnya disebut Pihak Kedua.",
        },
    ]


def _given(rows: list[tuple[str, str | None]]) -> Rows:
    return [(label, value) for label, value in rows if value]


def list_facts(data: ReportData, heading: PaperHeading) -> Rows:
    return [
        *contract_facts(data),
        ("Titik akses", f"{grouped(data.totals.sites)} baris (Lampiran I)"),
        *hearing(heading),
        ("Bulan ditutup", write_moment(data.closed_at, seconds=False)),
        ("Data per", f"{write_moment(data.as_of, seconds=False)}, metode {data.method.version}"),
    ]


def hearing(heading: PaperHeading) -> Rows:
    """Return until when the provider could object, or when it said, and by which account, that it has no objections."""
    rows = []
    if heading.objections_until is not None:
        rows.append(("Keberatan diterima", f"sampai akhir {long_day(last_day(heading.objections_until))}"))
    if heading.no_objections_at is not None:
        said = write_moment(heading.no_objections_at, seconds=False)
        rows.append(("Tanpa keberatan lagi", f"dinyatakan penyedia ({heading.no_objections_by}), {said}"))
    return rows


def contract_facts(data: ReportData | RecapData) -> Rows:
    """Return contract, papers and the period with its seconds."""
    contract, parties = data.contract, data.parties
    end = "tanpa batas" if contract.valid_to is None else f"sebelum {long_day(contract.valid_to)}"
    return [
        ("Kontrak", contract.number),
        ("Masa kontrak", f"{long_day(contract.valid_from)} sampai {end}"),
        *_given(
            [
                ("SPMK", parties.work_order),
                ("Paket e-katalog", parties.package_id),
                ("Rekening DPA", parties.budget_account),
            ]
        ),
        *_period(data),
    ]


def _period(data: ReportData | RecapData) -> Rows:
    """Return the days that are measured: where the contract was valid on some of them only, those, and all."""
    period, contract = data.period, data.contract
    start, stop = period.from_, period.to
    valid_from = max(start, midnight(contract.valid_from))
    valid_to = stop if contract.valid_to is None else min(stop, midnight(contract.valid_to))
    if (valid_from, valid_to) == (start, stop) or valid_from >= valid_to:
        return [("Masa pengukuran", _days(start, stop))]
    return [
        ("Masa pengukuran", f"{_days(valid_from, valid_to)}, selama kontrak berlaku"),
        ("Bulan seluruhnya" if isinstance(data, ReportData) else "Tahun seluruhnya", _days(start, stop)),
    ]


def _days(start: datetime, stop: datetime) -> str:
    seconds = round((stop - start).total_seconds())
    first, last = (write_moment(moment, seconds=False) for moment in (start, stop))
    return f"{first} sampai sebelum {last}: {seconds // 86_400} hari = {grouped(seconds)} detik"


def describe_terms(terms: ReportTerms) -> dict[str, Any]:
    until = "" if terms.until is None else f" sampai sebelum {long_day(terms.until)}"
    record = record_in_words(terms)
    hours = f"{terms.service_from}–{terms.service_to} WITA" if terms.service_from else "sepanjang hari"
    return {
        "heading": f"Sejak {long_day(terms.terms_on)}{until}",
        "rows": [
            ("Target ketersediaan", target(terms.sla_target_pct)),
            ("Jam layanan", hours),
            ("Tidak dihitung", "\n".join(words.id for words in terms.leaves_out) or "tidak ada"),
            ("Biaya dan restitusi", "\n".join(words.id for words in terms.paid_back)),
            *_given([("Ketentuan ini", None if record is None else record["id"])]),
        ],
    }


def list_signatures(data: ReportData | RecapData) -> list[dict[str, Any]]:
    ppk, signatory, witness = data.parties.ppk, data.parties.provider_signatory, data.parties.acknowledged_by
    signatures: list[tuple[str, str | None, str | None, str | None]] = [
        ("Pihak Kedua", data.contract.provider_name, signatory.name, None),
        ("Pihak Kesatu", "Pejabat Pembuat Komitmen", ppk.name, ppk.nip),
    ]
    if witness.name or witness.office:
        signatures.insert(1, ("Mengetahui", witness.office, witness.name, witness.nip))
    return [{"role": role, "office": office, "name": name, "nip": nip} for role, office, name, nip in signatures]
