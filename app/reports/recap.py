"""What a yearly recapitulation says, as texts in Bahasa Indonesia. Pure."""

from collections.abc import Iterator
from typing import Any

from app.availability.contract_columns import EXCLUDED, LINK_ROLES
from app.core.clock import to_wita
from app.core.i18n import write_moment
from app.documents.figures import grouped, long_day, share
from app.pages.formats import month
from app.reports.berita_acara import CLOSING, list_corrections
from app.reports.berita_acara_lines import by_length, seconds_cells
from app.reports.berita_acara_parties import contract_facts, hearing, list_parties, list_signatures, opening
from app.reports.berita_acara_sums import bounds_note, money_row, seconds_rows
from app.reports.paper_frame import DOTS, PaperHeading, checked_at, frame, signing_day
from app.reports.recap_schemas import RecapData

TITLE = "Rekapitulasi Tahunan Pengukuran Layanan"
TITLE_SO_FAR = "Rekapitulasi Sementara Pengukuran Layanan"  # until the last issued month
CHECKING = (
    "Berkas months.csv, sites.csv dan method.json ada di dalam PDF ini sebagai lampiran digital. Hash data adalah "
    "SHA-256 atas daftar hash ketiganya, urut nama, seperti yang dicetak sha256sum; tercetak di kaki setiap halaman.",
    "Setiap bulan berasal dari berita acara yang sudah terbit: nomor dan hash datanya ada di months.csv, dan rupiahnya "
    "dapat dihitung ulang dari berkas di dalam PDF berita acara itu.",
)


def recap(data: RecapData, heading: PaperHeading) -> dict[str, Any]:
    """Return the texts by their place in the paper."""
    totals = data.totals
    span = "setahun" if data.through is None else f"sampai dengan {month(data.through, 'id')}"
    return {
        **frame(data, heading, TITLE if data.through is None else TITLE_SO_FAR),
        "opening": opening(data, heading),
        "parties": list_parties(data),
        "declaration": "Kedua pihak menyatakan rekapitulasi pengukuran layanan internet desa sebagai berikut.",
        "facts": [
            *contract_facts(data),
            *hearing(heading),
            ("Bulan yang terbit", grouped(totals.months)),
            ("Data per", f"{write_moment(data.as_of, seconds=False)}, metode {data.method.version}"),
        ],
        "months": list(_months(data)),
        "missing": _missing(data),
        "sum": {
            "availability": share(totals.availability_pct),
            "fee": grouped(totals.fee_idr),
            "restitution": grouped(totals.restitution_idr),
            "payable": grouped(totals.payable_idr),
        },
        "seconds": list(seconds_rows(totals)),
        "money": [
            money_row(f"Biaya layanan {span}, sebelum pajak", totals.fee_idr),
            money_row(f"Restitusi {span}", totals.restitution_idr),
            money_row(f"Dibayarkan {span}, sebelum pajak", totals.payable_idr, strong=True),
        ],
        "money_notes": list(bounds_note(totals)),
        "corrects": list_corrections(data),
        "warnings": [warning.id for warning in data.warnings],
        "closing": CLOSING.format(what="rekapitulasi"),
        "signed_at": f"{data.parties.place or DOTS}, {signing_day(heading)}",
        "signatures": [] if heading.extract_of else list_signatures(data),
        "sites": list(_sites(data)),
        "checking": [*CHECKING, *checked_at(heading)],
        "statements": [statement.id for statement in data.method.statements],
    }


def _months(data: RecapData) -> Iterator[dict[str, Any]]:
    for row in data.months:
        notes = [f"{grouped(row.not_provable)} baris tidak dapat dibuktikan"] if row.not_provable else []
        if row.least_idr != row.most_idr:
            notes.append(f"{grouped(row.least_idr)}–{grouped(row.most_idr)}")
        yield {
            "month": month(row.month, "id"),
            "issued": f"terbit {long_day(to_wita(row.issued_at).date())}",
            "number": row.number,
            "corrects": row.corrects,
            "sites": grouped(row.sites),
            "availability": share(row.availability_pct),
            "fee": grouped(row.fee_idr),
            "restitution": grouped(row.restitution_idr),
            "payable": grouped(row.payable_idr),
            "note": "\n".join(notes) or None,
        }


def _missing(data: RecapData) -> str | None:
    if not data.missing:
        return None
    names = ", ".join(month(name, "id") for name in data.missing)
    return f"Belum terbit, jadi tidak dijumlahkan: {names}."


def _sites(data: RecapData) -> Iterator[dict[str, Any]]:
    for no, site in enumerate(data.sites, 1):
        roles = [LINK_ROLES[site.link_role]] if site.link_role != "primary" else []
        yield {
            "no": str(no),
            "name": site.name,
            "code": site.code,
            "place": ", ".join([site.village, site.district, *roles]),
            "months": grouped(site.months),
            **seconds_cells(site),
            "excluded": [f"{EXCLUDED.get(of, of)} {grouped(seconds)}" for of, seconds in by_length(site.excluded)],
            "availability": share(site.availability_pct),
            "missed": grouped(site.missed),
            "fee": grouped(site.fee_idr),
            "restitution": grouped(site.restitution_idr),
        }
