"""A berita acara or a recapitulation as a PDF with its data inside, and as a page."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.core.tables import Language, Table, require_few_rows
from app.core.workbook import xlsx
from app.documents.printable import printable_values
from app.documents.qr import qr_svg
from app.documents.typesetting import AttachedFile, typeset
from app.pages.environment import render
from app.reports.berita_acara import berita_acara
from app.reports.berita_acara_tables import report_table
from app.reports.paper_frame import PaperHeading
from app.reports.recap import recap
from app.reports.recap_schemas import RecapData
from app.reports.recap_tables import recap_table
from app.reports.schemas import ReportData

TEMPLATES = Path(__file__).parent / "templates"
DESCRIPTIONS = {
    "sites.csv": ("text/csv", "Hasil setiap titik akses, satu baris untuk setiap bagian masa"),
    "outages.csv": ("text/csv", "Setiap gangguan, dengan yang dihitung dan yang dikecualikan"),
    "months.csv": ("text/csv", "Berita acara setiap bulan"),
    "method.json": ("application/json", "Kontrak, ketentuan, metode dan jumlah"),
}


async def paper_pdf(data: ReportData | RecapData, heading: PaperHeading, files: Mapping[str, bytes]) -> bytes:
    """Return the PDF: the same bytes for the same data set, files and heading. Raises TypesettingFailed."""
    template, paper = await asyncio.to_thread(_paper, data, heading)
    attached = [AttachedFile(name, content, *DESCRIPTIONS[name]) for name, content in sorted(files.items())]
    paper |= {"qr": heading.verify_url and qr_svg(heading.verify_url)}
    return await typeset(f"{template}.typ", paper, attached, made_at=heading.issued_at or data.as_of)


def paper_page(data: ReportData | RecapData, heading: PaperHeading, base: str) -> str:
    """Return the HTML. `base`: the path under which a proxy serves the service."""
    template, paper = _paper(data, heading)
    return render(TEMPLATES, f"{template}.html", "id", paper=printable_values(paper), base=base)


async def paper_workbook(data: ReportData | RecapData, heading: PaperHeading, language: Language) -> bytes:
    """Return the workbook. Raises Invalid for more rows than one may have."""
    table = await asyncio.to_thread(_table, data, heading)
    for sheet in (table, *table.further):
        require_few_rows(len(sheet.rows), sheet.columns, "xlsx")
    return await asyncio.to_thread(xlsx, table, language)


def _table(data: ReportData | RecapData, heading: PaperHeading) -> Table:
    return recap_table(data, heading) if isinstance(data, RecapData) else report_table(data, heading)


def _paper(data: ReportData | RecapData, heading: PaperHeading) -> tuple[str, dict[str, Any]]:
    """Return the name of the template, and what it shows."""
    if isinstance(data, RecapData):
        return "recap", recap(data, heading)
    return "berita_acara", berita_acara(data, heading)
