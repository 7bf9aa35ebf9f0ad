"""What a report adds to the imported file, as plain data: rendered in another process (`report.write`)."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.importing import response
from app.importing.rows import SheetRow
from app.importing.sheets import ParsedSheet
from app.importing.store import ImportResult
from app.importing.verdicts import RowVerdict

HEADERS = {"id": ("Hasil", "Saran"), "en": ("Result", "Suggestion")}
VERDICTS = {
    "id": {
        RowVerdict.CREATE: "baru",
        RowVerdict.UPDATE: "diperbarui",
        RowVerdict.SAME: "tetap",
        RowVerdict.ERROR: "salah",
    },
    "en": {verdict: verdict.value for verdict in RowVerdict},
}


@dataclass(frozen=True, slots=True)
class ReportRow:
    number: int
    verdict: RowVerdict
    text: str
    wrong: frozenset[int]  # columns, from 1


@dataclass(frozen=True, slots=True)
class ReportSheet:
    name: str | None  # None for CSV
    header_row: int
    columns: list[int]  # those read, from 1
    rows: list[ReportRow]


@dataclass(frozen=True, slots=True)
class ReportContent:
    language: str
    sheets: list[ReportSheet]
    overview: list[str]


def build(result: ImportResult, *, language: str) -> ReportContent:
    verdicts = dict(result.verdicts)
    return ReportContent(
        language,
        [_sheet(sheet, verdicts, language) for sheet in result.file.sheets if sheet.rows],
        list(response.overview(result, language=language)),
    )


def _sheet(sheet: ParsedSheet, verdicts: Mapping[SheetRow, RowVerdict], language: str) -> ReportSheet:
    header = sheet.header
    columns = [index + 1 for index in header.fields]
    return ReportSheet(sheet.name, header.number, columns, [_row(row, verdicts[row], language) for row in sheet.rows])


def _row(row: SheetRow, verdict: RowVerdict, language: str) -> ReportRow:
    lines = response.row_lines(row, verdict, language=language)
    wrong = {row.source_column(fault.field) for fault in row.faults}
    return ReportRow(
        row.number,
        verdict,
        "\n".join(f"{where}: {text}" for where, text in lines),
        frozenset(index + 1 for index, name in row.header.fields.items() if name in wrong),
    )
