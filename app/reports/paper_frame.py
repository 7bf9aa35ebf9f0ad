"""What every paper of a contract has around its content: number, title, marks, footer, and when it is signed. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.core.clock import to_wita
from app.core.i18n import write_moment
from app.documents.figures import long_day
from app.pages.formats import month
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
    verify_url: str


def signing_day(heading: PaperHeading) -> str:
    return DOTS if heading.issued_at is None else long_day(to_wita(heading.issued_at).date())


def frame(data: ReportData | RecapData, heading: PaperHeading, title: str) -> dict[str, Any]:
    """Return title, footer and marks."""
    period = period_name(data)
    marks = [mark for mark, applies in (("SIMULASI", data.simulated), ("RANCANGAN", not heading.is_issued)) if applies]
    in_footer = {"SIMULASI": "Data simulasi: tidak berlaku", "RANCANGAN": "Rancangan: belum berlaku"}
    subtitles = [f"Nomor {heading.number}", f"{data.contract.provider_name}, {period}"]
    if not heading.is_issued and heading.objections_until is not None:
        subtitles.append(
            f"Rancangan; keberatan diterima sampai {write_moment(heading.objections_until, seconds=False)}"
        )
    return {
        "title": f"{title} (Koreksi)" if heading.is_correction else title,
        "subtitles": subtitles,
        "author": "Sinyal Desa",
        "description": f"{heading.number}: kontrak {data.contract.number}, {period}",
        "keywords": [heading.number, data.contract.number, data.period.month],
        "watermark": "\n".join(marks) or None,
        "verify_url": heading.verify_url,
        "footer": {
            "number": heading.number,
            "sha256": heading.sha256,
            "method": f"Metode {data.method.version}. Dihasilkan ulang dari data yang sama, angkanya sama.",
            "mark": ". ".join(in_footer[mark] for mark in marks),
        },
    }


def period_name(data: ReportData | RecapData) -> str:
    """Return `Oktober 2026`, of a year `tahun 2026`."""
    name = data.period.month
    return f"tahun {name}" if len(name) == len("2026") else month(name, "id")
