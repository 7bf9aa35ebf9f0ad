"""What every paper of a contract has around its content: number, title, marks, footer, and when it is signed. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.core.clock import to_wita
from app.documents.figures import long_day
from app.pages.formats import month
from app.reports.objection_term import last_day
from app.reports.recap_schemas import RecapData
from app.reports.schemas import ReportData

DOTS = "…" * 8  # to be filled in by hand


@dataclass(frozen=True, slots=True)
class PaperHeading:
    """What the paper says of itself, beside its data set."""

    number: str
    is_issued: bool
    is_correction: bool
    sha256: str
    issued_at: datetime | None
    objections_until: datetime | None
    verify_code: str
    verify_url: str | None  # None: the service does not know under which address it is reached
    no_objections_at: datetime | None = None
    no_objections_by: str | None = None  # account of the provider
    extract_of: str | None = None  # the region whose lines alone it has


def _marks(data: ReportData | RecapData, heading: PaperHeading) -> Iterator[tuple[tuple[str, str], bool]]:
    """Yield what may lie behind each page, with its words for the footer, and whether it applies."""
    yield ("SIMULASI", "Data simulasi: tidak berlaku"), data.simulated
    yield ("RANCANGAN", "Rancangan: belum berlaku"), not heading.is_issued
    yield ("KUTIPAN", "Kutipan: tidak untuk ditandatangani"), heading.extract_of is not None


def checked_at(heading: PaperHeading) -> list[str]:
    """Return where a paper is verified, as a sentence; by its code where the service does not know its address."""
    if heading.verify_url is None:
        return [f"Dokumen ini dapat diperiksa di halaman /verifikasi layanan ini, dengan kode {heading.verify_code}."]
    return [f"Dokumen ini dapat diperiksa di {heading.verify_url}, atau dengan memindai kode QR di halaman pertama."]


def signing_day(heading: PaperHeading) -> str:
    return DOTS if heading.issued_at is None else long_day(to_wita(heading.issued_at).date())


def frame(data: ReportData | RecapData, heading: PaperHeading, title: str) -> dict[str, Any]:
    """Return title, footer and marks."""
    period = period_name(data)
    marks = [mark for mark, applies in _marks(data, heading) if applies]
    subtitles = [f"Nomor {heading.number}", f"{data.contract.provider_name}, {period}"]
    if not heading.is_issued and heading.objections_until is not None:
        subtitles.append(f"Rancangan; keberatan diterima sampai akhir {long_day(last_day(heading.objections_until))}")
    if heading.extract_of is not None:
        subtitles.append(f"Kutipan untuk {heading.extract_of}")
    return {
        "title": f"{title} (Koreksi)" if heading.is_correction else title,
        "subtitles": subtitles,
        "correcting": data.corrects
        and f"Mengoreksi dan menggantikan {data.corrects.number}. Alasan: {data.corrects.reason}",
        "author": "Sinyal Desa",
        "description": f"{heading.number}: kontrak {data.contract.number}, {period}",
        "keywords": [heading.number, data.contract.number, data.period.month],
        "watermark": "\n".join(mark for mark, _ in marks) or None,
        "verify_code": heading.verify_code,
        "verify_url": heading.verify_url,
        "footer": {
            "number": heading.number,
            "sha256": heading.sha256,
            "method": f"Metode {data.method.version}. Dihasilkan ulang dari data yang sama, angkanya sama.",
            "mark": ". ".join(text for _, text in marks),
        },
    }


def period_name(data: ReportData | RecapData) -> str:
    """Return `Oktober 2026`, of a year `tahun 2026`, so far `tahun 2026 sampai dengan Oktober`."""
    name = data.period.month
    if not isinstance(data, RecapData):
        return month(name, "id")
    so_far = "" if data.through is None else f" sampai dengan {month(data.through, 'id').removesuffix(f' {name}')}"
    return f"tahun {name}{so_far}"
